"""The slow things that a run will need, done while something else starts: the embedding model and its questions."""

import threading
from collections.abc import Sequence
from contextlib import suppress

from rageval.config.evaluation import EvaluationConfig
from rageval.runs.run import Run
from rageval.search.embedder import load_embedder

_SLICE = 256
"""Questions embedded at once: a second of work."""


def warm_up(run: Run, config: EvaluationConfig, questions: Sequence[str]) -> None:
    """Load the embedding model and embed the run's questions in a thread of its own, and return at once.

    The process's embedder remembers both, and whoever needs it meanwhile waits for it. Nothing is done for a run whose
    retrieval is stored. An error is kept from nobody: the run's own steps meet it again, where it can be told, unless
    they have ended, and with them what a thread needs to start others.
    The process waits for the thread when it ends, because threads of PyTorch that are cut off abort it, but for no more
    than what is under way then.
    """
    if not run.has("retrieval"):
        threading.Thread(target=_warm_up, args=(run, config, questions), name="warm-up").start()


def _warm_up(run: Run, config: EvaluationConfig, questions: Sequence[str]) -> None:
    if all(retriever.is_own for retriever in config.searched):
        return  # nothing of ours is known to need it
    with suppress(Exception):  # see above
        embedder = load_embedder(config.index.embedding_model, config.index.batch_size, run.cache)
        if not {"vector", "hybrid"} & {retriever.method for retriever in config.retrievers}:
            return
        for start in range(0, len(questions), _SLICE):
            if not threading.main_thread().is_alive():
                return
            embedder.embed_queries(questions[start : start + _SLICE])
