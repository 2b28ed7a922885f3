"""Questions -> what each search method finds for them: the `retrieval` table."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rageval.config.evaluation import EvaluationConfig, RetrievalConfig
from rageval.metrics.ranking import first_relevant_rank, hit
from rageval.records import Question, Retrieval, SearchMethod
from rageval.runs.inputs import read_questions
from rageval.runs.manifest import searched_index
from rageval.runs.store import RunStore
from rageval.search.backends import open_index
from rageval.search.embedder import Embedder, load_embedder
from rageval.search.fusion import reciprocal_rank_fusion
from rageval.search.search_index import Found, SearchIndex
from rageval.tables import RETRIEVAL, to_table


def retrieve(
    index: SearchIndex,
    embedder: Embedder,
    questions: Sequence[Question],
    config: RetrievalConfig,
    fingerprint: str = "",
) -> dict[SearchMethod, list[Retrieval]]:
    """Search for all questions with every method that the configuration names.

    Text and vector search run at most once each; hybrid search fuses their first hits by reciprocal rank, as many of
    each as `candidates` or `top_k` says, whatever the cut-offs. Its latency is the sum of both.

    Args:
        index: An index that was built with the same embedding model.
        embedder: The embedding model.
        questions: What is searched for, each within its course.
        config: Methods and depths.
        fingerprint: Of the build that is searched by all of them; empty for the one that is in use now.

    Returns:
        For each method, in the configured order, one result per question in the order of the questions, each of at
        most as many documents as the model is shown or the deepest cut-off needs.

    Raises:
        IndexMismatchError: If the index has not been built, or with another model, or was replaced and is gone.
        ServiceError: If the search engine fails.
    """
    hybrid = "hybrid" in config.methods
    fused = max(config.top_k, config.candidates) if hybrid else 0
    depth = max(kept_depth(config), fused)
    courses = [question.course for question in questions]
    texts = [question.question for question in questions]
    index.hold(fingerprint)
    found: dict[SearchMethod, list[Found]] = {}
    if hybrid or "text" in config.methods:
        found["text"] = index.search_text(texts, courses, depth)
    if hybrid or "vector" in config.methods:
        found["vector"] = index.search_vector(embedder.embed_queries(texts), courses, depth)
    if hybrid:
        found["hybrid"] = [_fused(*pair, fused) for pair in zip(found["text"], found["vector"], strict=True)]
    return {method: _retrievals(method, questions, found[method], config) for method in config.methods}


def kept_depth(config: RetrievalConfig) -> int:
    """Return how many documents of each result are stored."""
    return max(config.top_k, *config.cutoffs, 1)


def _fused(text: Found, vector: Found, candidates: int) -> Found:
    """Return the hybrid of two results: the first `candidates` hits of each, fused by reciprocal rank."""
    rankings = [[hit.document_id for hit in found.hits[:candidates]] for found in (text, vector)]
    return Found(hits=tuple(reciprocal_rank_fusion(rankings)), latency_s=text.latency_s + vector.latency_s)


def _retrievals(
    method: SearchMethod, questions: Sequence[Question], found: Sequence[Found], config: RetrievalConfig
) -> list[Retrieval]:
    return [_retrieval(method, question, result, config) for question, result in zip(questions, found, strict=True)]


def _retrieval(method: SearchMethod, question: Question, found: Found, config: RetrievalConfig) -> Retrieval:
    hits = found.hits[: kept_depth(config)]
    document_ids = tuple(hit.document_id for hit in hits)
    relevant = {question.document_id, *(question.alternate_ids if config.accept_alternates else ())}
    return Retrieval(
        question_id=question.question_id,
        search_method=method,
        document_ids=document_ids,
        scores=tuple(hit.score for hit in hits),
        first_relevant_rank=first_relevant_rank(document_ids, relevant),
        latency_s=found.latency_s,
    )


def stored_methods(run: RunStore) -> set[SearchMethod]:
    """Return the search methods whose results the run has."""
    return set(run.read("retrieval")["search_method"].unique().to_pylist()) if run.has("retrieval") else set()


def retrieve_run(run: RunStore, config: EvaluationConfig, methods: Sequence[SearchMethod]) -> dict[str, float]:
    """Search for every question of the run and store what was found beside what is stored.

    Args:
        run: The run, with its questions stored.
        config: Where to search, and how deep.
        methods: With what to search; those that are stored are left alone.

    Returns:
        The hit rate at `top_k` of each method that was searched with now.
    """
    stored = run.read("retrieval") if run.has("retrieval") else RETRIEVAL.empty_table()
    known = set(stored["search_method"].unique().to_pylist())
    wanted = config.retrieval.model_copy(update={"methods": tuple(m for m in methods if m not in known)})
    index = open_index(config.index, config.retrieval.question_boost, run.cache, config.data.documents)
    try:
        embedder = load_embedder(config.index.embedding_model, config.index.batch_size, run.cache)
        found = retrieve(index, embedder, read_questions(run), wanted, searched_index(run))
    finally:
        index.close()
    tables = {method: to_table(rows, RETRIEVAL) for method, rows in found.items()}
    tables |= {method: stored.filter(pc.equal(stored["search_method"], method)) for method in known}
    run.write("retrieval", pa.concat_tables(tables[method] for method in config.retrieval.methods if method in tables))
    k = config.retrieval.top_k
    ranks = {
        method: np.array([row.first_relevant_rank for row in rows], dtype=np.float64) for method, rows in found.items()
    }
    return {method: float(hit(rank, k).mean()) for method, rank in ranks.items()}
