"""Every question asked three times: what is asked, stored, paid for, resumed, scored again, and what all of it says."""

import csv
import json
from collections import Counter

import pandas as pd

from rageval.comparison.folders import compare
from rageval.comparison.gate import gate
from rageval.comparison.pairing import Choice
from rageval.judging.label_files import make_template
from rageval.pipeline import rescore
from rageval.runs.run import Run
from tests.evaluations import Rageval
from tests.fake_llm import VERDICT, Body, FakeLLM, Reply, is_judgement, prompt

REPEATS = (
    "--model", "m1", "--model", "m2", "--judge", "m1", "--set", "run.repeats=3", "--set", "judge.pairwise=true",
    "--set", "judge.again_share=0.1", "--set", "metrics=[correctness, rouge_l, refusal]",
)  # fmt: skip
MADE = (("question_id", "system", "repeat", "metric"), ("question_id", "system", "repeat"))


class Moody:
    """Answers of m1 are alike; every third one of m2 is another, and is judged to be wrong."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    def __call__(self, body: Body) -> str | Reply:
        if "answer called FIRST" in prompt(body):
            return json.dumps({"reason": "So.", "label": "TIE"})
        if is_judgement(body):
            wrong = "Badly said." in prompt(body)
            return json.dumps({"reason": "So.", "label": "NON_RELEVANT"}) if wrong else VERDICT
        key = f"{body['model']} {prompt(body)}"
        self.asked[key] += 1
        return "Badly said." if body["model"] == "m2" and self.asked[key] == 3 else "Well said."


def test_three_repeats_are_asked_and_stored_each_and_a_question_still_counts_once(
    rageval: Rageval, llm: FakeLLM
) -> None:
    llm.reply = Moody()

    run = rageval(*REPEATS)

    assert run.status == 0, run.err
    answers, scores = run.table("answers").to_pandas(), run.table("scores").to_pandas()
    assert not answers.duplicated(list(MADE[1])).any()
    assert not scores.duplicated(list(MADE[0])).any()
    assert len(answers) == 3 * 2 * 20
    # Two systems, 20 questions, three times; both orders of one pair.
    counts = Counter(scores["metric"])
    assert (counts["correctness"], counts["pairwise[m2]"], counts["pairwise[m2, swapped]"]) == (120, 60, 60)
    assert set(scores[scores["metric"] == "pairwise[m2]"]["repeat"]) == {1, 2, 3}
    (again,) = {n for name, n in counts.items() if name == "correctness[again]"}
    assert len(llm.requests) == 120 + 120 + 120 + again
    summary = run.table("summary").to_pandas().set_index(["system", "metric"])
    assert summary.loc[("m2", "correctness"), ["n", "n_scored"]].tolist() == [20, 20]
    assert abs(summary.loc[("m2", "correctness"), "mean"] - 2 / 3) < 1e-9  # 1, 1, 0 of every question
    repeats = run.table("repeats").to_pandas().set_index(["system", "metric"])
    assert repeats.loc[("m1", "answers alike"), "agreement"] == 1
    assert repeats.loc[("m2", "answers alike"), ["n", "values", "agreement"]].tolist() == [20, 60, 0]
    assert abs(repeats.loc[("m2", "correctness"), "deviation"] - (1 / 3) ** 0.5) < 1e-9  # of 1, 1, 0
    blame = run.table("blame").to_pandas()
    assert set(blame["outcome"]) == {"right"}  # that of the repeat that is shown, not "partly" for a mean of 2/3
    assert len(blame) == 2 * 20
    pairwise = run.folder / "report.html"
    assert "does a system say the same each time?" in pairwise.read_text()
    assert "Repeats: does a system say the same each time?" in run.out
    assert run.manifest["totals"]["requests"] == len(llm.requests)  # type: ignore[index]


def test_what_is_lost_of_a_repeat_is_listed_and_asked_again_alone(rageval: Rageval, llm: FakeLLM) -> None:
    moody = Moody()

    def fails(body: Body) -> str | Reply:
        key = f"{body['model']} {prompt(body)}"
        if "Please explain: flow" in key and not is_judgement(body) and body["model"] == "m2" and moody.asked[key] == 1:
            moody.asked[key] += 1
            return Reply(status=400, error="a content filter")
        return moody(body)

    llm.reply = fails
    first = rageval(*REPEATS, "--set", "run.max_failed_share=0.5")
    assert first.status == 0, first.err
    failed = first.table("answers").to_pandas().query("status == 'failed'")
    assert failed["system"].tolist() == ["m2"]
    assert "a content filter" in (first.folder / "report.html").read_text()  # though the other repeats have an answer
    asked = len(llm.requests)

    llm.reply = Moody()
    again = rageval(*REPEATS, "--set", "run.max_failed_share=0.5")

    assert again.status == 0, again.err
    assert set(again.table("answers")["status"].to_pylist()) == {"ok"}
    # The answer, its verdict, and its choices in both orders; a second verdict if its question is one of those.
    assert len(llm.requests) - asked in (4, 5)


def test_runs_with_repeats_are_compared_gated_labelled_and_scored_again_as_others_are(
    rageval: Rageval, llm: FakeLLM
) -> None:
    llm.reply = Moody()
    many = rageval(*REPEATS)
    llm.reply = Moody()
    once = rageval(*REPEATS, "--set", "run.repeats=1", "--set", "run.reuse=false", run_id="r2")
    assert (many.status, once.status) == (0, 0), many.err + once.err
    a, b = Run(str(once.folder)), Run(str(many.folder))

    found = {(row.pair.name, row.metric): row for row in compare(a, b, Choice()).compared}
    assert found["m2", "correctness"].n == 20
    assert abs(found["m2", "correctness"].difference.mean + 1 / 3) < 1e-9
    assert found["m1", "correctness"].difference.mean == 0
    rows = {row.pair.name: row for row in gate(b, a, Choice(metrics=("correctness",)), max_drop=0.02).rows}
    assert (rows["m2"].n, rows["m2"].outcome) == (20, "worse")

    template = many.folder / "labels.csv"
    assert make_template(b, template, 40, 1) == 40  # one answer of each question and system
    with template.open(encoding="utf-8") as file:
        assert {row["answer"] for row in csv.DictReader(file)} == {"Well said."}  # the first repeat's

    wanted = rescore.rescoring(b, rescore.settings_of(b), ("relevance",))
    again = sum(wanted.plan.is_asked_again(id_) for id_ in b.read("questions")["question_id"].to_pylist())
    assert rescore.verdicts(b, wanted) == {"m1": 3 * 2 * (20 + again)}
    assert sum(estimate.calls for estimate in rescore.estimate(b, wanted)[1]) == 3 * 2 * (20 + again)


def test_the_figures_of_a_run_with_repeats_hold_their_sum_of_dollars(rageval: Rageval, llm: FakeLLM) -> None:
    llm.reply = Moody()
    priced = ("--set", "models.0.input_usd_per_mtok=1", "--set", "models.0.output_usd_per_mtok=1")
    run = rageval("--no-judge", "--set", "run.repeats=2", *priced)
    assert run.status == 0, run.err
    frame = pd.concat([run.table("answers").to_pandas(), run.table("scores").to_pandas()])
    assert abs(run.manifest["totals"]["cost_usd"] - frame["cost_usd"].sum()) < 1e-12  # type: ignore[index]
