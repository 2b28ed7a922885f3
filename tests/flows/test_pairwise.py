"""The judge chooses between the answers of two systems, in both orders, and no choice is paid for twice."""

import json
from collections import Counter

from tests.evaluations import Rageval
from tests.fake_llm import VERDICT, Body, FakeLLM, Reply, is_judgement, prompt

MODELS = ("--model", "m1", "--model", "m2", "--set", "judge.again_share=0")
PAIRWISE = (*MODELS, "--set", "judge.pairwise=true")
PLAIN, SWAPPED = "pairwise[m2]", "pairwise[m2, swapped]"


def is_choice(body: Body) -> bool:
    return is_judgement(body) and "answer called FIRST" in prompt(body)


def choose(label: str) -> str:
    return json.dumps({"reason": "It is so.", "label": label})


def shown_first(body: Body) -> str:
    """Return which model's answer stands first; the answers name their model."""
    text = prompt(body)
    return "m1" if text.index("answer of m1") < text.index("answer of m2") else "m2"


def prefers_m1(body: Body) -> str | Reply:
    if is_choice(body):
        return choose("FIRST" if shown_first(body) == "m1" else "SECOND")
    return VERDICT if is_judgement(body) else f"The answer of {body['model']}."


def always_first(body: Body) -> str | Reply:
    return choose("FIRST") if is_choice(body) else prefers_m1(body)


def choices(llm: FakeLLM) -> list[Body]:
    return [body for body in llm.requests if is_choice(body)]


def test_both_orders_of_every_pair_are_asked_and_stored_beside_the_other_scores(rageval: Rageval, llm: FakeLLM) -> None:
    llm.reply = prefers_m1

    run = rageval(*PAIRWISE)

    assert run.status == 0, run.err
    scores = run.table("scores").to_pandas()
    # 20 questions, one pair, two orders.
    assert len(choices(llm)) == 40
    assert Counter(shown_first(body) for body in choices(llm)) == {"m1": 20, "m2": 20}
    pairs = scores[scores["metric"].str.startswith("pairwise")]
    assert Counter(pairs["metric"]) == {PLAIN: 20, SWAPPED: 20}
    assert set(pairs["system"]) == {"m1"}
    assert set(pairs["value"]) == {1.0}
    assert dict(pairs.groupby("metric")["label"].first()) == {PLAIN: "FIRST", SWAPPED: "SECOND"}
    assert set(pairs["judge_model"]) == {"m1"}
    # The other scores are all still there.
    assert Counter(scores["metric"])["correctness"] == Counter(scores["metric"])["cosine"] == 40
    assert not scores.duplicated(["question_id", "system", "metric"]).any()
    assert not any("pairwise" in metric for metric in run.table("summary")["metric"].to_pylist())
    html = (run.folder / "report.html").read_text()
    assert "m1 against m2" in html
    assert "blame" in html
    assert run.table("blame").num_rows == 40
    assert "refused with the context" in run.out

    llm.requests.clear()
    assert rageval(*PAIRWISE).status == 0
    assert llm.requests == []


def test_a_judge_that_always_says_first_contradicts_itself_every_time(rageval: Rageval, llm: FakeLLM) -> None:
    llm.reply = always_first

    run = rageval(*PAIRWISE)

    assert run.status == 0, run.err
    pairs = run.table("scores").to_pandas().query("metric.str.startswith('pairwise')").set_index("metric")
    assert set(pairs["label"]) == {"FIRST"}
    assert set(pairs.loc[PLAIN, "value"]) == {1.0}
    assert set(pairs.loc[SWAPPED, "value"]) == {0.0}
    html = (run.folder / "report.html").read_text()
    assert "20 of 20 (100.0 %)" in html
    assert "favours the first" in html


def test_a_failed_choice_is_asked_again_alone_and_a_missing_answer_skips_the_pair(
    rageval: Rageval, llm: FakeLLM
) -> None:
    def refuse(body: Body) -> str | Reply:
        if "explain: judge" in prompt(body) and body["model"] == "m2" and not is_judgement(body):
            return Reply(status=400, error="too long")
        if is_choice(body) and "explain: flow" in prompt(body):
            return Reply(status=400, error="no choice")
        return prefers_m1(body)

    llm.reply = refuse
    first = rageval(*PAIRWISE, "--set", "run.max_failed_share=0.2")

    assert first.status == 0, first.err
    pairs = first.table("scores").to_pandas().query("metric.str.startswith('pairwise')")
    assert Counter(pairs["status"]) == {"ok": 36, "failed": 2, "skipped": 2}
    assert set(pairs.loc[pairs["status"] == "skipped", "error"]) == {"there is no answer of m2 to compare"}

    llm.requests.clear()
    llm.reply = prefers_m1
    again = rageval(*PAIRWISE, "--set", "run.max_failed_share=0.2")
    assert again.status == 0, again.err
    # Both orders of the question that failed, and of the one that has its answer only now.
    assert len(choices(llm)) == 4
    # That answer itself, and its two verdicts.
    assert len(llm.requests) == 4 + 1 + 2
    pairs = again.table("scores").to_pandas().query("metric.str.startswith('pairwise')")
    assert Counter(pairs["status"]) == {"ok": 40}


def test_a_run_stopped_among_the_choices_goes_on_with_the_missing_ones(rageval: Rageval, llm: FakeLLM) -> None:
    def spent(body: Body) -> str | Reply:
        if len(choices(llm)) > 10:
            return Reply(status=429, error="You exceeded your current quota", code="insufficient_quota")
        return prefers_m1(body)

    llm.reply = spent
    stopped = rageval(*PAIRWISE, "--max-concurrency", "1")

    assert stopped.status == 3
    # The eleventh was refused: ten are stored.
    asked = stopped.table("scores").to_pandas().query("metric.str.startswith('pairwise')")
    assert len(asked) == 10
    llm.requests.clear()
    llm.reply = prefers_m1
    again = rageval(*PAIRWISE, "--max-concurrency", "1")
    assert again.status == 0, again.err
    assert len(llm.requests) == len(choices(llm)) == 30


def test_three_models_make_three_pairs_each_under_its_first_model(rageval: Rageval, llm: FakeLLM) -> None:
    llm.reply = lambda body: choose("TIE") if is_choice(body) else prefers_m1(body)

    run = rageval(*PAIRWISE, "--model", "m3", "--sample", "6", "--metric", "relevance")

    assert run.status == 0, run.err
    pairs = run.table("scores").to_pandas().query("metric.str.startswith('pairwise')")
    # Six questions, both orders.
    assert Counter(zip(pairs["system"], pairs["metric"].str.slice(9, 11), strict=True)) == {
        ("m1", "m2"): 12, ("m1", "m3"): 12, ("m2", "m3"): 12,
    }  # fmt: skip
    assert set(pairs["value"]) == {0.5}
    assert not any("reference answer" in prompt(body) for body in llm.requests)
    assert "Pairs of systems" in (run.folder / "report.html").read_text()


def test_pairwise_judging_is_refused_in_batches(rageval: Rageval, llm: FakeLLM) -> None:
    run = rageval(*PAIRWISE, "--batch")

    assert run.status == 2
    assert "judge.pairwise needs live requests" in run.err
    assert llm.requests == []
