"""The answers and scores that have no value -> their reasons, how often each occurred, and an example."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_VARYING = re.compile(r"\b(?=[0-9a-f-]*\d)[0-9a-f-]{4,}\b|\d+(?:\.\d+)?")


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One reason why values are missing."""

    what: str
    """`answer`, or the metric that could not be computed."""
    status: str
    reason: str
    """The first message of the group."""
    systems: Mapping[str, int]
    """How often it occurred, by system."""
    question: str
    """An example."""

    @property
    def n(self) -> int:
        """How often it occurred."""
        return sum(self.systems.values())


def failures(questions: pa.Table, answers: pa.Table, scores: pa.Table) -> list[Failure]:
    """Return the reasons for missing values, most frequent first.

    Messages that differ only in numbers or ids, such as a request id, count as one reason. Scores that were
    skipped are left out: their answer's failure is listed already.
    """
    columns = ["question_id", "system", "status", "error"]
    failed = answers.select(columns).filter(pc.equal(answers["status"], "failed"))
    failed = failed.append_column("metric", pa.array(["answer"] * len(failed), pa.string()))
    lost = scores.select([*columns, "metric"]).filter(pc.is_in(scores["status"], pa.array(["unscored", "failed"])))
    rows = [*_rows(failed), *_rows(lost)]
    asked = _questions(questions, [row["question_id"] for row in rows])
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        row["error"] = row["error"] or "no reason given"
        groups.setdefault((row["metric"], row["status"], _VARYING.sub("#", row["error"])), []).append(row)
    found = [
        Failure(
            what=what,
            status=status,
            reason=members[0]["error"],
            systems=Counter(row["system"] for row in members),
            question=asked[members[0]["question_id"]],
        )
        for (what, status, _), members in groups.items()
    ]
    return sorted(found, key=lambda failure: -failure.n)


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.select(["question_id", "metric", "system", "status", "error"]).to_pylist()
    return rows


def _questions(questions: pa.Table, ids: Sequence[str]) -> dict[str, str]:
    wanted = questions.filter(pc.is_in(questions["question_id"], pa.array(ids, pa.string())))
    return dict(zip(wanted["question_id"].to_pylist(), wanted["question"].to_pylist(), strict=True))
