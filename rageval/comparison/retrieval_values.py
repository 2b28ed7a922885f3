"""Tables of questions and of what was found for them -> every retrieval metric of every question, at several k."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rageval.metrics.catalogue import of_kind
from rageval.metrics.grades import Grades, Ranking, Values, text_id
from rageval.metrics.metric import RetrievalMetric
from rageval.metrics.names import at

Integers: TypeAlias = NDArray[np.int64]


def retrieval_values(
    questions: pa.Table, retrieval: pa.Table, cutoffs: Sequence[int], *, accept_alternates: bool
) -> dict[str, Values]:
    """Return every retrieval metric at every cut-off, by name: `hit_rate@1`, `mrr@1`, ...

    Hit rate and reciprocal rank follow from the column `first_relevant_rank`, the others from `document_ids` and the
    grades of the questions. Nothing found is 0, not a gap; a search that failed has no values, nor has a question for
    which nothing is known to be relevant.

    Args:
        questions: Table `tables.QUESTIONS`.
        retrieval: Rows of the table `tables.RETRIEVAL`, n of them, deep enough for the largest cut-off.
        cutoffs: Every k, each 1 or more.
        accept_alternates: Whether the other documents of the same question are right, or the row's own alone.

    Returns:
        An array of shape `(n,)` per metric, in [0, 1] or NaN, in the order of the rows; by cut-off, then as in the
        catalogue.

    Raises:
        ValueError: If a cut-off is below 1, or a row belongs to a question that is not in `questions`.
    """
    known = ~failed_searches(retrieval) & has_relevant(questions, retrieval)
    rows = retrieval if known.all() else retrieval.filter(pa.array(known))
    found = rankings(questions, rows, max(cutoffs, default=1), accept_alternates=accept_alternates)
    values = {}
    for k in cutoffs:
        for metric in of_kind(RetrievalMetric):
            of_all = np.full(len(known), np.nan)
            of_all[known] = metric.compute(found, k)
            values[at(metric.name, k)] = of_all
    return values


def has_relevant(questions: pa.Table, retrieval: pa.Table) -> NDArray[np.bool_]:
    """Return for each row of a table of results whether anything is known to be relevant for its question."""
    known = pc.greater(pc.list_value_length(questions["relevant_ids"]), 0)
    if "relevant_texts" in questions.column_names:
        known = pc.or_(known, pc.greater(pc.list_value_length(questions["relevant_texts"]), 0))
    of_question = np.asarray(pc.fill_null(known, False).to_numpy(), dtype=np.bool_)
    return of_question[_positions(retrieval["question_id"], questions["question_id"])]


def failed_searches(retrieval: pa.Table) -> NDArray[np.bool_]:
    """Return for each row of a table of results whether its search failed; those of sweeps never have."""
    if "error" not in retrieval.column_names:
        return np.zeros(retrieval.num_rows, np.bool_)
    return np.asarray(pc.is_valid(retrieval["error"]).to_numpy(), dtype=np.bool_)


def rankings(questions: pa.Table, retrieval: pa.Table, depth: int, *, accept_alternates: bool) -> Ranking:
    """Return what was found and what should have been, for each row of the retrieval table.

    Args:
        questions: As in `retrieval_values`.
        retrieval: As in `retrieval_values`.
        depth: Ranks that are looked at; a document that stands twice in a row takes one rank, its first.
        accept_alternates: As in `retrieval_values`.

    Raises:
        ValueError: If a row belongs to a question that is not in `questions`.
    """
    owner = _positions(retrieval["question_id"], questions["question_id"])
    asked, right_ids, grades = _right_documents(questions, accept_alternates=accept_alternates)
    ids = retrieval["document_ids"]
    if "counted_as" in retrieval.column_names:
        ids = pc.coalesce(retrieval["counted_as"], ids)
    row = pc.list_parent_indices(ids).to_numpy().astype(np.int64)
    codes, distinct = _codes([right_ids, pc.list_flatten(ids)])
    right_keys = asked * distinct + codes[: len(asked)]
    order = np.argsort(right_keys, kind="stable")
    found = np.zeros((retrieval.num_rows, depth), np.int8)
    row, code, rank = _ranked(row, codes[len(asked) :], distinct)
    within = rank < depth
    row, code, rank = row[within], code[within], rank[within]
    keys = owner[row] * distinct + code
    place = np.minimum(np.searchsorted(right_keys[order], keys), max(0, len(order) - 1))
    is_right = right_keys[order][place] == keys if len(order) else np.zeros(len(keys), bool)
    found[row[is_right], rank[is_right]] = grades[order][place[is_right]]
    first = retrieval["first_relevant_rank"].to_numpy().astype(np.float64)
    return Ranking(first=first, found=found, right=_padded(asked, grades, questions.num_rows)[owner])


def _positions(ids: pa.ChunkedArray, known: pa.ChunkedArray) -> Integers:
    """Return where each id stands among the known ones."""
    places = pc.index_in(ids, value_set=known.combine_chunks())
    if places.null_count:
        stranger = ids.filter(pc.is_null(places))[0].as_py()
        raise ValueError(f"retrieval holds question_id {stranger!r}, which is not in the questions table")
    return np.asarray(places.to_numpy(), dtype=np.int64)


def _right_documents(questions: pa.Table, *, accept_alternates: bool) -> tuple[Integers, Any, Integers]:
    """Return question, document id and grade of every pair of a question and a relevant document, each once."""
    kinds = ("relevant", "alternate") if accept_alternates else ("relevant",)
    ids = [chunk for kind in kinds for chunk in pc.list_flatten(questions[f"{kind}_ids"]).chunks]
    asked = [pc.list_parent_indices(questions[f"{kind}_ids"]).to_numpy().astype(np.int64) for kind in kinds]
    grades = [_integers(pc.list_flatten(questions[f"{kind}_grades"])) for kind in kinds]
    if "relevant_texts" in questions.column_names:
        texts = questions["relevant_texts"]
        asked.append(pc.list_parent_indices(texts).to_numpy().astype(np.int64))
        counts = pc.fill_null(pc.list_value_length(texts), 0).to_pylist()
        named = [text_id(number) for n in counts for number in range(n)]
        ids.append(pa.array(named, pa.string()))
        grades.append(np.ones(len(named), np.int64))
    return np.concatenate(asked), pa.chunked_array(ids, pa.string()), np.concatenate(grades)


def _integers(column: pa.ChunkedArray) -> Integers:
    return np.asarray(column.to_numpy(), dtype=np.int64)


def _codes(parts: Sequence[pa.ChunkedArray]) -> tuple[Integers, int]:
    """Return a number for each text, the same for the same text, and how many different ones there are."""
    chunks = [chunk for part in parts for chunk in part.chunks]
    encoded = pa.chunked_array(chunks, pa.string()).combine_chunks().dictionary_encode()
    return np.asarray(encoded.indices.to_numpy(zero_copy_only=False), dtype=np.int64), max(1, len(encoded.dictionary))


def _ranked(row: Integers, code: Integers, distinct: int) -> tuple[Integers, Integers, Integers]:
    """Return row, code and rank (from 0) of every document, without those that stand in their row already."""
    first = np.sort(np.unique(row * distinct + code, return_index=True)[1])
    row, code = row[first], code[first]
    starts = np.searchsorted(row, row, side="left")
    return row, code, np.arange(len(row)) - starts


def _padded(owner: Integers, grades: Integers, n: int) -> Grades:
    """Return the grades of each owner as a row, the highest first, filled up with 0."""
    order = np.lexsort((-grades, owner))
    owner, grades = owner[order], grades[order]
    rank = np.arange(len(owner)) - np.searchsorted(owner, owner, side="left")
    padded = np.zeros((n, int(rank.max(initial=0)) + 1), np.int8)
    padded[owner, rank] = grades
    return padded
