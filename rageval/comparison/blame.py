"""The tables of a run -> for each answer, whether search or generation is to blame, counted per system.

Two things decide the cell of an answer: whether the right document was among those that the model was shown, and
what came of it. An answer that says that it does not know is a refusal, whatever the judge says of it. One that the
judge calls partly right counts as wrong, and is counted apart as well. Of a question that is known to have no answer a
refusal is right and all else is wrong, and there is nothing that a search could miss.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rageval.metrics.refusal import REFUSAL
from rageval.metrics.truthfulness import VERDICTS
from rageval.pages.formats import count
from rageval.runs.alignment import places
from rageval.runs.clusters import clusters
from rageval.statistics.intervals import mean_interval
from rageval.tables import BLAME, relevant_ids

KEYS = ["question_id", "system"]
CELLS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "right": "the right document was shown, and the answer is right",
        "generation miss": "the right document was shown, and the answer is wrong",
        "refused with the context": "the right document was shown, and the model says that it does not know",
        "search miss": "the right document was not shown, and the answer is wrong",
        "correct refusal": "the right document was not shown, and the model says that it does not know",
        "lucky": "the right document was not shown, and the answer is right: known without it, or from another one",
        "rightly refused": "nothing holds the answer, and the model says that it does not know",
        "answered anyway": "nothing holds the answer, and the model gives one all the same",
        "search not known": "nobody knows what the model was shown, or which document is right",
        "not judged": "there is an answer, and no verdict on it",
        "no answer": "the request failed, or was not made",
    }
)
"""Every cell and what it means; each question is in exactly one of them for each system."""
SEARCH_FAILED: Final = ("search miss", "correct refusal")
GENERATION_FAILED: Final = ("generation miss", "refused with the context", "answered anyway")
_ALWAYS_SHOWN = 6

_Words = NDArray[np.object_]
_CELL_OF = {
    (True, "right"): "right",
    (True, "partly"): "generation miss",
    (True, "wrong"): "generation miss",
    (True, "refused"): "refused with the context",
    (False, "right"): "lucky",
    (False, "partly"): "search miss",
    (False, "wrong"): "search miss",
    (False, "refused"): "correct refusal",
}


@dataclass(frozen=True, kw_only=True)
class CellCount:
    """How many questions of one system are in a cell."""

    cell: str
    n: int
    share: float
    """Of all questions, in [0, 1]."""
    low: float | None
    """95 % interval of the share, clustered by document; None below 2 documents."""
    high: float | None

    @property
    def words(self) -> str:
        """Count and share."""
        return f"{count(self.n)} ({100 * self.share:.1f} %)"

    @property
    def interval(self) -> str:
        """The interval in percent, empty if there is none."""
        return "" if self.low is None or self.high is None else f"[{100 * self.low:.1f}, {100 * self.high:.1f}]"


@dataclass(frozen=True, kw_only=True)
class SystemBlame:
    """The cells of one system; the counts add up to the number of questions."""

    name: str
    cells: Sequence[CellCount]
    partly: int
    """Answers that the judge calls partly right, which count as wrong."""


def why_no_blame(scores: pa.Table) -> str | None:
    """Return why right cannot be told from wrong or refused in this run, or None if it can."""
    found = scores["metric"].unique().to_pylist()
    if not any(name in found for name in VERDICTS):
        return "No judge has graded these answers, so right cannot be told from wrong."
    refusals = scores["status"].filter(pc.equal(scores["metric"], REFUSAL.name))
    if len(refusals) and not pc.any(pc.equal(refusals, "ok")).as_py():
        return (
            "The metric refusal has no value for these answers, because it reads only English, so a refusal cannot be "
            "told from a wrong answer."
        )
    if REFUSAL.name not in found:
        return (
            "The metric refusal is missing, so a refusal cannot be told from a wrong answer: `rageval rescore RUN` "
            "adds it without asking a model."
        )
    return None


def verdict_metric(scores: pa.Table) -> str:
    """Return the metric that tells right from wrong: with reference, or without where no such verdict was read."""
    scored = scores["metric"].filter(pc.equal(scores["status"], "ok")).unique().to_pylist()
    return next((name for name in VERDICTS if name in scored), VERDICTS[0])


def blame_table(
    questions: pa.Table,
    answers: pa.Table,
    scores: pa.Table,
    *,
    accept_alternates: bool = False,
    ranks: Mapping[str, Mapping[str, float]] = MappingProxyType({}),
) -> pa.Table:
    """Return the cell of every question, for every system that has answers.

    Args:
        questions: Table `tables.QUESTIONS`; gives each question's right document.
        answers: Table `tables.ANSWERS`; says which documents each answer was given from.
        scores: Table `tables.SCORES`; refusals, and the verdicts of `verdict_metric`.
        accept_alternates: Whether the other right documents of a question count like its own.
        ranks: Of each system, the rank of the first right document, or NaN, by question id: for questions of which it
            is only known by its text what is right, see `ranks_by_text`.

    Returns:
        Table `tables.BLAME`, a row per question and system, in the order of the questions; without rows if
        `why_no_blame` has a reason. A question that was never asked is in "no answer".
    """
    if why_no_blame(scores):
        return BLAME.empty_table()
    ids = pd.Index(questions["question_id"].to_pandas().unique())
    verdicts, refusals = (_values(scores, metric, ids) for metric in (verdict_metric(scores), REFUSAL.name))
    none = np.full(len(ids), np.nan)
    right = {
        row["question_id"]: relevant_ids(row, accept_alternates=accept_alternates)
        for row in questions.select(["question_id", "relevant_ids", "alternate_ids"]).to_pylist()
    }
    known = questions.select(["question_id", "answerable"]).to_pandas().drop_duplicates("question_id")
    hopeless = known["answerable"].eq(False).to_numpy(dtype=np.bool_)
    parts = []
    for system, rows in _by_system(answers, ["status", "context_ids"], ids):
        ok = rows["status"].eq("ok").to_numpy()
        outcome = _outcomes(ok, refusals.get(system, none), verdicts.get(system, none), hopeless)
        by_text = ranks.get(system, {})
        pairs = rows["context_ids"].items()
        shown = np.array([_has(context_ids, right[id_], by_text.get(id_)) for id_, context_ids in pairs], object)
        cell = _cells(shown, outcome, hopeless)
        columns = {"question_id": ids, "system": system, "shown": shown, "outcome": outcome, "cell": cell}
        parts.append(pd.DataFrame(columns))
    if not parts:
        return BLAME.empty_table()
    return pa.Table.from_pandas(pd.concat(parts), schema=BLAME, preserve_index=False)


def blame_counts(blame: pa.Table, questions: pa.Table) -> list[SystemBlame]:
    """Return the counts of each system, in the order of the table.

    Args:
        blame: Table `tables.BLAME`.
        questions: Table `tables.QUESTIONS`; gives each question's document.
    """
    frame = blame.to_pandas()
    documents = _documents(frame, questions)
    found = []
    for system, rows in frame.groupby("system", sort=False):
        clusters = documents[rows.index.to_numpy()]
        cells = [_count(cell, rows["cell"].eq(cell).to_numpy(dtype=np.float64), clusters) for cell in CELLS]
        found.append(SystemBlame(name=str(system), cells=cells, partly=int(rows["outcome"].eq("partly").sum())))
    return found


def blame_rows(found: Sequence[SystemBlame]) -> list[dict[str, str]]:
    """Return a row of text per cell with a column per system; all but the first cells only if anything is there."""
    return [
        {"cell": cell} | {system.name: system.cells[rank].words for system in found}
        for rank, cell in enumerate(CELLS)
        if cell in shown_cells(found)
    ]


def shown_cells(found: Sequence[SystemBlame]) -> dict[str, str]:
    """Return the cells that are shown, and what they mean: all but the first ones only if anything is in them."""
    return {
        cell: meaning
        for rank, (cell, meaning) in enumerate(CELLS.items())
        if (found and rank < _ALWAYS_SHOWN) or any(system.cells[rank].n for system in found)
    }


def where_to_work(blame: pa.Table, questions: pa.Table) -> str:
    """Return a sentence that says whether search or generation loses more right answers, all systems together.

    One of them is called the larger part only where the 95 % interval of search's share, clustered by document,
    leaves out one half.
    """
    frame = blame.to_pandas()
    documents = _documents(frame, questions)
    in_search, in_generation = frame["cell"].isin(SEARCH_FAILED), frame["cell"].isin(GENERATION_FAILED)
    lost = (in_search | in_generation).to_numpy()
    n, searched = int(lost.sum()), int(in_search.sum())
    if not n:
        return "No judged answer is wrong or refused: there is nothing to blame on search or generation."
    single = frame["system"].nunique() == 1
    what = "questions that were not answered right" if single else "answers that were not right"
    interval = mean_interval(in_search.to_numpy(dtype=np.float64)[lost], documents[lost], bounds=(0, 1))
    if interval and interval.low > 0.5:
        advice = "Work on the search first."
    elif interval and interval.high < 0.5:
        advice = "Work on the prompt or the model first."
    else:
        advice = "Neither is clearly the larger part."
    there = "it was shown, or there is none" if frame["cell"].eq("answered anyway").any() else "it was shown"
    return (
        f"Of {count(n)} {what}, {count(searched)} failed in search (the right document was not shown) "
        f"and {count(n - searched)} in generation ({there}). {advice}"
    )


def _by_system(table: pa.Table, columns: list[str], ids: pd.Index) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the rows of each system, brought into the order of the questions."""
    frame = table.select([*KEYS, *columns]).to_pandas()
    for system, rows in frame.groupby("system", sort=False):
        known = rows.drop_duplicates("question_id", keep="last").set_index("question_id")
        yield str(system), known[columns].reindex(ids)


