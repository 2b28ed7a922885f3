"""A retriever of one's own -> what it finds for the questions of a sweep."""

from contextlib import closing

from rageval.config.evaluation import IndexConfig
from rageval.config.systems import RetrieverConfig
from rageval.errors import ServiceError
from rageval.runs.inputs import read_documents, read_questions
from rageval.runs.run import Run
from rageval.search.own_retrieval import open_own, search_own
from rageval.search.own_search import OwnSearch
from rageval.search.passages import PassageMatching
from rageval.search.search_index import SearchResult
from rageval.sweep.config import SweepConfig


def own_identity(config: SweepConfig, name: str) -> str:
    """Return a text that changes with what decides what the retriever finds, as far as that is ours."""
    with closing(_open(config, name)) as search:
        return f"{search.identity} {config.grid.embedding_models[0] if search.needs_vectors else ''}"


def search_with_own(run: Run, config: SweepConfig, name: str) -> list[SearchResult]:
    """Return what the retriever of that name finds for each question of the sweep.

    Raises:
        ServiceError: If it fails for a question: settings are compared on the same ones.
        InputError: If no search can work.
    """
    questions = list(read_questions(run))
    index = IndexConfig(embedding_model=config.grid.embedding_models[0], batch_size=config.index.batch_size)
    with closing(_open(config, name)) as search:
        results = search_own(search, _named(config, name), questions, index, run.cache)
    if failed := [result.error for result in results if result.error]:
        raise ServiceError(
            f"the retriever {name} failed for {len(failed)} of {len(results)} questions: {failed[0]}; a sweep compares "
            "all settings on the same questions, so start it again when none fails"
        )
    matching = PassageMatching(list(read_documents(run).values()))
    return [
        SearchResult(hits=tuple(one.hit for one in matching.matched(result.hits)), latency_s=result.latency_s)
        for result in results
    ]


def _open(config: SweepConfig, name: str) -> OwnSearch:
    return open_own(_named(config, name), max(config.grid.cutoffs), config.data.filter_by)


def _named(config: SweepConfig, name: str) -> RetrieverConfig:
    return next(retriever for retriever in config.grid.retrievers if retriever.name == name)
