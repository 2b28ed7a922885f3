"""The cells of a run's answers -> the worst cases of each cell, and the whole section of the page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from rageval.comparison.blame import (
    KEYS,
    SystemBlame,
    blame_counts,
    shown_cells,
    verdict_metric,
    where_to_work,
    why_no_blame,
)
from rageval.metrics.cosine import COSINE

CASES_PER_CELL: Final = 3
_SHOWN: Final = 80
CELLS_TO_READ: Final = (
    "answered anyway", "generation miss", "refused with the context", "search miss", "correct refusal", "lucky",
    "rightly refused", "right",
)  # fmt: skip
"""The cells that there is something to read in, the most telling ones first."""


@dataclass(frozen=True, kw_only=True)
class ShownDocument:
    """One document that the model was shown, by its title."""

    rank: int
    title: str
    right: bool


@dataclass(frozen=True, kw_only=True)
class BlameCase:
    """One answer with what is needed to see why it is in its cell."""

    system: str
    question: str
    answer: str
    references: Sequence[str]
    right_title: str
    """Title of the document that the question was made from."""
    label: str | None
    """The judge's label."""
    reason: str | None
    """The judge's reason."""
    contexts: Sequence[ShownDocument] | None
    """None where nobody knows what it was shown."""


@dataclass(frozen=True, kw_only=True)
class Blame:
    """Everything that the section shows; with a reason, nothing else is filled in."""

    missing: str | None
    """Why there is no blame, or None."""
    sentence: str = ""
    metric: str = ""
    """The metric that told right from wrong."""
    systems: Sequence[SystemBlame] = ()
    cases: Mapping[str, Sequence[BlameCase]]

    @property
    def meanings(self) -> Mapping[str, str]:
        """What each cell means that is shown."""
        return shown_cells(self.systems)


def blame_section(
    blame: pa.Table,
    documents: pa.Table,
    questions: pa.Table,
    systems: pa.Table,
    answers: pa.Table,
    scores: pa.Table,
) -> Blame:
    """Return counts, the sentence on top, and the worst cases of each cell.

    Args:
        blame: Table `tables.BLAME`, as from `blame_table`.
        documents: Table `tables.DOCUMENTS`.
        questions: Table `tables.QUESTIONS`.
        systems: Table `tables.SYSTEMS`; the sentence on top is about pipelines alone, as the others have no retrieval.
        answers: Table `tables.ANSWERS`.
        scores: Table `tables.SCORES`.
    """
    if not len(answers):
        return Blame(missing="No answers were asked for.", cases={})
    if reason := why_no_blame(scores):
        return Blame(missing=reason, cases={})
    found = blame_counts(blame, questions)
    return Blame(
        missing=None,
        sentence=where_to_work(_of_pipelines(blame, systems), questions),
        metric=verdict_metric(scores),
        systems=found,
        cases=worst_cases(blame, documents, questions, answers, scores),
    )


def _of_pipelines(blame: pa.Table, systems: pa.Table) -> pa.Table:
    """Return the rows of systems that have a retriever; all where none has."""
    names = systems.filter(pc.equal(systems["kind"], "pipeline"))["system"].combine_chunks()
    found = blame.filter(pc.is_in(blame["system"], value_set=names))
    return found if found.num_rows else blame


def worst_cases(
    blame: pa.Table,
    documents: pa.Table,
    questions: pa.Table,
    answers: pa.Table,
    scores: pa.Table,
) -> dict[str, list[BlameCase]]:
    """Return up to three cases of each cell that has any: lowest verdict first, then lowest cosine.

    Each question stands once in a cell, with the system that did worst on it. Ties keep the order of the table.
    """
    chosen = _chosen(blame, scores)
    ids = pa.array(chosen["question_id"].unique().tolist(), pa.string())
    asked = {row["question_id"]: row for row in _of(questions, ids).to_pylist()}
    answered = {tuple(row[key] for key in KEYS): row for row in _of(answers, ids).to_pylist()}
    titles = _titles(documents, [*asked.values()], [*answered.values()])
    cases: dict[str, list[BlameCase]] = {}
    for row in chosen.to_dict("records"):
        key, question = tuple(row[name] for name in KEYS), asked[row["question_id"]]
        right = [titles[name] for name in question["relevant_ids"] if name in titles]
        cases.setdefault(row["cell"], []).append(
            BlameCase(
                system=row["system"],
                question=question["question"],
                answer=answered[key]["answer"] or "",
                references=question["references"],
                right_title=_title(right[0]) if right else "",
                label=row["label"],
                reason=row["reason"],
                contexts=_contexts(answered[key]["context_ids"], question["relevant_ids"], titles),
            )
        )
    return {cell: cases[cell] for cell in CELLS_TO_READ if cell in cases}


def _chosen(blame: pa.Table, scores: pa.Table) -> pd.DataFrame:
    """Return the rows of the cases, with the judge's label and reason."""
    readable = pc.is_in(blame["cell"], pa.array(CELLS_TO_READ))
    frame = blame.filter(readable).select([*KEYS, "cell"]).to_pandas()
    frame = frame.merge(_scored(scores, verdict_metric(scores), ["label", "reason"]), on=KEYS, how="left")
    frame = frame.merge(_scored(scores, COSINE.name, []), on=KEYS, how="left", suffixes=("", "_cosine"))
    ranked = frame.sort_values(["value", "value_cosine"], kind="stable", na_position="last")
    chosen = ranked.drop_duplicates(["cell", "question_id"]).groupby("cell", sort=False).head(CASES_PER_CELL)
    return chosen.astype({"label": object, "reason": object}).replace({float("nan"): None})


def _scored(scores: pa.Table, metric: str, columns: list[str]) -> pd.DataFrame:
    wanted = pc.and_(pc.equal(scores["metric"], metric), pc.equal(scores["status"], "ok"))
    return scores.select([*KEYS, "value", *columns]).filter(wanted).to_pandas().astype({"system": object})


def _of(table: pa.Table, ids: pa.Array) -> pa.Table:
    return table.filter(pc.is_in(table["question_id"], ids))


def _titles(
    documents: pa.Table, questions: Sequence[Mapping[str, Any]], answers: Sequence[Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    """Return the right and the shown documents by id."""
    needed = {name for row in questions for name in row["relevant_ids"]}.union(
        *(row["context_ids"] or () for row in answers)
    )
    brought: dict[str, Mapping[str, Any]] = {
        id_: {"text": text}
        for row in answers
        for id_, text in zip(row["context_ids"] or (), row["context_texts"] or (), strict=False)
        if text is not None
    }
    rows = documents.filter(pc.is_in(documents["document_id"], pa.array(sorted(needed), pa.string()))).to_pylist()
    return brought | {row["document_id"]: row for row in rows}


def _contexts(
    context_ids: Sequence[str] | None, right: Sequence[str], titles: Mapping[str, Mapping[str, Any]]
) -> list[ShownDocument] | None:
    if context_ids is None:
        return None
    return [
        ShownDocument(rank=rank, title=_title(titles.get(shown, {})), right=shown in right)
        for rank, shown in enumerate(context_ids, start=1)
    ]


def _title(document: Mapping[str, Any]) -> str:
    """Return the title of a document, or the beginning of its text; nothing where it is unknown."""
    return str(document.get("title") or " ".join(document.get("text", "").split())[:_SHOWN])