def _values(scores: pa.Table, metric: str, ids: pd.Index) -> dict[str, NDArray[np.float64]]:
    """Return a metric's values in the order of the questions, NaN where there is none."""
    is_one = pc.and_(pc.equal(scores["metric"], metric), pc.equal(scores["status"], "ok"))
    wanted = scores.select([*KEYS, "value"]).filter(is_one)
    return {system: rows["value"].to_numpy(np.float64) for system, rows in _by_system(wanted, ["value"], ids)}


def ranks_by_text(questions: pa.Table, systems: pa.Table, retrieval: pa.Table) -> dict[str, dict[str, float]]:
    """Return what `blame_table` has to know of questions whose right documents are known by their texts alone.

    Args:
        questions: Table `tables.QUESTIONS`.
        systems: Table `tables.SYSTEMS`; says whose results each is shown.
        retrieval: Table `tables.RETRIEVAL`; a search that failed says nothing.
    """
    no_ids = pc.equal(pc.list_value_length(questions["relevant_ids"]), 0)
    texts = pc.greater(pc.list_value_length(questions["relevant_texts"]), 0)
    wanted = questions.filter(pc.and_(no_ids, texts))["question_id"].combine_chunks()
    rows = retrieval.filter(pc.and_(pc.is_in(retrieval["question_id"], wanted), pc.is_null(retrieval["error"])))
    frame = rows.select(["question_id", "retriever", "first_relevant_rank"]).to_pandas()
    of_retriever = {
        str(name): dict(zip(group["question_id"], group["first_relevant_rank"].astype(float), strict=True))
        for name, group in frame.groupby("retriever", sort=False)
    }
    return {row["system"]: of_retriever.get(row["retriever"], {}) for row in systems.to_pylist()}


