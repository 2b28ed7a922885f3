"""The answers and verdicts of a run -> what did not bring what was asked for, in sentences, and whether it is too much.

A group is what one cell of the report's tables is computed from: the answers of one system, the verdicts of one judge
on one metric of these. Second verdicts, and those asked for alone beside combined ones, are compared over all answers
together, so they are one group a judge and metric. A group that has lost too much is never hidden by all the others.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from rageval.config.models import LOCAL
from rageval.metrics import catalogue
from rageval.metrics.metric import EmbeddingMetric
from rageval.metrics.names import AGAIN, SINGLE, split_detail
from rageval.metrics.pairwise import PAIRWISE

Problem = Literal["failed", "could not be read", "failed or could not be read", "were cut for their length"]
_CUT: Final = ("length", "max_tokens")
"""What a finish_reason says, in small letters, of a reply that ended because it had become too long."""
_ANSWER, _REFERENCE = "answer", "reference"
ANSWER_COLUMNS: Final = ("system", "status", "error", "finish_reason")
"""Columns of the answers that are read here."""
VERDICT_COLUMNS: Final = ("system", "metric", "status", "error", "judge_model", "request_fingerprint")
"""Columns of the scores that are read here, but for `beginnings_compared`."""
_SAID: Final = 3
"""Groups that one sentence names."""


@dataclass(frozen=True, kw_only=True)
class Shortfall:
    """Those of a group of answers or verdicts that did not bring what was asked for."""

    what: str
    """The group, such as `verdicts of correctness by m1`."""
    problem: Problem
    n: int
    of: int
    """How many were asked for."""
    advice: str
    """The reason that occurs most often, or what to do."""

    @property
    def count(self) -> str:
        """How many of how many, in words."""
        return f"{self.n} of {self.of} {self.what} {self.problem}"

    @property
    def sentence(self) -> str:
        """The same with the reason."""
        return f"{self.count} ({self.advice})"

    def is_beyond(self, limit: float) -> bool:
        """Return whether it is more than that share."""
        return self.n > limit * self.of


def shortfalls(answers: pa.Table, scores: pa.Table) -> list[Shortfall]:
    """Return what did not bring what was asked for, over all systems together.

    Args:
        answers: Table `tables.ANSWERS`.
        scores: Table `tables.SCORES`.
    """
    return [*_of_answers(answers), *_of_verdicts(scores, ())]


def too_many(answers: pa.Table, scores: pa.Table, limit: float, *, rambling: Collection[str] = ()) -> list[Shortfall]:
    """Return the groups that have lost more than that share of what was asked for.

    Args:
        answers: Table `tables.ANSWERS`.
        scores: Table `tables.SCORES`.
        limit: Share, in [0, 1].
        rambling: Systems whose answers may be cut: the embedded model repeats itself until its tokens are used up,
            however many it gets.
    """

    def beyond(keys: Sequence[str]) -> list[Shortfall]:
        of_answers = _of_answers(answers, rambling)
        return [found for found in (*of_answers, *_of_verdicts(scores, keys)) if found.is_beyond(limit)]

    return beyond(()) or beyond(("system",))


def cut_systems(answers: pa.Table, limit: float, *, rambling: Collection[str] = ()) -> frozenset[str]:
    """Return the systems of whose answers more than that share was cut; arguments of `too_many`."""
    groups = ((key[0], rows) for key, rows in _groups(answers, ("system",)) if key[0] not in rambling)
    return frozenset(system for system, rows in groups if _cut(rows).num_rows > limit * rows.num_rows)


def in_words(found: Sequence[Shortfall]) -> str:
    """Return how much the groups have lost, as a clause, without the advice."""
    counts = [one.count for one in found[:_SAID]]
    if len(found) > _SAID:
        counts.append(f"{len(found) - _SAID} more like that")
    return counts[0] if len(counts) == 1 else f"{', '.join(counts[:-1])} and {counts[-1]}"


def only_beginning_of(longest: int | None, answer: int | None, reference: int | None) -> str | None:
    """Return in words which of two texts an embedding model has read the beginning of only, or None.

    Args:
        longest: Tokens that it reads.
        answer: Tokens of the answer if there are more, else None.
        reference: The same of the reference.
    """
    named = ((_ANSWER, answer), (_REFERENCE, reference))
    parts = [f"{name} of {tokens} tokens" for name, tokens in named if tokens is not None]
    return f"compared by the first {longest} tokens: {' and '.join(parts)}" if parts else None


def beginnings_compared(scores: pa.Table) -> str | None:
    """Return in a sentence how many answers and references were compared by their beginning only, or None.

    Args:
        scores: Table `tables.SCORES`.
    """
    embedded = pa.array([metric.name for metric in catalogue.of_kind(EmbeddingMetric)], pa.string())
    rows = scores.filter(pc.and_(pc.is_in(scores["metric"], embedded), pc.equal(scores["status"], "ok")))
    notes = rows["reason"].drop_null().to_pylist()
    if not notes:
        return None
    answers, references = (sum(f"{name} of" in note for note in notes) for name in (_ANSWER, _REFERENCE))
    return (
        f"the cosine compares beginnings only in {len(notes):,} of {rows.num_rows:,} cases, because the embedding "
        f"model reads no further: answers in {answers:,}, references in {references:,}"
    )


def asked_verdicts(scores: pa.Table) -> pa.Table:
    """Return the verdicts that a judge was asked for: not what a panel comes to, nor what had no answer to judge.

    Args:
        scores: Table `tables.SCORES`.
    """
    asked = pc.and_(pc.is_valid(scores["request_fingerprint"]), pc.is_valid(scores["judge_model"]))
    return scores.filter(pc.and_(asked, pc.invert(pc.is_in(scores["status"], pa.array(["skipped", "not_measured"])))))


def _of_answers(answers: pa.Table, rambling: Collection[str] = ()) -> Iterator[Shortfall]:
    several = len(answers["system"].unique()) > 1
    for (system,), rows in _groups(answers, ("system",)):
        what = f"answers of {system}" if several else "answers"
        yield from _lost(rows, what)
        cut = 0 if system in rambling else _cut(rows).num_rows
        if cut:
            advice = f"raise max_completion_tokens of the model of {system}"
            if system.split(" + ")[0] == LOCAL:
                advice = "the embedded model repeats itself until its tokens are used up"
            yield Shortfall(what=what, problem="were cut for their length", n=cut, of=rows.num_rows, advice=advice)


def _of_verdicts(scores: pa.Table, keys: Sequence[str]) -> Iterator[Shortfall]:
    for (name, judge), rows in _groups(asked_verdicts(scores), ("metric", "judge_model")):
        metric, detail = split_detail(name)
        kind = {AGAIN: "second verdicts of", SINGLE: "single verdicts of"}.get(detail or "", "verdicts of")
        what = f"{kind} {name if metric == PAIRWISE.name else metric} by {judge}"
        if not keys or detail in (AGAIN, SINGLE):
            yield from _lost(rows, what)
            continue
        for (system,), part in _groups(rows, keys):
            yield from _lost(part, f"{what} on {system}")


def _lost(rows: pa.Table, what: str) -> Iterator[Shortfall]:
    lost = rows.filter(pc.is_in(rows["status"], pa.array(["failed", "unscored"])))
    if not lost.num_rows:
        return
    found = set(lost["status"].unique().to_pylist())
    problem: Problem = "failed or could not be read"
    if len(found) == 1:
        problem = "failed" if "failed" in found else "could not be read"
    advice = f"most often: {_most_frequent(lost['error'])}"
    yield Shortfall(what=what, problem=problem, n=lost.num_rows, of=rows.num_rows, advice=advice)


def is_cut(status: str, finish_reason: str | None) -> bool:
    """Return whether an answer is there and was cut for its length."""
    return status == "ok" and (finish_reason or "").lower() in _CUT


def _cut(answers: pa.Table) -> pa.Table:
    reasons = pc.utf8_lower(answers["finish_reason"].cast(pa.string()))
    return answers.filter(pc.and_(pc.equal(answers["status"], "ok"), pc.is_in(reasons, value_set=pa.array(_CUT))))


def _groups(table: pa.Table, keys: Sequence[str]) -> Iterator[tuple[tuple[str, ...], pa.Table]]:
    """Yield the rows of each combination of these columns, in the order of first appearance."""
    for key in table.select(list(keys)).group_by(list(keys), use_threads=False).aggregate([]).to_pylist():
        matches = [pc.equal(table[name], key[name]) for name in keys]
        yield tuple(key.values()), table.filter(reduce(pc.and_, matches))


def _most_frequent(values: pa.ChunkedArray) -> str:
    counts = pc.value_counts(values).to_pylist()
    return str(max(counts, key=lambda item: item["counts"])["values"])
