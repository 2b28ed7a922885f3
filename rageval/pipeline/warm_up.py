"""The slow thing that a run will need, done while something else starts: the vectors of its questions."""

import threading
from collections.abc import Sequence
from contextlib import suppress

from rageval.config.evaluation import EvaluationConfig
from rageval.embedding.embedder import load_embedder
from rageval.runs.run import Run

_SLICE = 256
"""Questions embedded at once: a second of work."""


def warm_up(run: Run, config: EvaluationConfig, questions: Sequence[str]) -> None:
    """Embed the run's questions in a thread of its own, and return at once.

    The process's embedder keeps them, and whoever needs it meanwhile waits for it. Nothing is done for a run whose
    retrieval is stored, and no model is loaded where the vectors of all questions are. An error is kept from nobody:
    the run's own steps meet it again, where it can be told, unless they have ended, and with them what a thread needs
    to start others.
    The process waits for the thread when it ends, because a model's threads that are cut off abort it, but for no more
    than what is under way then.
    """
    if not run.has("retrieval"):
        threading.Thread(target=_warm_up, args=(run, config, questions), name="warm-up").start()


def _warm_up(run: Run, config: EvaluationConfig, questions: Sequence[str]) -> None:
    if not any(one.method in {"vector", "hybrid"} for one in config.searched if not one.is_own):
        return
    with suppress(Exception):  # see above
        embedder = load_embedder(config.index.embedding_model, config.index.batch_size, run.cache)
        for start in range(0, len(questions), _SLICE):
            if not threading.main_thread().is_alive():
                return
            embedder.embed_queries(questions[start : start + _SLICE])
