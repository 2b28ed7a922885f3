"""The slow things that a run will need, done while something else starts: the embedding model and its questions."""

import threading
from contextlib import suppress

from rageval.adapters.corpus import load_corpus
from rageval.adapters.embedder import load_embedder
from rageval.adapters.run_store import RunStore
from rageval.config import EvaluationConfig
from rageval.errors import RagevalError


def warm_up(run: RunStore, config: EvaluationConfig) -> None:
    """Load the embedding model and embed the run's questions in a thread of its own, and return at once.

    The process's embedder remembers both, and whoever needs it meanwhile waits for it. Nothing is done for a run whose
    retrieval is stored. An error is kept from nobody: the run's own steps meet it again, where it can be told.
    """
    if not run.has("retrieval"):
        threading.Thread(target=_warm_up, args=(run, config), name="warm-up", daemon=True).start()


def _warm_up(run: RunStore, config: EvaluationConfig) -> None:
    with suppress(RagevalError, OSError):
        embedder = load_embedder(config.index.embedding_model, config.index.batch_size, run.cache)
        if {"vector", "hybrid"} & set(config.retrieval.methods):
            embedder.embed_queries([question.question for question in load_corpus(config.data).questions])
