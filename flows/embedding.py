"""Documents -> their vectors in the cache, each part embedded by a worker of a cluster."""

from functools import partial
from typing import Any

from prefect.futures import PrefectFuture

from rageval.config.evaluation import EvaluationConfig
from rageval.pipeline.chunk_scheduler import ChunkScheduler, Line, Work
from rageval.runs.run import Run
from rageval.search.building import cache_of
from tasks.index import embed_texts, texts_to_embed

_PART = 512
_PARTS_UNDER_WAY = 64


def embed_on_workers(run: Run | None, config: EvaluationConfig) -> None:
    """Let the workers embed what indexing will need; without a cluster, indexing does it by itself.

    Args:
        run: The run whose documents are indexed, or None for those of the file.
        config: The documents, the embedding model, and where the work is done.
    """
    if config.run.task_runner == "threads":
        return
    texts = texts_to_embed(run, config)
    cache = run.cache if run else cache_of(config)

    def start(first: int) -> list[PrefectFuture[Any]]:
        part = texts[first : first + _PART]
        return [embed_texts.submit(first // _PART, part, config.index, cache, return_state=False)]

    works = (Work[None](start=partial(start, first)) for first in range(0, len(texts), _PART))
    for _ in ChunkScheduler[None]().through([Line(works=works, width=_PARTS_UNDER_WAY)]):
        pass
