"""A refusal is right where nothing holds the answer; always answering and never answering both lose."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from rageval.comparison.abstention import abstention_rows, abstention_table
from rageval.comparison.derived import with_derived
from rageval.comparison.folders import compare
from rageval.comparison.gate import gate
from rageval.comparison.pairing import Choice
from rageval.comparison.summary import summarize
from rageval.judging.table import unfit_metrics
from rageval.metrics.truthfulness import truthfulness
from rageval.runs.run import Run
from rageval.statistics.intervals import mean_interval
from rageval.tables import JUDGING, QUESTIONS
from tests.made_runs import write_run

NAN = float("nan")
GATED = ("truthfulness", "refused_answerable", "refused_unanswerable")
ANSWERABLE, NOT = [True] * 20, [False] * 20


def write(folder: Path, refused, verdicts, answerable=(*ANSWERABLE, *NOT)) -> Run:
    """A run of one system whose questions say whether they can be answered."""
    run = write_run(folder, scores={"m": {"correctness": verdicts, "refusal": refused}})
    return with_answerable(run, answerable)


def with_answerable(run: Run, answerable) -> Run:
    rows = [row | {"answerable": one} for row, one in zip(run.read("questions").to_pylist(), answerable, strict=True)]
    run.write("questions", pa.Table.from_pylist(rows, schema=QUESTIONS))
    return run


@pytest.fixture
def behaves(tmp_path: Path) -> Run:
    """Answers what can be answered, half of it right, and refuses the rest."""
    return write(tmp_path / "behaves", [0.0] * 20 + [1.0] * 20, [1.0, 0.0] * 10 + [None] * 20)


def values_of(run: Run, metric: str) -> list[float | None]:
    scores = with_derived(run.read("questions"), run.read("scores"))
    return scores.filter(pc.equal(scores["metric"], metric))["value"].to_pylist()


def test_right_counts_1_a_refusal_0_and_wrong_minus_1_and_of_what_has_no_answer_only_a_refusal_is_right():
    rows = [
        # refused, verdict, answerable: truthfulness
        (0, 1.0, 1, 1), (0, 0.5, 1, 0), (0, 0.0, 1, -1), (1, 0.0, 1, 0), (1, 1.0, 1, 0),
        (0, 1.0, 0, -1), (0, NAN, 0, -1), (1, 0.0, 0, 1), (1, NAN, 0, 1),
        (0, 1.0, NAN, 1), (0, 0.0, NAN, -1), (1, 0.0, NAN, 0),
        # Whether it is a refusal is not known; nor is what a judge that failed would have said, of a refusal either.
        (NAN, 1.0, 1, NAN), (NAN, 1.0, 0, NAN), (0, NAN, 1, NAN), (1, NAN, 1, NAN), (1, NAN, NAN, NAN),
    ]  # fmt: skip
    refused, verdict, answerable, expected = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    np.testing.assert_array_equal(truthfulness(refused, verdict, answerable), expected)


def test_each_metric_is_measured_of_its_own_questions_and_says_why_not_of_the_others(tmp_path: Path) -> None:
    run = write(
        tmp_path / "r", [0, 1, 0, 1, None, 0], [1, 0, None, None, 1, None], [True, True, False, False, True, None]
    )
    scores = with_derived(run.read("questions"), run.read("scores"))
    made = {
        metric: scores.filter(pc.equal(scores["metric"], metric)).select(["status", "value", "error"]).to_pylist()
        for metric in GATED
    }
    assert [row["value"] for row in made["truthfulness"]] == [1, 0, -1, 1, None, None]
    assert [row["value"] for row in made["refused_answerable"]] == [0, 1, None, None, None, None]
    assert [row["value"] for row in made["refused_unanswerable"]] == [None, None, 0, 1, None, None]
    assert [(row["status"], row["error"]) for row in made["refused_answerable"]][2:] == [
        ("not_measured", "the question cannot be answered"),
        ("not_measured", "the question cannot be answered"),
        ("unscored", "no JSON"),  # the reason why the refusal itself has no value
        ("not_measured", "nobody knows whether the question can be answered"),
    ]
    assert made["truthfulness"][5]["status"] == "unscored"  # there is no verdict, and the answer is no refusal
    versions = scores.filter(pc.equal(scores["metric"], "truthfulness"))["metric_version"].unique().to_pylist()
    assert versions == ["1 (refusal 1, correctness 1)"]
    summary = summarize(run.read("questions"), run.read("retrieval"), run.read("answers"), scores, 5)
    n = {row["metric"]: (row["n"], row["n_scored"]) for row in summary.to_pylist()}
    assert (n["refused_answerable"], n["refused_unanswerable"]) == ((3, 2), (2, 2))


def test_nothing_follows_where_nobody_knows_what_can_be_answered_and_nothing_from_a_verdict_without_one(
    tmp_path: Path,
) -> None:
    unknown = write(tmp_path / "a", [0.0, 1.0], [1.0, 0.0], [None, None])
    assert [values_of(unknown, metric) for metric in GATED] == [[], [], []]
    unjudged = with_answerable(write_run(tmp_path / "b", scores={"m": {"refusal": [0.0, 1.0]}}), [True, True])
    assert [values_of(unjudged, metric) for metric in GATED] == [[], [0, 1], []]


def test_relevance_decides_where_a_question_has_no_reference(tmp_path: Path) -> None:
    run = write_run(
        tmp_path / "r", scores={"m": {"correctness": [0.0, 1.0], "relevance": [1.0, 0.0], "refusal": [0.0, 0.0]}}
    )
    rows = run.read("scores").to_pylist()
    rows[1] |= {"status": "not_measured", "value": None, "label": None, "error": "no reference"}
    run.write("scores", pa.Table.from_pylist(rows, schema=run.read("scores").schema))
    with_answerable(run, [True, True])
    assert values_of(run, "truthfulness") == [-1, -1]  # correctness of the first, relevance of the second


def test_the_table_counts_refusals_by_what_can_be_answered_with_the_interval_of_their_share(behaves: Run) -> None:
    table = abstention_table(behaves.read("questions"), behaves.read("scores"))
    interval = mean_interval([1.0] * 20, range(20), bounds=(0, 1))
    assert [
        (row["answerable"], row["n"], row["refused"], row["answered"], row["share"]) for row in table.to_pylist()
    ] == [
        (True, 20, 0, 20, 0),
        (False, 20, 20, 0, 1),
    ]
    assert (table["ci_low"][1].as_py(), table["ci_high"][1].as_py()) == (interval.low, interval.high)
    assert abstention_rows(table)[1] == {
        "system": "m", "questions": "not answerable", "asked": "20", "refused": "20", "answered": "0",
        "no value": "0", "share refused": f"1.000 [{interval.low:.3f}, 1.000]",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("refuses", "verdicts", "worse"),
    [
        # Right as often as before; but now it makes up what no document holds: 10/20 x 0 + 20 x -1, before 20 x +1.
        (0.0, [1.0, 0.0] * 10 + [None] * 20, {"truthfulness", "refused_unanswerable"}),
        # A refusal of what can be answered is 0, as the mean of right and wrong was; so the share of these tells.
        (1.0, [0.0] * 40, {"refused_answerable"}),
    ],
)
def test_always_answering_and_never_answering_both_fail_the_gate(
    tmp_path: Path, behaves: Run, refuses, verdicts, worse
) -> None:
    run = write(tmp_path / "candidate", [refuses] * 40, verdicts)
    found = gate(run, behaves, Choice(metrics=GATED), max_drop=0.02, allow_underpowered=True)
    assert {row.metric for row in found.rows if row.outcome == "worse"} == worse
    assert not found.passed
    if not refuses:  # correctness alone does not see it
        assert gate(run, behaves, Choice(metrics=("correctness",)), max_drop=0.02, allow_underpowered=True).passed


def test_a_run_that_behaves_as_before_passes_and_one_that_is_judged_otherwise_is_not_compared(
    tmp_path: Path, behaves: Run
) -> None:
    assert gate(behaves, behaves, Choice(metrics=GATED), max_drop=0.02).passed
    other = write_run(
        tmp_path / "other", scores={"m": {"correctness": [1.0] * 40, "refusal": [0.0] * 40}}, judge="judge-2"
    )
    with_answerable(other, [*ANSWERABLE, *NOT])
    (refused,) = gate(other, behaves, Choice(metrics=("truthfulness",)), max_drop=0.02).rows
    assert (refused.outcome, "the judges differ" in refused.reason) == ("not comparable", True)


def test_nothing_is_ranked_by_truthfulness_where_the_judge_it_follows_from_is_unfit() -> None:
    def judging(**metrics: str) -> pa.Table:
        rows = [
            {"judge": "j", "metric": m, "statistic": "verdict", "label": label, "n": 20} for m, label in metrics.items()
        ]
        return pa.Table.from_pylist(rows, schema=JUDGING)

    assert unfit_metrics(judging(correctness="unfit", relevance="fit")) == {"correctness", "truthfulness"}
    assert unfit_metrics(judging(correctness="fit", relevance="unfit")) == {"relevance"}
    assert unfit_metrics(judging(relevance="unfit")) == {"relevance", "truthfulness"}


def test_two_runs_are_compared_by_these_metrics_though_nobody_names_them(tmp_path: Path, behaves: Run) -> None:
    always = write(tmp_path / "always", [0.0] * 40, [1.0, 0.0] * 10 + [None] * 20)
    found = {row.metric: row.difference for row in compare(behaves, always, Choice()).compared}
    assert found["refused_unanswerable"].mean == -1  # 0 of 20 after 20 of 20
    assert found["refused_answerable"].mean == 0
    assert found["truthfulness"].mean == -1  # over 40 questions: 20 x -2, and 20 x 0
