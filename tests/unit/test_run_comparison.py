"""Two runs made by hand: what is compared, what is refused, and what is said about it."""

from pathlib import Path

import numpy as np
import pytest

from rageval.comparison.changes import largest_changes
from rageval.comparison.folders import compare
from rageval.comparison.markdown import render_comparison
from rageval.comparison.measurements import Subject
from rageval.comparison.page import render_compare_page
from rageval.comparison.pairing import Choice, Pair, pairs
from rageval.comparison.run_comparison import MetricComparison, RunComparison
from rageval.comparison.sentences import beside_rows, comparison_rows, refused_rows, sentences, signed
from rageval.errors import ConfigError, DataError
from rageval.runs.run import Run
from rageval.statistics.paired import paired_difference
from tests.made_runs import write_run

HALF = [1.0, 0.0] * 20
"""Forty verdicts, half of them good."""
GOOD = [1.0] * 40


def row_of(comparison: RunComparison, metric: str) -> MetricComparison:
    (row,) = [row for row in comparison.compared if row.metric == metric]
    return row


def reasons(comparison: RunComparison) -> dict[str, str]:
    return {row["metric"]: row["not compared because"] for row in refused_rows(comparison)}


def test_the_difference_is_candidate_minus_baseline_over_the_same_questions(tmp_path: Path) -> None:
    # The candidate has 1 where the baseline alternates between 1 and 0: 20 of 40 questions gain 1, so it is +0.5.
    a = write_run(tmp_path / "a", scores={"m": {"correctness": HALF}})
    b = write_run(tmp_path / "b", scores={"m": {"correctness": GOOD}})

    there, back = compare(a, b, Choice()), compare(b, a, Choice())

    row = row_of(there, "correctness")
    assert row.difference is not None
    assert (row.mean_a, row.mean_b, row.difference.mean) == (0.5, 1.0, 0.5)
    assert (row.difference.better, row.difference.worse, row.difference.tied) == (20, 0, 20)
    assert (row.verdict, row_of(back, "correctness").verdict) == ("better", "worse")
    assert comparison_rows(there)[0]["difference"].startswith("+0.500 [+")
    assert comparison_rows(back)[0]["difference"].startswith("-0.500 [-")
    assert any("The candidate is better than the baseline in correctness" in sentence for sentence in sentences(there))
    assert "every difference is candidate - baseline" in render_comparison(there)


