"""Questions -> what each retriever finds for them: the `retrieval` table."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rageval.config.evaluation import EvaluationConfig, RetrievalConfig
from rageval.config.systems import RetrieverConfig
from rageval.embedding.embedder import Embedder, load_embedder
from rageval.metrics.hit_rate import hit
from rageval.records import Question, Retrieval
from rageval.runs.inputs import read_documents, read_questions
from rageval.runs.life import searched_index
from rageval.runs.run import Run
from rageval.search.backends import open_index
from rageval.search.fusion import reciprocal_rank_fusion
from rageval.search.own_retrieval import retrieve_own
from rageval.search.retrieval_rows import kept_depth, retrieval_row
from rageval.search.search_index import SearchIndex, SearchResult
from rageval.search.text_rules import TextQuery, text_query
from rageval.tables import RETRIEVAL, to_table


def retrieve(
    index: SearchIndex,
    embedder: Embedder,
    questions: Sequence[Question],
    retrievers: Sequence[RetrieverConfig],
    depth: RetrievalConfig,
    fingerprint: str = "",
    texts_of: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, list[Retrieval]]:
    """Search for all questions with each of the retrievers.

    Text and vector search run at most once each; hybrid search fuses their first hits by reciprocal rank, as many of
    each as `candidates` or `top_k` says, whatever the cut-offs. Its latency is the sum of both.

    Args:
        index: An index that was built with the same embedding model, and combines fields as all retrievers do.
        embedder: The embedding model.
        questions: What is searched for, each among the documents with its filter value.
        retrievers: With what.
        depth: How deep.
        fingerprint: Of the build that is searched by all of them; empty for the one that is in use now.
        texts_of: The documents' texts by id, where relevance is a matter of texts.

    Returns:
        For each retriever, in the given order, one result per question in the order of the questions, each of at
        most as many documents as the model is shown or the deepest cut-off needs.

    Raises:
        IndexMismatchError: If the index has not been built, or with another model, or was replaced and is gone.
        ServiceError: If the search engine fails.
    """
    methods = {retriever.method for retriever in retrievers}
    fused = {r.name: max(depth.top_k, r.candidates) for r in retrievers if r.method == "hybrid"}
    deepest = max(kept_depth(depth), *fused.values(), 1)
    filters = [question.filter_value for question in questions]
    texts = [question.question for question in questions]
    index.hold(fingerprint)
    text = index.search_text(texts, filters, deepest) if methods & {"text", "hybrid"} else []
    vector = (
        index.search_vector(embedder.embed_queries(texts), filters, deepest) if methods & {"vector", "hybrid"} else []
    )
    found: dict[str, list[SearchResult]] = {}
    for retriever in retrievers:
        if retriever.method == "hybrid":
            found[retriever.name] = [_fused(*pair, fused[retriever.name]) for pair in zip(text, vector, strict=True)]
        else:
            found[retriever.name] = text if retriever.method == "text" else vector
    return {name: _retrievals(name, questions, results, depth, texts_of) for name, results in found.items()}


def _fused(text: SearchResult, vector: SearchResult, candidates: int) -> SearchResult:
    """Return the hybrid of two results: the first `candidates` hits of each, fused by reciprocal rank."""
    rankings = [[hit.document_id for hit in found.hits[:candidates]] for found in (text, vector)]
    return SearchResult(hits=tuple(reciprocal_rank_fusion(rankings)), latency_s=text.latency_s + vector.latency_s)


def _retrievals(
    retriever: str,
    questions: Sequence[Question],
    found: Sequence[SearchResult],
    depth: RetrievalConfig,
    texts_of: Mapping[str, str],
) -> list[Retrieval]:
    return [
        retrieval_row(retriever, question, result.hits, result.latency_s, depth, texts_of)
        for question, result in zip(questions, found, strict=True)
    ]


def stored_retrievers(run: Run) -> set[str]:
    """Return the names of the retrievers whose results the run has, for every question."""
    if not run.has("retrieval"):
        return set()
    stored = run.read("retrieval")
    failed = stored.filter(pc.is_valid(stored["error"]))
    return set(stored["retriever"].unique().to_pylist()) - set(failed["retriever"].unique().to_pylist())


def retrieve_run(run: Run, config: EvaluationConfig, names: Sequence[str]) -> dict[str, float]:
    """Search for every question of the run and store what was found beside what is stored.

    Args:
        run: The run, with its questions stored.
        config: Where to search, and how deep.
        names: Of the retrievers to search with; those whose results are stored are left alone, and where some
            questions have failed, only these are searched for again.

    Returns:
        The hit rate at `top_k` of each retriever that was used now.

    Raises:
        InputError: If one cannot search; what the others before it have found is stored.
    """
    stored = run.read("retrieval") if run.has("retrieval") else RETRIEVAL.empty_table()
    done = stored_retrievers(run)
    wanted = [r for r in config.retrievers if r.name in names and r.name not in done]
    found: dict[str, list[Retrieval]] = {}
    try:
        ours = [retriever for retriever in wanted if not retriever.is_own]
        for text in dict.fromkeys(text_query(retriever) for retriever in ours):
            searched = [retriever for retriever in ours if text_query(retriever) == text]
            found |= _retrieve_with(run, config, searched, text)
        for retriever in (one for one in wanted if one.is_own):
            before = stored.filter(pc.equal(stored["retriever"], retriever.name))
            found[retriever.name] = retrieve_own(run, config, retriever, before)
    finally:
        if found:
            _write(run, config, stored, found)
    k = config.retrieval.top_k
    ranks = {
        name: np.array([row.first_relevant_rank for row in rows if row.error is None], dtype=np.float64)
        for name, rows in found.items()
    }
    return {name: float(hit(rank, k).mean()) for name, rank in ranks.items()}


def _write(run: Run, config: EvaluationConfig, stored: pa.Table, found: Mapping[str, Sequence[Retrieval]]) -> None:
    """Store what was found beside what is stored, in the order of the configuration."""
    tables = {name: to_table(rows, RETRIEVAL) for name, rows in found.items()}
    known = set(stored["retriever"].unique().to_pylist()) - tables.keys()
    tables |= {name: stored.filter(pc.equal(stored["retriever"], name)) for name in known}
    run.write("retrieval", pa.concat_tables(tables[r.name] for r in config.retrievers if r.name in tables))


def _retrieve_with(
    run: Run, config: EvaluationConfig, retrievers: Sequence[RetrieverConfig], text: TextQuery
) -> dict[str, list[Retrieval]]:
    """Search with retrievers that combine fields in one way."""
    index = open_index(config.index, text, run.cache, config.data)
    try:
        embedder = load_embedder(config.index.embedding_model, config.index.batch_size, run.cache)
        searched = searched_index(run)
        fingerprint = searched.fingerprint if searched else ""
        questions = list(read_questions(run))
        by_text = any(question.relevant_texts for question in questions)
        texts_of = {document.document_id: document.text for document in read_documents(run).values()} if by_text else {}
        return retrieve(index, embedder, questions, retrievers, config.retrieval, fingerprint, texts_of)
    finally:
        index.close()
