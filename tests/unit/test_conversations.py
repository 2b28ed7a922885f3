"""Questions of one conversation: slices by turn, means in which each conversation counts once, clusters."""

import pyarrow as pa
import pytest

from rageval.comparison.conversations import conversation_rows, conversation_table
from rageval.comparison.slices import MOST_TURNS, slice_tables
from rageval.comparison.summary import summarize
from rageval.statistics.intervals import mean_interval
from rageval.tables import ANSWERS, DOCUMENTS, QUESTIONS, RETRIEVAL, SCORES
from tests.made_runs import question_row
from tests.unit.test_blame import filled

TURN = [{"role": "user", "content": "And then?"}, {"role": "assistant", "content": "Then."}]


def run_of(conversations, metric="correctness"):
    """A question for each value: the turns of each conversation in their order."""
    questions, scores, answers = [], [], []
    for name, values in conversations.items():
        for turn, value in enumerate(values):
            key = {"question_id": f"{name}{turn}", "system": "m"}
            questions.append(question_row(key["question_id"], f"d{name}{turn}", conversation=name, history=TURN * turn))
            answers.append(key | {"status": "ok", "answer": "So.", "repeat": 1})
            scores.append(key | {"metric": metric, "value": value, "status": "unscored" if value is None else "ok"})
    return filled(QUESTIONS, questions), filled(ANSWERS, answers), filled(SCORES, scores)


def test_a_conversation_has_the_mean_and_the_worst_of_its_turns_and_counts_once() -> None:
    questions, _, scores = run_of({"a": [1.0, 1.0, 0.0, 0.0], "b": [1.0], "c": [0.5, None]})
    table = conversation_table(questions, scores)
    assert table.drop_columns(["system", "metric"]).to_pylist() == [
        {"conversation": "a", "turns": 4, "n_scored": 4, "mean": 0.5, "worst": 0.0},
        {"conversation": "b", "turns": 1, "n_scored": 1, "mean": 1.0, "worst": 1.0},
        {"conversation": "c", "turns": 2, "n_scored": 1, "mean": 0.5, "worst": 0.5},
    ]
    interval = mean_interval([0.5, 1.0, 0.5], range(3), bounds=(0, 1))
    assert conversation_rows(table) == [
        {
            "system": "m", "metric": "correctness", "conversations": "3", "turns with a value": "6/7",
            # (0.5 + 1 + 0.5) / 3, though the mean over the 6 turns is 3.5 / 6 = 0.583; the worst (0 + 1 + 0.5) / 3
            "mean of conversations": f"0.667 [{interval.low:.3f}, {interval.high:.3f}]", "mean of worst turns": "0.500",
        }
    ]  # fmt: skip


def test_of_a_metric_of_which_less_is_better_the_worst_turn_is_the_highest() -> None:
    questions, _, scores = run_of({"a": [0.0, 1.0]}, "toxicity")
    assert conversation_table(questions, scores)["worst"].to_pylist() in ([], [1.0])
    questions, _, scores = run_of({"a": [0.0, 1.0]}, "refused_answerable")
    assert conversation_table(questions, scores)["worst"].to_pylist() == [1.0]


def test_questions_that_stand_alone_are_no_conversations() -> None:
    questions, _, scores = run_of({"a": [1.0], "b": [0.0]})
    assert conversation_table(questions, scores).num_rows == 0
    alone = pa.Table.from_pylist([row | {"conversation": ""} for row in questions.to_pylist()], schema=QUESTIONS)
    assert conversation_table(alone, scores).num_rows == 0


@pytest.mark.parametrize("turns", [3, MOST_TURNS, MOST_TURNS + 2])
def test_the_turns_are_slices_with_their_means_and_late_ones_stand_together(turns: int) -> None:
    values = [float(turn % 2) for turn in range(turns)]
    questions, _, scores = run_of({"a": values, "b": values})
    tables = slice_tables(questions, DOCUMENTS.empty_table(), RETRIEVAL.empty_table(), scores, None)
    (table,) = [table for table in tables if table.kind == "turn of the conversation"]
    means = {found.name: (found.questions, found.statistics["m"].mean) for found in table.slices}
    expected = {f"turn {turn + 1}": (2, value) for turn, value in enumerate(values[:MOST_TURNS])}
    if late := values[MOST_TURNS:]:
        expected["later turns"] = (2 * len(late), sum(late) / len(late))
    assert means == expected


def test_the_turns_of_a_conversation_do_not_pass_for_questions_of_their_own() -> None:
    questions, answers, scores = run_of({"a": [1.0] * 5, "b": [0.0] * 5, "c": [1.0] * 5})
    summary = summarize(questions, RETRIEVAL.empty_table(), answers, scores, 5).to_pylist()
    (row,) = [row for row in summary if row["metric"] == "correctness"]
    interval = mean_interval([1.0] * 5 + [0.0] * 5 + [1.0] * 5, [i // 5 for i in range(15)], bounds=(0, 1))
    assert (row["n"], row["ci_low"], row["ci_high"]) == (15, interval.low, interval.high)