def _has(context_ids: object, right: set[str], rank: float | None) -> bool | None:
    """Return whether one of the right documents is among the contexts; None where either is not known."""
    if not isinstance(context_ids, np.ndarray) or not (right or rank is not None):
        return None
    return not right.isdisjoint(context_ids) if right else rank is not None and rank <= len(context_ids)


def _outcomes(
    answered: NDArray[np.bool_],
    refusal: NDArray[np.float64],
    verdict: NDArray[np.float64],
    hopeless: NDArray[np.bool_],
) -> _Words:
    unknown = (verdict == 0) & np.isnan(refusal)  # wrong, or a refusal that could not be read
    conditions = [~answered, refusal == 1, hopeless & (refusal == 0), hopeless, verdict == 1, unknown, verdict == 0]
    names = ["no answer", "refused", "wrong", "not judged", "right", "not judged", "wrong"]
    return np.select([*conditions, ~np.isnan(verdict)], [*names, "partly"], "not judged").astype(object)


def _cells(shown: _Words, outcome: _Words, hopeless: NDArray[np.bool_]) -> _Words:
    unjudged = np.isin(outcome, ["no answer", "not judged"])
    conditions = [unjudged, hopeless & (outcome == "refused"), hopeless, pd.isna(shown)]
    conditions += [(shown == was_shown) & (outcome == what) for was_shown, what in _CELL_OF]
    names = ["rightly refused", "answered anyway", "search not known", *_CELL_OF.values()]
    return np.select(conditions, [outcome, *names], "not judged").astype(object)


def _count(cell: str, inside: NDArray[np.float64], documents: NDArray[np.int64]) -> CellCount:
    interval = mean_interval(inside, documents, bounds=(0, 1))
    return CellCount(
        cell=cell,
        n=int(inside.sum()),
        share=float(inside.mean()),
        low=interval.low if interval else None,
        high=interval.high if interval else None,
    )


def _documents(frame: pd.DataFrame, questions: pa.Table) -> NDArray[np.int64]:
    """Return a number for the document of each row's question."""
    of_question = clusters(questions)
    return np.asarray(of_question, dtype=np.int64)[places(frame["question_id"], of_question.index)]
