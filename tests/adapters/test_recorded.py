"""Answers that were given before: files of any program become a scored run, by `rageval score`, and nobody is asked."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from rageval.cli import main as cli
from rageval.runs.run import Run

Score = Callable[..., tuple[int, str, Run]]
FREE = ("--metric", "exact_match", "--metric", "rouge_l")


@pytest.fixture
def score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Score:
    """Run the command in an empty folder; returns status, what it said, and the run."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str, Run]:
        monkeypatch.setattr(sys, "argv", ["rageval", "score", *words, "--run-id", "r1"])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capfd.readouterr()
        return (
            int(ended.value.code or 0),
            " ".join((captured.out + captured.err).split()),
            Run(str(tmp_path / "runs/r1")),
        )

    return call


def lines(path: Path, rows: Sequence[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def means(run: Run) -> dict[tuple[str, str], float]:
    rows = run.read("summary").to_pylist()
    return {(row["system"] or row["retriever"], row["metric"]): row["mean"] for row in rows}


def test_two_systems_in_one_file_are_compared_question_by_question(score: Score, tmp_path: Path) -> None:
    rows = [
        {"system": system, "question": f"q{n}", "reference": f"right {n}", "answer": f"{word} {n}", "latency_s": 0.5}
        for system, word in (("old", "wrong"), ("new", "right"))
        for n in range(12)
    ]
    status, said, run = score(lines(tmp_path / "answers.jsonl", rows), *FREE)

    assert status == 0, said
    assert means(run)["new", "exact_match"] == 1.0
    assert means(run)["old", "exact_match"] == 0.0
    assert means(run)["old", "rouge_l"] == 0.5, "one of two words on both sides"
    assert means(run)["old", "answer_latency_s"] == 0.5
    [row] = [row for row in run.read("comparisons").to_pylist() if row["metric"] == "rouge_l"]
    assert (row["baseline"], row["candidate"], row["differ_in"], row["n"]) == ("old", "new", "system", 12)
    assert row["difference"] == 0.5
    assert {row["attempts"] for row in run.read("answers").to_pylist()} == {0}


def test_answers_are_joined_to_questions_of_another_file_by_id_or_else_by_text(score: Score, tmp_path: Path) -> None:
    questions = lines(tmp_path / "q.jsonl", [
        {"question_id": "a", "question": "What?", "references": ["this", "that"]},
        {"question_id": "b", "question": "Which one?", "references": ["that"]},
        {"question_id": "c", "question": "Why?", "references": ["so"]},
    ])  # fmt: skip
    answers = lines(tmp_path / "a.jsonl", [
        {"question_id": "a", "question": "in other words", "answer": "that"},
        {"question_id": "7", "question": "Which  one?", "answer": "this"},
    ])  # fmt: skip
    status, _, run = score(answers, "--questions", questions, *FREE)

    assert status == 3, "a third of the answers is missing"
    by_id = {row["question_id"]: row for row in run.read("answers").to_pylist()}
    assert (by_id["a"]["answer"], by_id["b"]["answer"]) == ("that", "this")
    assert (by_id["c"]["status"], by_id["c"]["error"]) == ("failed", "the file holds no answer to this question")
    exact = {
        row["question_id"]: row["value"] for row in run.read("scores").to_pylist() if row["metric"] == "exact_match"
    }
    assert exact == {"a": 1.0, "b": 0.0, "c": None}, "of several references the best one counts"


def test_a_question_that_stands_twice_with_other_references_is_two_questions(score: Score, tmp_path: Path) -> None:
    rows = [
        {"user_input": "What?", "response": "one", "reference": reference, "retrieved_contexts": ["a", "b"]}
        for reference in ("one", "two")
    ]
    status, said, run = score(lines(tmp_path / "ragas.jsonl", rows), *FREE)

    assert status == 0, said
    assert "read as a file of ragas" in said
    assert means(run)["ragas", "exact_match"] == 0.5
    assert run.read("questions").num_rows == 2


def test_answers_to_the_same_question_are_repeats_and_no_more_questions(score: Score, tmp_path: Path) -> None:
    rows = [
        {"question": f"q{n}", "reference": "yes", "answer": answer}
        for n, answers in enumerate((["yes", "no", "yes"], ["no", "no", "no"]))
        for answer in answers
    ]
    status, said, run = score(lines(tmp_path / "answers.jsonl", rows), "--metric", "exact_match")

    assert status == 0, said
    [summary] = [row for row in run.read("summary").to_pylist() if row["metric"] == "exact_match"]
    # The means of the two questions are 2/3 and 0.
    assert (summary["n"], summary["n_scored"], round(summary["mean"], 9)) == (2, 2, round(1 / 3, 9))
    [repeats] = [row for row in run.read("repeats").to_pylist() if row["metric"] == "exact_match"]
    # Variances 1/3 (of 1, 0, 1) and 0: their mean is 1/6.
    assert (repeats["n"], repeats["values"], round(repeats["deviation"], 9)) == (2, 6, round((1 / 6) ** 0.5, 9))
    [alike] = [row for row in run.read("repeats").to_pylist() if row["metric"] == "answers alike"]
    assert alike["agreement"] == 0.5


def test_what_is_right_by_its_text_is_found_in_contexts_without_ids(score: Score, tmp_path: Path) -> None:
    rows = [
        {"user_input": "a?", "response": "x", "reference_contexts": ["The sky is blue."]}
        | {"retrieved_contexts": ["nothing", "It is said: the sky  is BLUE. So it is."]},
        {"user_input": "b?", "response": "x", "reference_contexts": ["one two three four"]}
        | {"retrieved_contexts": ["four three", "one"]},  # half of the tokens are enough
        {"user_input": "c?", "response": "x", "reference_contexts": ["one two three four"]}
        | {"retrieved_contexts": ["one", "two"]},
    ]
    status, said, run = score(lines(tmp_path / "a.jsonl", rows), "--metric", "refusal")

    assert status == 0, said
    found = {row["question_id"]: row["first_relevant_rank"] for row in run.read("retrieval").to_pylist()}
    questions = {row["question"]: row["question_id"] for row in run.read("questions").to_pylist()}
    assert [found[questions[name]] for name in ("a?", "b?", "c?")] == [2, 1, None]
    assert means(run)["a", "mrr@5"] == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert means(run)["a", "recall@5"] == pytest.approx(2 / 3)


def test_a_run_of_trec_is_measured_by_its_qrels(score: Score, tmp_path: Path) -> None:
    (tmp_path / "qrels.txt").write_text("1 0 a 2\n1 0 b 0\n1 0 c 1\n2 0 a 1\n")
    (tmp_path / "run.trec").write_text("1 Q0 b 1 9.0 bm25\n1 Q0 a 2 8.0 bm25\n2 Q0 x 1 3.0 bm25\n3 Q0 y 1 1.0 bm25\n")
    status, said, run = score("run.trec", "--qrels", "qrels.txt")

    assert status == 0, said
    # Question 1: a is at rank 2, and one of two relevant documents is found; question 2: nothing of it is.
    assert means(run)["bm25", "mrr@5"] == 0.25
    assert means(run)["bm25", "recall@10"] == 0.25
    assert ("bm25", "rouge_l") not in means(run), "there are no answers"


def test_a_file_of_several_systems_wants_one_of_them_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rageval.corpus.recorded import RecordedAnswers
    from rageval.errors import DataError

    path = lines(tmp_path / "a.jsonl", [{"system": name, "question": "q", "answer": "a"} for name in ("one", "two")])
    with pytest.raises(DataError, match="answers of several systems"):
        RecordedAnswers(path, (), "")
    with pytest.raises(DataError, match="has no system 'three'"):
        RecordedAnswers(path, (), "three")


def test_a_file_that_is_written_again_is_read_again(tmp_path: Path) -> None:
    import rageval

    def mean(answer: str) -> float:
        path = lines(tmp_path / "a.jsonl", [{"question": "q", "reference": "yes", "answer": answer}])
        systems = [{"kind": "recorded", "name": "mine", "file": path}]
        settings = {"data": {"ground_truth": path}, "systems": systems, "metrics": ["exact_match"]}
        run = rageval.evaluate({**settings, "models": []}, output=str(tmp_path / "runs"), run_id=answer)
        return float(run.summary().set_index("metric")["mean"]["exact_match"])

    assert (mean("no"), mean("yes")) == (0.0, 1.0)


def test_metrics_of_a_judge_that_nobody_names_are_said_to_be_missing(tmp_path: Path) -> None:
    import rageval
    from rageval.runs.manifest import read_manifest

    path = lines(tmp_path / "a.jsonl", [{"question": "q", "reference": "yes", "answer": "yes"}])
    systems = [{"kind": "recorded", "name": "mine", "file": path}]
    settings = {"data": {"ground_truth": path}, "systems": systems, "metrics": ["exact_match", "correctness"]}
    run = rageval.evaluate(settings, output=str(tmp_path / "runs"))

    assert "no judge is named (judge.model, or --judge), so nothing was measured of correctness" in " ".join(
        read_manifest(run).warnings
    )
    assert "embedded 270M model" not in (run.path / "report.html").read_text(), "no system asks it"
