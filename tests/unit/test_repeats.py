"""Repeats: means count a question once, their spread is pooled, and one repeat is looked at by itself."""

from pathlib import Path

import pyarrow as pa
import pytest

from rageval.comparison.comparisons import compare_within
from rageval.comparison.folders import read_run
from rageval.comparison.repeats import ANSWERS_ALIKE, once, repeat_rows, repeats_table
from rageval.comparison.summary import summarize
from rageval.runs.repeats import shown
from rageval.statistics.intervals import mean_interval
from rageval.tables import ANSWERS, QUESTIONS, RETRIEVAL, SCORES
from tests.made_runs import question_row, write_run
from tests.unit.test_blame import filled

LABELS = {1.0: "RELEVANT", 0.5: "PARTLY_RELEVANT", 0.0: "NON_RELEVANT", None: None}


def run_of(verdicts, texts=None, latencies=None):
    """A question per row; its verdicts, texts and latencies by repeat, None where there is no answer."""
    answers, scores = [], []
    for number, row in enumerate(verdicts):
        for repeat, value in enumerate(row, start=1):
            key = {"question_id": f"q{number}", "system": "m", "repeat": repeat}
            given = value is not None
            text = (texts[number][repeat - 1] if texts else "Because.") if given else None
            latency = latencies[number][repeat - 1] if latencies else 1.0
            answers.append(key | {"status": "ok" if given else "failed", "answer": text, "latency_s": latency})
            scored = {"status": "ok" if given else "skipped", "value": value, "label": LABELS[value]}
            scores.append(key | {"metric": "correctness"} | scored)
    questions = filled(QUESTIONS, [question_row(f"q{i}", f"d{i}") for i in range(len(verdicts))])
    return questions, filled(ANSWERS, answers), filled(SCORES, scores)


def test_agreement_and_spread_are_those_of_the_questions_with_several_values() -> None:
    _, answers, scores = run_of(
        [[1.0, 1.0, 1.0], [1.0, 0.0, 0.5], [0.0, 0.0, None], [1.0, None, None]],
        [["a", "a", "a"], ["a", "b", "a"], ["c", "c", "-"], ["d", "-", "-"]],
    )
    alike, verdicts = repeats_table(answers, scores).to_pylist()
    # The last question has one answer, so it says nothing of the spread. Of the other 3, 2 have one and the same text.
    assert alike == {
        "system": "m", "metric": ANSWERS_ALIKE, "n": 3, "values": 8, "agreement": pytest.approx(2 / 3),
        "deviation": None,
    }  # fmt: skip
    # Variances 0, ((1/2)^2 + (1/2)^2 + 0) / 2 = 1/4, and 0: their mean is 1/12.
    assert (verdicts["n"], verdicts["values"]) == (3, 8)
    assert verdicts["agreement"] == pytest.approx(2 / 3)
    assert verdicts["deviation"] == pytest.approx((1 / 12) ** 0.5)
    assert repeat_rows(repeats_table(answers, scores))[1] == {
        "system": "m", "metric": "correctness", "questions": "3", "values": "8", "all alike": "0.667",
        "deviation": "0.289",
    }  # fmt: skip


def test_where_every_question_is_asked_once_there_is_nothing_to_say_and_nothing_changes() -> None:
    _, answers, scores = run_of([[1.0], [0.0]])
    assert repeats_table(answers, scores).num_rows == 0
    assert once(answers, scores) == shown(answers, scores) == (answers, scores)


def test_repeats_do_not_pass_for_more_questions() -> None:
    questions, *three = run_of([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.5, None], [None, None, None]])
    answers, scores = once(*three)
    assert scores["value"].to_pylist() == [pytest.approx(2 / 3), 0.0, 0.75, None]  # the mean of what is there
    summary = summarize(questions, RETRIEVAL.empty_table(), answers, scores, 5).to_pylist()
    (row,) = [row for row in summary if row["metric"] == "correctness"]
    interval = mean_interval([2 / 3, 0.0, 0.75], range(3), bounds=(0, 1))
    assert (row["n"], row["n_scored"], row["n_failed"]) == (4, 3, 1)
    assert (row["mean"], row["ci_low"], row["ci_high"]) == pytest.approx((interval.mean, interval.low, interval.high))
    # Asking the same three times over, with the same result, makes nothing surer.
    _, *again = run_of([[1.0] * 3, [0.0] * 3])
    _, *single = run_of([[1.0], [0.0]])
    of = [summarize(questions.slice(0, 2), RETRIEVAL.empty_table(), *once(*t), 5).to_pylist() for t in (again, single)]
    assert of[0] == of[1]


def test_two_runs_are_compared_by_questions_however_often_they_were_asked(tmp_path: Path) -> None:
    run = write_run(tmp_path / "r", scores={"a": {"cosine": [0.0, 0.5] * 10}, "b": {"cosine": [0.5, 1.0] * 10}})
    (before, *_) = compare_within(read_run(run, "r"))
    for name in ("answers", "scores"):
        rows = run.read(name).to_pylist()
        thrice = [row | {"repeat": repeat} for repeat in (1, 2, 3) for row in rows]
        run.write(name, pa.Table.from_pylist(thrice, schema=run.read(name).schema))
    (after, *_) = compare_within(read_run(run, "r"))
    assert (after.n, after.difference.clusters) == (before.n, before.difference.clusters) == (20, 20)
    assert after.difference == before.difference


def test_a_latency_is_the_mean_of_the_repeats_that_have_one() -> None:
    answers, _ = once(*run_of([[1.0, 1.0, None]], latencies=[[1.0, 2.0, 9.0]])[1:])
    assert answers["latency_s"].to_pylist() == [1.5]  # not of the one that failed


def test_the_repeat_that_is_shown_is_the_first_with_an_answer_and_its_scores_are_its_own() -> None:
    _, answers, scores = run_of([[1.0, 0.0], [None, 0.5], [None, None]], [["a", "b"], ["-", "c"], ["-", "-"]])
    one, its_scores = shown(answers, scores)
    assert one.select(["question_id", "repeat", "answer"]).to_pylist() == [
        {"question_id": "q0", "repeat": 1, "answer": "a"},
        {"question_id": "q1", "repeat": 2, "answer": "c"},
        {"question_id": "q2", "repeat": 1, "answer": None},
    ]
    assert [(row["repeat"], row["value"]) for row in its_scores.to_pylist()] == [(1, 1.0), (2, 0.5), (1, None)]
