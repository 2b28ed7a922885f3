"""What a run has lost: group by group, so that no group is hidden by the others."""

from typing import Any

import pyarrow as pa
import pytest

from rageval.runs.shortfalls import cut_systems, in_words, shortfalls, too_many

_ANSWER = {"system": "m1", "status": "ok", "error": None, "finish_reason": "stop"}
_SCORE = {
    "system": "m1", "metric": "correctness", "status": "ok", "error": None,
    "judge_model": "j", "request_fingerprint": "f",
}  # fmt: skip
_UNREAD = {"status": "unscored", "error": "not JSON"}


def rows(of: dict[str, Any], n: int, **changes: Any) -> list[dict[str, Any]]:
    return [{**of, **changes} for _ in range(n)]


def answers(*parts: list[dict[str, Any]]) -> pa.Table:
    schema = pa.schema([(name, pa.string()) for name in _ANSWER])
    return pa.Table.from_pylist([row for part in parts for row in part], schema=schema)


def scores(*parts: list[dict[str, Any]]) -> pa.Table:
    schema = pa.schema([(name, pa.string()) for name in _SCORE])
    return pa.Table.from_pylist([row for part in parts for row in part], schema=schema)


GOOD = answers(rows(_ANSWER, 20))


def test_nothing_is_lost_where_everything_has_a_value() -> None:
    assert shortfalls(GOOD, scores(rows(_SCORE, 20))) == []
    assert too_many(GOOD, scores(), 0.0) == []


@pytest.mark.parametrize(
    "other",
    [
        {"metric": "relevance"}, {"judge_model": "k"}, {"system": "m2"},
        {"metric": "correctness[k]", "judge_model": "k"}, {"metric": "pairwise[m2]"},
        {"metric": "correctness[again]"},
    ],
)  # fmt: skip
def test_a_group_that_lost_everything_is_not_diluted_by_the_others(other: dict[str, str]) -> None:
    lost = too_many(GOOD, scores(rows(_SCORE, 980), rows(_SCORE, 20, **other, **_UNREAD)), 0.05)
    # 2 % of all verdicts, and all of this group.
    assert [(found.n, found.of, found.problem) for found in lost] == [(20, 20, "could not be read")]


def test_failed_and_unreadable_verdicts_count_together_and_skipped_and_panel_rows_not_at_all() -> None:
    table = scores(
        rows(_SCORE, 17), rows(_SCORE, 1, status="failed", error="HTTP 400"), rows(_SCORE, 2, **_UNREAD),
        rows(_SCORE, 80, status="skipped", request_fingerprint=None),
        rows(_SCORE, 20, judge_model="j + k", request_fingerprint=None, **_UNREAD),
    )  # fmt: skip
    (lost,) = too_many(GOOD, table, 0.1)
    assert lost.sentence == ("3 of 20 verdicts of correctness by j failed or could not be read (most often: not JSON)")
    # 3 of 20 is 0.15, which is not more than 0.15.
    assert too_many(GOOD, table, 0.15) == []
    assert [found.n for found in shortfalls(GOOD, table)] == [3]


def test_answers_that_were_cut_count_by_system_and_failed_ones_apart() -> None:
    table = answers(
        rows(_ANSWER, 90), rows(_ANSWER, 10, finish_reason="length"),
        rows(_ANSWER, 99, system="m2"), rows(_ANSWER, 1, system="m2", status="failed", error="HTTP 400"),
    )  # fmt: skip
    assert [found.sentence for found in shortfalls(table, scores())] == [
        "10 of 100 answers of m1 were cut for their length (raise max_completion_tokens of the model of m1)",
        "1 of 100 answers of m2 failed (most often: HTTP 400)",
    ]
    assert in_words(too_many(table, scores(), 0.05)) == "10 of 100 answers of m1 were cut for their length"
    assert cut_systems(table, 0.05) == {"m1"}
    assert cut_systems(table, 0.1) == cut_systems(table, 0.05, rambling=["m1"]) == frozenset()
    # What is cut and empty has failed, and says so itself.
    empty = answers(rows(_ANSWER, 5, status="failed", error="empty", finish_reason="length"))
    assert cut_systems(empty, 0.0) == frozenset()


def test_of_many_groups_a_few_are_named() -> None:
    table = scores(*(rows(_SCORE, 2, metric=f"judge_{n}", **_UNREAD) for n in range(5)))
    said = in_words(too_many(GOOD, table, 0.05))
    assert said.startswith("2 of 2 verdicts of judge_0 by j could not be read, 2 of 2 verdicts of judge_1")
    assert said.endswith(" and 2 more like that")
