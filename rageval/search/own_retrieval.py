"""Questions of a run -> what a retriever of one's own finds for them, matched to documents: rows of `retrieval`."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, Final

import pyarrow as pa

from rageval.config.evaluation import EvaluationConfig, IndexConfig
from rageval.config.systems import RetrieverConfig
from rageval.embedding.embedder import load_embedder
from rageval.errors import DataError, ServiceError
from rageval.records import Question, Retrieval
from rageval.runs.found_documents import add_found_documents, found_documents
from rageval.runs.inputs import read_documents, read_questions
from rageval.runs.run import Run
from rageval.search.own_search import OwnSearch, PassageResult
from rageval.search.passages import PassageMatching
from rageval.search.retrieval_rows import kept_depth, retrieval_row
from rageval.storage.places import Place

_TRIED: Final = 20
"""Searches of which one has to work before all others are made."""


def open_own(retriever: RetrieverConfig, depth: int, filter_by: str) -> OwnSearch:
    """Return the search of a retriever of one's own; nothing is asked yet.

    Raises:
        InputError: If its query or its function cannot be used, or the run may not use them.
    """
    if retriever.elasticsearch:
        from rageval.search.existing_index import ExistingIndex  # noqa: PLC0415 - slow import, not always needed

        return ExistingIndex(retriever.elasticsearch, retriever.question_boost, depth)
    from rageval.search.function_search import FunctionSearch  # noqa: PLC0415 - same

    return FunctionSearch(retriever, depth, filter_by)


def search_own(
    search: OwnSearch,
    retriever: RetrieverConfig,
    questions: Sequence[Question],
    index: IndexConfig,
    cache: Place,
    *,
    has_worked: bool = False,
) -> list[PassageResult]:
    """Return what is found for each question; an embedding model is loaded only where vectors are needed.

    Args:
        search: What searches.
        retriever: Its settings.
        questions: What is searched for.
        index: Which embedding model there is, unless the retriever names one of its own.
        cache: Where vectors are kept.
        has_worked: Whether it has found something for other questions: then all of these may fail.

    Raises:
        ServiceError: If each of the first searches fails.
        InputError: If no search can work.
    """
    vectors = None
    if search.needs_vectors:
        existing = retriever.elasticsearch
        model = (existing.embedding_model if existing else "") or index.embedding_model
        embedder = load_embedder(model, index.batch_size, cache)
        vectors = embedder.embed_queries([question.question for question in questions])
    results: list[PassageResult] = []
    for part in (slice(0, _TRIED), slice(_TRIED, None)):
        results += search.search(questions[part], None if vectors is None else vectors[part])
        if results and not has_worked and all(result.error for result in results):
            raise ServiceError(
                f"the retriever {retriever.name} failed for each of the first {len(results)} questions: "
                f"{results[0].error}; correct it, and run again"
            )
    return results


def retrieve_own(run: Run, config: EvaluationConfig, retriever: RetrieverConfig, before: pa.Table) -> list[Retrieval]:
    """Search with one retriever, keep the texts that it brings, and return its rows.

    Args:
        run: The run, with its documents and questions stored.
        config: How deep is searched.
        retriever: One's own.
        before: What is stored of it; a row of this that has no error stays.

    Raises:
        InputError: If no search can work.
        DataError: If a system is to be shown what it finds, and a text is nowhere.
    """
    questions = list(read_questions(run))
    done = {row["question_id"]: _record(row) for row in before.to_pylist() if row["error"] is None}
    asked = [question for question in questions if question.question_id not in done]
    with closing(open_own(retriever, kept_depth(config.retrieval), config.data.filter_by)) as search:
        results = search_own(search, retriever, asked, config.index, run.cache, has_worked=bool(done))
    matching = PassageMatching(list(read_documents(run).values()), found_documents(run))
    for question, result in zip(asked, results, strict=True):
        matched = matching.matched(result.hits)[: kept_depth(config.retrieval)]
        shown = tuple(one.shown_id for one in matched)
        if retriever.name in config.answer_retrievers:
            _check_texts(retriever.name, shown[: config.retrieval.top_k], matching)
        hits = [one.hit for one in matched]
        texts = {one.hit.document_id: matching.text_of(one.shown_id) for one in matched}
        row = retrieval_row(retriever.name, question, hits, result.latency_s, config.retrieval, texts)
        done[question.question_id] = replace(
            row, shown_ids=None if shown == row.document_ids else shown, error=result.error
        )
    add_found_documents(run, matching.new)
    return [done[question.question_id] for question in questions]


def _check_texts(retriever: str, shown: Sequence[str], matching: PassageMatching) -> None:
    """Make sure that a model can be shown what was found."""
    if without := [shown_id for shown_id in shown if matching.lacks_text(shown_id)]:
        raise DataError(
            f"the retriever {retriever} has found the document {without[0]}, of which neither it nor data.documents "
            "has a text that a model could be shown; let it bring texts (text_field of an index), or add the document"
        )


def _record(row: Mapping[str, Any]) -> Retrieval:
    """Return a stored row as a record."""
    lists = {name: tuple(row[name]) for name in ("document_ids", "scores", "shown_ids") if row[name] is not None}
    return Retrieval(**{**row, **lists})