def test_questions_of_one_document_count_as_a_cluster(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    values = [random.normal(0.5, 0.1, 60).clip(0, 1).tolist() for _ in "ab"]
    a, b = (
        write_run(tmp_path / name, scores={"m": {"cosine": side}}, per_document=4)
        for name, side in zip("ab", values, strict=True)
    )

    found = row_of(compare(a, b, Choice(metrics=("cosine",))), "cosine")

    assert found.difference == paired_difference(values[1], values[0], np.arange(60) // 4)
    assert found.difference is not None
    assert found.difference.clusters == 15


def test_p_values_are_adjusted_for_everything_that_is_shown(tmp_path: Path) -> None:
    # Three metrics differ alike, so each p-value is three times that of one metric alone (Holm).
    worse = [0.0] * 10 + [1.0] * 30
    metrics = ("correctness", "relevance", "cosine")
    a = write_run(tmp_path / "a", scores={"m": dict.fromkeys(metrics, GOOD)})
    b = write_run(tmp_path / "b", scores={"m": dict.fromkeys(metrics, worse)})

    alone = row_of(compare(a, b, Choice(metrics=("cosine",))), "cosine")
    together = row_of(compare(a, b, Choice(metrics=metrics)), "cosine")

    assert together.p_value == pytest.approx(3 * alone.p_value)


def test_questions_without_a_value_are_left_out_counted_and_warned_about(tmp_path: Path) -> None:
    # The candidate fails on ten questions that the baseline answers badly, and is alike on the other thirty.
    bad_then_good = [0.0] * 10 + [1.0] * 30
    a = write_run(tmp_path / "a", scores={"m": {"correctness": bad_then_good}})
    b = write_run(tmp_path / "b", scores={"m": {"correctness": [None] * 10 + [1.0] * 29 + [0.5]}})

    found = compare(a, b, Choice(metrics=("correctness",)))

    row = row_of(found, "correctness")
    assert (row.questions, row.n, row.left_out_a, row.left_out_b) == (40, 30, 0, 10)
    assert comparison_rows(found)[0]["without a value"] == "0 / 10"
    (warning,) = found.warnings
    assert "no value for 0 of 40 questions in the baseline and 10 in the candidate" in warning
    # With 0 for the ten, only the last question differs: -0.5 / 40.
    assert "the difference would be -0.013" in warning


def test_the_same_few_missing_values_on_both_sides_are_no_reason_to_warn(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / n, scores={"m": {"cosine": [None, *GOOD[1:]]}}) for n in "ab"]

    assert compare(*runs, Choice()).warnings == []


def test_other_questions_are_refused_unless_the_common_ones_are_wanted(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", scores={"m": {"cosine": HALF}})
    b = write_run(tmp_path / "b", scores={"m": {"cosine": HALF}}, first_question=10)

    with pytest.raises(DataError, match="30 in both, 10 only in a, 10 only in b"):
        compare(a, b, Choice())
    found = compare(a, b, Choice(), common=True)

    assert found.questions == 30
    assert row_of(found, "cosine").n == 30
    assert "Only the 30 questions that both runs have are compared" in found.warnings[0]
    assert "Only the 30 questions" in render_comparison(found)


def test_the_same_questions_in_another_order_are_the_same(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", scores={"m": {"cosine": HALF}})
    b = write_run(tmp_path / "b", scores={"m": {"cosine": HALF}})
    b.write("questions", b.read("questions").take(list(reversed(range(40)))))

    assert row_of(compare(a, b, Choice()), "cosine").difference.mean == 0.0  # type: ignore[union-attr]


def test_runs_without_a_common_question_cannot_be_compared_at_all(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", scores={"m": {"cosine": HALF}})
    b = write_run(tmp_path / "b", scores={"m": {"cosine": HALF}}, first_question=100)

    with pytest.raises(DataError, match="they share no question"):
        compare(a, b, Choice(), common=True)


def both(tmp_path: Path, **changes: object) -> tuple[Run, Run]:
    """Return two runs with cosine and one judge's verdicts that differ by `changes`."""
    scores = {"m": {"cosine": HALF, "correctness": HALF}}
    return write_run(tmp_path / "a", scores=scores), write_run(tmp_path / "b", scores=scores, **changes)  # type: ignore[arg-type]


def test_another_judge_refuses_the_verdicts_and_nothing_else(tmp_path: Path) -> None:
    found = compare(*both(tmp_path, judge="judge-2"), Choice())

    assert list(reasons(found)) == ["correctness"]
    assert "judge-1 in a, judge-2 in b; judge both runs with the same one" in reasons(found)["correctness"]
    assert row_of(found, "cosine").n == 40
    assert "judge-2" in render_comparison(found)


def test_the_same_judge_with_another_temperature_is_another_judge(tmp_path: Path) -> None:
    judge = {"judge": {"model": {"name": "judge-1", "temperature": 1.0}}}

    found = compare(*both(tmp_path, config=judge), Choice())
    assert list(reasons(found)) == []  # A's configuration does not name the judge, so nothing is known to differ

    a = write_run(
        tmp_path / "c",
        scores={"m": {"correctness": HALF}},
        config={"judge": {"model": {"name": "judge-1", "temperature": 0.5}}},
    )
    b = Run(str(tmp_path / "b"))
    found = compare(a, b, Choice())
    assert "temperature 0.5 in c, model judge-1, temperature 1.0 in b" in reasons(found)["correctness"]


def test_another_metric_version_is_refused(tmp_path: Path) -> None:
    found = compare(*both(tmp_path, version="2"), Choice())

    assert set(reasons(found)) == {"cosine", "correctness"}
    assert "version 1 in a, 2 in b" in reasons(found)["cosine"]


def test_another_embedding_model_refuses_cosine_alone(tmp_path: Path) -> None:
    found = compare(*both(tmp_path, embedding_model="bge@2"), Choice())

    assert list(reasons(found)) == ["cosine"]
    assert "minilm@1 in a, bge@2 in b" in reasons(found)["cosine"]


def test_other_documents_leave_the_retrieval_with_a_warning(tmp_path: Path) -> None:
    found = compare(*both(tmp_path, texts="new text"), Choice())

    assert set(reasons(found)) == {"cosine", "correctness"}
    assert [row.metric for row in found.compared] == ["hit_rate@5", "mrr@5", "ndcg@5"]
    assert "The documents differ" in found.warnings[0]


def test_another_idea_of_a_right_document_refuses_the_retrieval(tmp_path: Path) -> None:
    found = compare(*both(tmp_path, config={"retrieval": {"accept_alternates": True}}), Choice())

    assert {"hit_rate@5", "mrr@5", "ndcg@5", "recall@5"} == set(reasons(found))
    assert "only b counts alternate documents" in reasons(found)["mrr@5"]


def test_a_metric_that_only_one_run_has_is_named(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", scores={"m": {"cosine": HALF, "correctness": HALF}})
    b = write_run(tmp_path / "b", scores={"m": {"cosine": HALF, "correctness": [None] * 40}})

    assert "b has no value of it" in reasons(compare(a, b, Choice()))["correctness"]
    assert "neither run has it" in reasons(compare(a, b, Choice(metrics=("cosine", "bleu"))))["bleu"]


def test_nothing_comparable_is_an_error_that_lists_every_reason(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"(?s)nothing of a and b.*cosine: the metric was defined otherwise"):
        compare(*both(tmp_path, version="2"), Choice(metrics=("cosine",)))


def test_an_incomplete_run_is_compared_with_a_warning(tmp_path: Path) -> None:
    found = compare(*both(tmp_path, status="incomplete"), Choice())

    assert "b is incomplete (it was interrupted)" in found.warnings[0]


@pytest.mark.parametrize(
    ("a", "b", "choice", "expected"),
    [
        ("mn", "mo", Choice(), ["m"]),
        ("m", "n", Choice(), ["m → n"]),
        ("mn", "op", Choice(), []),
        ("mn", "op", Choice(baseline_system="m", candidate_system="p"), ["m → p"]),
        ("mn", "n", Choice(baseline_system="m"), ["m → n"]),
        ("mn", "mn", Choice(baseline_system="m", candidate_system="n"), ["m → n"]),
        ("mn", "mn", Choice(baseline_system="m"), ["m"]),
    ],
)
def test_systems_are_paired_by_name_or_because_there_is_no_other(
    a: str, b: str, choice: Choice, expected: list[str]
) -> None:
    found = pairs([Subject(name=name) for name in a], [Subject(name=name) for name in b], choice)

    assert [pair.name for pair in found] == expected


def test_a_single_retriever_of_each_run_is_paired_too_and_none_stands_beside_a_system() -> None:
    vector, hybrid = (Subject(name=name, is_retriever=True) for name in ("vector", "hybrid"))

    assert pairs([vector, Subject(name="hybrid")], [hybrid, Subject(name="vector")], Choice()) == [
        Pair(a=Subject(name="hybrid"), b=Subject(name="vector")),
        Pair(a=vector, b=hybrid),
    ]


def test_one_retriever_can_be_held_against_another(tmp_path: Path) -> None:
    # The right document at rank 2 by text in the one run, at rank 1 by vector in the other: MRR 0.5 against 1.
    ranks = {"vector": [1] * 40, "text": [2] * 40}
    a, b = (write_run(tmp_path / name, scores={"m": {"cosine": HALF}}, ranks=ranks) for name in "ab")

    found = compare(a, b, Choice(metrics=("mrr",), baseline_retriever="text", candidate_retriever="vector"))

    assert [(row.pair.name, row.mean_a, row.mean_b) for row in found.compared] == [
        ("retriever text → vector", 0.5, 1.0)
    ]


def test_a_name_that_a_run_does_not_have_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--candidate-system names 'x', but the candidate has: m"):
        compare(*both(tmp_path), Choice(candidate_system="x"))
    with pytest.raises(ConfigError, match=r"--baseline-retriever names 'x', but the baseline has: vector"):
        compare(*both(tmp_path), Choice(baseline_retriever="x"))


def test_a_system_that_stands_beside_no_other_is_named(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", scores={"m": {"cosine": HALF}, "extra": {"cosine": HALF}})
    b = write_run(tmp_path / "b", scores={"m": {"cosine": HALF}})

    assert compare(a, b, Choice()).warnings == ["extra of a stands beside no system of b and is not compared"]


def test_retrieval_is_compared_at_the_smaller_top_k(tmp_path: Path) -> None:
    # Right documents at rank 3 in A and 1 in B: within 2, A has none, and MRR is 0 against 1.
    scores = {"m": {"cosine": HALF}}
    a = write_run(tmp_path / "a", scores=scores, ranks={"vector": [3] * 40})
    b = write_run(tmp_path / "b", scores=scores, ranks={"vector": [1] * 40}, config={"retrieval": {"top_k": 2}})

    found = compare(a, b, Choice(metrics=("mrr", "mrr@3", "hit_rate@2")))

    assert {row.metric: (row.mean_a, row.mean_b) for row in found.compared} == {
        "mrr@2": (0.0, 1.0),
        "hit_rate@2": (0.0, 1.0),
        "mrr@3": (pytest.approx(1 / 3), 1.0),
    }


def test_cost_stands_beside_and_is_better_where_it_is_lower(tmp_path: Path) -> None:
    costs = iter([0.002, 0.001])
    scores = {"m": {"cosine": HALF}}
    a, b = (write_run(tmp_path / name, scores=scores, cost_usd=next(costs)) for name in "ab")

    found = compare(a, b, Choice())
    beside = {
        row["statistic"]: (row["baseline"], row["candidate"], row["candidate / baseline"]) for row in beside_rows(found)
    }
    assert beside["cost per answer"] == ("$0.002000", "$0.001000", "0.50")
    assert beside["median latency"] == ("1.5 s", "1.5 s", "1.00")
    assert row_of(compare(a, b, Choice(metrics=("cost_usd",))), "cost_usd").verdict == "better"
    assert row_of(compare(b, a, Choice(metrics=("cost_usd",))), "cost_usd").verdict == "worse"


def test_a_metric_without_a_good_direction_has_no_verdict(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", scores={"m": {"answer_words": [10.0] * 40}})
    b = write_run(tmp_path / "b", scores={"m": {"answer_words": [20.0] * 40}})

    found = compare(a, b, Choice(metrics=("answer_words",)))

    assert row_of(found, "answer_words").verdict is None
    assert comparison_rows(found)[0]["verdict"] == "neither is better in itself"


def test_the_settings_that_could_explain_a_difference_are_listed(tmp_path: Path) -> None:
    retrievers = [{"method": "vector", "question_boost": 2.0}, "text", "hybrid"]

    found = compare(*both(tmp_path, config={"retrievers": retrievers, "run": {"output": "other"}}), Choice())

    assert ("retrievers.1.question_boost", "1.0", "2.0") in found.settings
    assert not [name for name, _, _ in found.settings if name.startswith("run.")]


def test_the_questions_that_changed_most_come_first_in_both_directions(tmp_path: Path) -> None:
    # q0 loses 1, q1 loses 0.5, q2 gains 1; the others stay.
    a = write_run(tmp_path / "a", scores={"m": {"correctness": [1.0, 1.0, 0.0, *[0.5] * 37]}})
    b = write_run(tmp_path / "b", scores={"m": {"correctness": [0.0, 0.5, 1.0, *[0.5] * 37]}})

    changes = {found.metric: found for found in largest_changes(compare(a, b, Choice()), limit=5)}

    found = changes["correctness"]
    assert [case.question_id for case in found.worse] == ["q0", "q1"]
    assert [case.question_id for case in found.better] == ["q2"]
    case = found.worse[0]
    assert (case.a.value, case.b.value, case.references[0], case.a.text) == (1.0, 0.0, "text d0", "m on q0")
    assert [(score.label, score.reason) for score in case.b.scores] == [("NON_RELEVANT", "because")]


def test_the_page_shows_hostile_answers_as_text(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>\x1b[31m\u202e"
    name = hostile.replace("\x1b", "")
    a = write_run(tmp_path / "a", scores={name: {"cosine": HALF}}, texts=hostile)
    b = write_run(tmp_path / "b", scores={name: {"cosine": GOOD}}, texts=hostile)

    page = render_compare_page(compare(a, b, Choice()))

    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "src=" not in page
    assert page.count("<h3>") == 4  # got worse and got better, of the retriever and of the system


def test_nothing_is_rounded_to_a_signed_zero() -> None:
    assert [signed(value) for value in (-0.0001, 0.0, 0.0004, 0.0006)] == ["0.000", "0.000", "0.000", "+0.001"]
