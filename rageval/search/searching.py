"""Questions -> the documents that the model is shown, for as long as a program runs; at once, or in another process."""

import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import Protocol

from rageval.config.evaluation import EvaluationConfig
from rageval.corpus.files import load_documents
from rageval.embedding.embedder import load_embedder
from rageval.embedding.exported_model import embed_on_one_processor
from rageval.errors import ConfigError
from rageval.records import Document, Question, Retrieval
from rageval.search.backends import open_index
from rageval.search.building import cache_of, ensure_index
from rageval.search.retrieval import retrieve
from rageval.search.text_rules import text_query
from rageval.telemetry.logs import log_as_wanted


class Search(Protocol):
    """Searches for questions with one retriever."""

    @property
    def documents(self) -> Sequence[Document]:
        """What is searched in."""

    def find(self, questions: Sequence[Question]) -> list[Retrieval]:
        """Return what is found for each question, in their order.

        Raises:
            RagevalError: If the search engine fails.
        """

    def close(self) -> None:
        """Give back what is held."""


class SearchHere:
    """Searches in the thread that asks; one at a time."""

    def __init__(self, config: EvaluationConfig) -> None:
        """Read and index the documents, and load the model.

        Raises:
            InputError: If documents, index or model cannot be used.
        """
        self.documents, _ = load_documents(config.data.documents, config.data.filter_by)
        name = config.answer_retrievers[0]
        self._retriever = next(retriever for retriever in config.retrievers if retriever.name == name)
        if self._retriever.is_own:
            raise ConfigError(
                f"the chat app and try-system search in an index that rageval builds, and the retriever {name} is one "
                "of your own; let the system name another retriever"
            )
        self._depth = config.retrieval.model_copy(update={"cutoffs": ()})
        cache, index = cache_of(config), config.index
        self._index = open_index(index, text_query(self._retriever), cache, config.data)
        try:
            ensure_index(self._index, self.documents, load_embedder(index.embedding_model, index.batch_size, cache))
            # Questions of people are stored nowhere, nor is anything of them.
            self._embedder = load_embedder(index.embedding_model, index.batch_size, None)
        except BaseException:  # Ctrl-C, too
            self._index.close()
            raise

    def find(self, questions: Sequence[Question]) -> list[Retrieval]:
        """Return what is found for each question, see `Search`."""
        embed_on_one_processor()
        return retrieve(self._index, self._embedder, questions, [self._retriever], self._depth)[self._retriever.name]

    def close(self) -> None:
        """Close the index."""
        self._index.close()


class SearchProcess:
    """Searches in a process of its own, so that embedding and everything else do not wait for each other's interpreter.

    With 20 questions a second a search takes two thirds of the time (`python -m benchmarks.chat`). A process that dies
    is started once more by the next search.
    """

    def __init__(self, config: EvaluationConfig) -> None:
        """Start the process.

        Raises:
            InputError: See `SearchHere`.
        """
        self._config = config
        self._pool: ProcessPoolExecutor | None = None
        self.documents: Sequence[Document] = ()
        self._start()

    def find(self, questions: Sequence[Question]) -> list[Retrieval]:
        """Return what is found for each question, see `Search`.

        Raises:
            InputError: If the process has died, and cannot be started again; the next search tries once more.
            RuntimeError: If the process dies over it twice.
        """
        if self._pool:
            try:
                return self._pool.submit(_find, questions).result()
            except BrokenProcessPool:
                self.close()
        return self._start().submit(_find, questions).result()

    def close(self) -> None:
        """End the process."""
        if self._pool:
            self._pool.shutdown(cancel_futures=True)
        self._pool = None

    def _start(self) -> ProcessPoolExecutor:
        pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_live_as_long_as_the_parent)
        self._pool = pool
        try:
            self.documents = pool.submit(_open, self._config).result()
        except BaseException:  # Ctrl-C, too: the process would outlive it
            self.close()
            raise
        return pool


_here: SearchHere


def _live_as_long_as_the_parent() -> None:
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches both; the parent ends what is under way, and then this
    parent = parent_process()
    assert parent

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, name="parent", daemon=True).start()


def _open(config: EvaluationConfig) -> Sequence[Document]:
    global _here  # noqa: PLW0603 - what the process is there for
    log_as_wanted()
    _here = SearchHere(config)
    return _here.documents


def _find(questions: Sequence[Question]) -> list[Retrieval]:
    return _here.find(questions)
