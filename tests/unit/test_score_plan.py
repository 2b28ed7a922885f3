"""Which scores an answer gets, and which judge is asked for each."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rageval.config.evaluation import EvaluationConfig
from rageval.config.models import ModelConfig
from rageval.config.overrides import validate
from rageval.errors import ConfigError
from rageval.judging.plan import ScorePlan, pairwise_rows, score_plan
from rageval.text.fingerprint import draw

IDS = [f"q{number}" for number in range(2000)]


def configured(**groups: Any) -> EvaluationConfig:
    return validate(EvaluationConfig, {"models": ["m1", "m2", "m3"], **groups})


def names(plan: ScorePlan, question_id: str = "q") -> list[str]:
    return [score.name for score in plan.scores(question_id)]


def test_without_names_the_usual_metrics_are_planned_and_with_names_these_in_the_order_of_the_catalogue() -> None:
    assert configured().metrics == configured(metrics=[]).metrics == (
        "correctness", "relevance", "cosine", "rouge_l", "exact_match", "fuzzy_match", "refusal", "answer_words",
    )  # fmt: skip
    assert configured(metrics=["refusal", "toxicity", "cosine", "refusal"]).metrics == ("toxicity", "cosine", "refusal")
    with pytest.raises(ConfigError, match="metrics: hit_rate: no such metric can be chosen; known are correctness, "):
        configured(metrics=["hit_rate"])


def test_one_judge_gives_the_metric_itself_and_second_verdicts_of_a_slice() -> None:
    metrics = ["cosine", "refusal", "correctness", "relevance", "faithfulness"]
    plan = score_plan(configured(judge={"again_share": 1.0}, metrics=metrics))
    assert names(plan) == [
        "cosine", "refusal",
        "correctness", "correctness[again]",
        "relevance", "relevance[again]",
        "faithfulness", "faithfulness[again]",
    ]  # fmt: skip
    assert [score.judge.name if score.judge else None for score in plan.scores("q")] == [None, None, *["m1"] * 6]
    assert not any(score.is_majority for score in plan.scores("q"))


def test_a_panel_gives_a_row_for_each_judge_and_one_for_the_majority_that_asks_nobody() -> None:
    judge = {"model": "j", "panel": ["k", "m1"], "again_share": 1.0}
    plan = score_plan(configured(judge=judge, metrics=["cosine", "correctness"]))
    assert [(score.name, score.judge and score.judge.name, score.is_majority) for score in plan.scores("q")] == [
        ("cosine", None, False),
        ("correctness", None, True),
        ("correctness[j]", "j", False),
        ("correctness[k]", "k", False),
        ("correctness[m1]", "m1", False),
        ("correctness[again]", "j", False),
    ]
    # The first judge once for every question and once more for all of them, the others once.
    assert plan.calls(["q1", "q2"]) == {
        ("j", ("correctness",)): 4, ("k", ("correctness",)): 2, ("m1", ("correctness",)): 2,
    }  # fmt: skip


def test_combined_verdicts_are_those_that_see_the_same_and_a_slice_of_the_first_judges_is_asked_for_alone_too() -> None:
    judge = {"model": "j", "panel": ["k"], "again_share": 1.0, "combine": True}
    metrics = ["correctness", "relevance", "faithfulness", "toxicity"]
    plan = score_plan(configured(judge=judge, metrics=metrics))
    both = ("relevance", "toxicity")
    assert [(s.name, s.version, s.asked_for) for s in plan.scores("q") if s.metric.name in both] == [
        ("relevance", "3 with toxicity", both),
        ("relevance[j]", "3 with toxicity", both),
        ("relevance[k]", "3 with toxicity", both),
        ("relevance[again]", "3 with toxicity", both),
        ("relevance[single]", "3", ("relevance",)),
        ("toxicity", "3 with relevance", both),
        ("toxicity[j]", "3 with relevance", both),
        ("toxicity[k]", "3 with relevance", both),
        ("toxicity[again]", "3 with relevance", both),
        ("toxicity[single]", "3", ("toxicity",)),
    ]
    # With and without the reference, and with the contexts, never in one call; what is alone needs no single verdict.
    alone = [s for s in plan.scores("q") if s.metric.name not in both]
    assert all(s.asked_for == (s.metric.name,) and not s.is_single for s in alone)
    # Of each question: the first judge twice and each of the two alone, the second one once.
    assert plan.calls(["q1", "q2"]) == {
        ("j", both): 4, ("j", ("relevance",)): 2, ("j", ("toxicity",)): 2, ("k", both): 2,
        ("j", ("correctness",)): 4, ("k", ("correctness",)): 2,
        ("j", ("faithfulness",)): 4, ("k", ("faithfulness",)): 2,
    }  # fmt: skip
    plan = score_plan(configured(judge=judge | {"again_share": 0.3}, metrics=metrics))
    assert plan.rows(IDS) == Counter(s.name for question_id in IDS for s in plan.scores(question_id))
    called = [{s.call for s in plan.scores(question_id) if s.judge} for question_id in IDS]
    assert plan.calls(IDS) == Counter((judge, asked_for) for calls in called for judge, asked_for, _ in calls)
    none_alike = score_plan(configured(judge=judge, metrics=["correctness", "faithfulness"]))
    assert names(none_alike) == names(
        score_plan(configured(judge=judge | {"combine": False}, metrics=["correctness", "faithfulness"]))
    )


def test_without_a_judge_nobody_is_asked() -> None:
    plan = score_plan(configured(judge={"enabled": False, "panel": ["k"], "again_share": 1.0}))
    assert names(plan) == ["cosine", "rouge_l", "exact_match", "fuzzy_match", "refusal", "answer_words"]
    assert not plan.calls(IDS)
    only_pairs = score_plan(configured(judge={"pairwise": True}, metrics=["cosine"]))
    assert not only_pairs.calls(IDS)


def test_the_slice_has_its_share_and_depends_on_seed_and_question_alone() -> None:
    plan = score_plan(configured())
    chosen = {question_id for question_id in IDS if plan.is_asked_again(question_id)}
    # 200 expected of 2,000 at a tenth; four standard deviations are 54.
    assert abs(len(chosen) - 200) < 54
    assert chosen == {
        question_id for question_id in reversed(IDS) if score_plan(configured()).is_asked_again(question_id)
    }
    assert chosen != {q for q in IDS if score_plan(configured(data={"seed": 1})).is_asked_again(q)}
    # A larger share adds questions and takes none out, so a slice that grows asks for no verdict twice.
    assert chosen < {q for q in IDS if score_plan(configured(judge={"again_share": 0.3})).is_asked_again(q)}
    for share, n in ((0.0, 0), (1.0, len(IDS))):
        assert sum(score_plan(configured(judge={"again_share": share})).is_asked_again(q) for q in IDS) == n


def test_rows_and_calls_are_the_sums_over_the_questions() -> None:
    plan = score_plan(configured(judge={"panel": ["k"]}, metrics=["correctness", "faithfulness"]))
    scores = [score for question_id in IDS[:300] for score in plan.scores(question_id)]
    assert plan.rows(IDS[:300]) == Counter(score.name for score in scores)
    assert plan.calls(IDS[:300]) == Counter((score.judge.name, (score.metric.name,)) for score in scores if score.judge)
    assert plan.rows([]) + Counter() == Counter()


def test_pairs_are_asked_about_in_both_orders_by_the_first_judge() -> None:
    # Three models with two retrievers each are six systems: fifteen pairs x 2 orders x 10 questions.
    config = configured(systems=[{"retrievers": ["text", "vector"]}], judge={"pairwise": True, "panel": ["k"]})
    assert pairwise_rows(config, 10) == 15 * 2 * 10
    assert pairwise_rows(configured(), 10) == 0
    assert pairwise_rows(configured(judge={"pairwise": True, "enabled": False}), 10) == 0


@given(st.lists(st.text(), max_size=3))
def test_a_draw_is_a_number_below_one_and_always_the_same(parts: list[str]) -> None:
    assert 0 <= draw(*parts) < 1
    assert draw(*parts) == draw(*parts)


def test_draws_are_spread_evenly() -> None:
    drawn = [draw("x", question_id) for question_id in IDS]
    # Mean 1/2 with standard error 1 / sqrt(12 x 2000) = 0.0065; four of them.
    assert sum(drawn) / len(drawn) == pytest.approx(0.5, abs=0.026)


@pytest.mark.parametrize("panel", [["m1"], ["k", "k"], ["again"]])
def test_judges_need_names_of_their_own(panel: list[str]) -> None:
    with pytest.raises(ConfigError, match="the judges need names of their own, none of them 'again'"):
        configured(judge={"panel": panel})
    assert configured(judge={"panel": panel, "enabled": False}).judges == ()
    assert configured(judge={"panel": ["k"]}).judges == (ModelConfig(name="m1"), ModelConfig(name="k"))
