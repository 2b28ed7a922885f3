"""The answers and verdicts of a run -> what did not bring what was asked for, in sentences, and whether it is too much.

A group is what one cell of the report's tables is computed from: the answers of one model from one search method's
contexts, the verdicts of one judge on one metric of these. Second verdicts are compared over all answers together, so
they are one group a judge and metric. A group that has lost too much is never hidden by all the others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from rageval.metrics.names import AGAIN, split_detail
from rageval.score_plan import PAIRWISE

Problem = Literal["failed", "could not be read", "failed or could not be read", "were cut for their length"]
_CUT: Final = ("length", "max_tokens")
"""What a finish_reason says, in small letters, of a reply that ended because it had become too long."""
_CONFIGURATION: Final = ("model", "search_method")
_SAID: Final = 3
"""Groups that one sentence names."""


@dataclass(frozen=True, kw_only=True)
class Shortfall:
    """Those of a group of answers or verdicts that did not bring what was asked for."""

    what: str
    """The group, such as `verdicts of judge_with_reference by m1`."""
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
    """Return what did not bring what was asked for, over all search methods and answering models together.

    Args:
        answers: Table `tables.ANSWERS`.
        scores: Table `tables.SCORES`.
    """
    return [*_of_answers(answers, ("model",)), *_of_verdicts(scores, ())]


def too_many(answers: pa.Table, scores: pa.Table, limit: float) -> list[Shortfall]:
    """Return the groups that have lost more than that share of what was asked for.

    Args:
        answers: Table `tables.ANSWERS`.
        scores: Table `tables.SCORES`.
        limit: Share, in [0, 1].
    """
    beyond = [found for found in shortfalls(answers, scores) if found.is_beyond(limit)]
    if beyond:
        return beyond
    groups = [*_of_answers(answers, _CONFIGURATION), *_of_verdicts(scores, _CONFIGURATION)]
    return [found for found in groups if found.is_beyond(limit)]


def cut_configurations(answers: pa.Table, limit: float) -> frozenset[tuple[str, str]]:
    """Return model and search method wherever more than that share of the answers was cut for its length.

    Args:
        answers: Table `tables.ANSWERS`.
        limit: Share, in [0, 1].
    """
    groups = _groups(answers, _CONFIGURATION)
    return frozenset((key[0], key[1]) for key, rows in groups if _cut(rows).num_rows > limit * rows.num_rows)


def in_words(found: Sequence[Shortfall]) -> str:
    """Return how much the groups have lost, as a clause, without the advice."""
    counts = [one.count for one in found[:_SAID]]
    if len(found) > _SAID:
        counts.append(f"{len(found) - _SAID} more like that")
    return counts[0] if len(counts) == 1 else f"{', '.join(counts[:-1])} and {counts[-1]}"


def asked_verdicts(scores: pa.Table) -> pa.Table:
    """Return the verdicts that a judge was asked for: not what a panel comes to, nor what had no answer to judge.

    Args:
        scores: Table `tables.SCORES`.
    """
    asked = pc.and_(pc.is_valid(scores["request_fingerprint"]), pc.is_valid(scores["judge_model"]))
    return scores.filter(pc.and_(asked, pc.not_equal(scores["status"], "skipped")))


def _of_answers(answers: pa.Table, keys: Sequence[str]) -> Iterator[Shortfall]:
    several = {name: pc.count_distinct(answers[name]).as_py() > 1 for name in _CONFIGURATION}
    for key, rows in _groups(answers, keys):
        named = dict(zip(keys, key, strict=True))
        of_model = f" of {named['model']}" if several["model"] else ""
        with_search = f" with {named['search_method']} search" if several["search_method"] and len(keys) > 1 else ""
        what = f"answers{of_model}{with_search}"
        yield from _lost(rows, what)
        cut = _cut(rows).num_rows
        if cut:
            advice = f"raise max_completion_tokens of {named['model']}"
            yield Shortfall(what=what, problem="were cut for their length", n=cut, of=rows.num_rows, advice=advice)


def _of_verdicts(scores: pa.Table, keys: Sequence[str]) -> Iterator[Shortfall]:
    for (name, judge), rows in _groups(asked_verdicts(scores), ("metric", "judge_model")):
        metric, detail = split_detail(name)
        kind = "second verdicts of" if detail == AGAIN else "verdicts of"
        what = f"{kind} {name if metric == PAIRWISE else metric} by {judge}"
        if not keys or detail == AGAIN:
            yield from _lost(rows, what)
            continue
        for (model, method), part in _groups(rows, keys):
            yield from _lost(part, f"{what} on {model} with {method} search")


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
    pairs = zip(answers["status"].to_pylist(), answers["finish_reason"].to_pylist(), strict=True)
    return answers.filter(pa.array([is_cut(*pair) for pair in pairs], pa.bool_()))


def _groups(table: pa.Table, keys: Sequence[str]) -> Iterator[tuple[tuple[str, ...], pa.Table]]:
    """Yield the rows of each combination of these columns, in the order of first appearance."""
    for key in table.select(list(keys)).group_by(list(keys), use_threads=False).aggregate([]).to_pylist():
        matches = [pc.equal(table[name], key[name]) for name in keys]
        yield tuple(key.values()), table.filter(reduce(pc.and_, matches))


def _most_frequent(values: pa.ChunkedArray) -> str:
    counts = pc.value_counts(values).to_pylist()
    return str(max(counts, key=lambda item: item["counts"])["values"])
