"""`rageval rescore`: old runs get the metrics that they lack, or other judges, and no answer is asked for again."""

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from rageval.config.evaluation import EvaluationConfig
from rageval.metrics import catalogue
from rageval.metrics.catalogue import find
from rageval.metrics.correctness import CORRECTNESS
from rageval.metrics.relevance import RELEVANCE
from rageval.runs import life
from rageval.runs.run import Run
from tests.evaluations import AGAIN, ONE_VERDICT, Outcome, Rageval
from tests.fake_llm import VERDICT, Body, FakeLLM, Reply, asked_for, is_judgement

TEXT_METRICS = ["rouge_l", "exact_match", "fuzzy_match", "refusal", "answer_words"]
FEW = ("--metric", "correctness", "--metric", "relevance", "--metric", "cosine")
PLAIN = ("--set", "judge.again_share=0", "--set", "retrieval.cutoffs=[]")
KEY = ["question_id", "metric"]
Rescore = Callable[..., Outcome]


@pytest.fixture
def rescore(
    prefect_server: None, llm: FakeLLM, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Rescore:
    """Call `rageval rescore` on a run's folder with the fake model."""
    from rageval.cli import main as cli

    def call(folder: Path, *options: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["rageval", "rescore", str(folder), "--base-url", llm.url, *options])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfd.readouterr()
        return Outcome(status=ended.value.code or 0, out=out, err=" ".join(err.split()), folder=folder)

    return call


def scores_of(run: Outcome) -> pd.DataFrame:
    scores: pd.DataFrame = run.table("scores").to_pandas()
    assert not scores.duplicated(["question_id", "system", "metric"]).any()
    return scores


def same_rows(now: pd.DataFrame, before: pd.DataFrame) -> bool:
    columns = [column for column in before if column != "reused_from"]
    first, second = (frame.sort_values(KEY)[columns].astype(object) for frame in (now, before))
    return bool(first.where(first.notna(), None).values.tolist() == second.where(second.notna(), None).values.tolist())


def test_verdicts_that_came_alone_are_replaced_by_combined_ones_where_these_are_wanted(
    rageval: Rageval, rescore: Rescore, llm: FakeLLM
) -> None:
    run = rageval(*PLAIN, "--set", "metrics=[relevance, toxicity]")
    cost = run.manifest["totals"]["requests"]  # type: ignore[index]
    llm.requests.clear()
    combined = ("--set", "judge.combine=true", "--set", "judge.again_share=0")
    names = ("--metric", "relevance", "--metric", "toxicity")
    dry = rescore(run.folder, *names, *combined, "--dry-run")
    assert "│20" in dry.out.replace(" ", "")

    rescored = rescore(run.folder, *names, *combined)
    assert rescored.status == 0, rescored.err
    assert [asked_for(body) for body in llm.requests] == [("relevance", "toxicity")] * 20
    after = scores_of(rescored)
    assert dict(zip(after["metric"], after["metric_version"], strict=True)) == {
        "relevance": "3 with toxicity", "toxicity": "3 with relevance",
    }  # fmt: skip
    assert rescored.manifest["totals"]["requests"] == cost + 20  # type: ignore[index]
    llm.requests.clear()
    assert rescore(run.folder, *names, *combined).status == 0
    assert llm.requests == []


def test_a_run_gets_the_metrics_that_it_lacks_without_a_request(
    rageval: Rageval, rescore: Rescore, llm: FakeLLM
) -> None:
    run = rageval(*PLAIN, *FEW)
    before = scores_of(run)
    llm.requests.clear()
    assert "100 scores would be computed without asking a model" in rescore(run.folder, "--dry-run").out

    rescored = rescore(run.folder)
    assert rescored.status == 0, rescored.err
    assert llm.requests == []
    after = scores_of(rescored)
    assert Counter(after["metric"]) == Counter(before["metric"]) + Counter(dict.fromkeys(TEXT_METRICS, 20))
    assert same_rows(after[after["metric"].isin(before["metric"])], before)
    assert set(after["status"]) == {"ok"}
    note = rescored.manifest["rescored"][0]  # type: ignore[index]
    assert (note["status"], note["metrics"], note["judges"]) == (
        "complete",
        {name: find(name).version for name in ("cosine", *TEXT_METRICS)},  # type: ignore[union-attr]
        [],
    )
    assert rescored.manifest["status"] == "complete"
    assert set(TEXT_METRICS) <= set(rescored.table("summary")["metric"].to_pylist())
    assert "rouge_l" in (run.folder / "report.html").read_text()
    assert "rouge_l" in rescored.out

    # And once more: everything is there. A resumed run has nothing to do, and keeps what was added.
    assert "\n0 scores would be computed" in "\n" + rescore(run.folder, "--dry-run").out
    assert rageval(*PLAIN).status == 0
    assert scores_of(rescored).equals(after)
    assert llm.requests == []


def test_another_judge_replaces_the_verdicts_of_the_metrics_named_and_nothing_else(
    rageval: Rageval, rescore: Rescore, llm: FakeLLM
) -> None:
    run = rageval()
    before, answers = scores_of(run), run.table("answers")
    llm.requests.clear()
    llm.reply = lambda body: VERDICT.replace("RELEVANT", "NON_RELEVANT")
    options = ("--metric", "correctness", "--judge", "m2")

    dry = rescore(run.folder, *options, "--dry-run")
    assert llm.requests == []
    assert f"│{20 + AGAIN}" in dry.out.replace(" ", "")
    rescored = rescore(run.folder, *options)

    assert rescored.status == 0, rescored.err
    assert Counter(body["model"] for body in llm.requests) == {"m2": 20 + AGAIN}
    assert all(is_judgement(body) for body in llm.requests)
    assert rescored.table("answers").equals(answers)
    after = scores_of(rescored)
    replaced = after["metric"].str.startswith("correctness")
    assert set(after.loc[replaced, "judge_model"]) == {"m2"}
    assert set(after.loc[replaced, "label"]) == {"NON_RELEVANT"}
    others = ~before["metric"].str.startswith("correctness")
    assert same_rows(after[~replaced], before[others])
    note = rescored.manifest["rescored"][0]  # type: ignore[index]
    assert (note["judges"], note["replaced"]["rows"]) == (["m2"], 20 + AGAIN)
    kept = pq.read_table(run.folder / note["replaced"]["file"]).to_pandas()
    assert same_rows(kept, before[~others])
    assert rescored.manifest["config"]["judge"]["model"]["name"] == "m2"  # type: ignore[index]

    llm.requests.clear()
    assert rescore(run.folder, *options).status == 0
    assert llm.requests == []
    # With its first judge the run would mix the verdicts of two.
    refused = rageval()
    assert (refused.status, llm.requests) == (2, [])
    assert "judge.model" in refused.err


def test_a_new_prompt_version_judges_again_only_when_rescored(
    rageval: Rageval, rescore: Rescore, llm: FakeLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = rageval("--set", "judge.again_share=0")
    new = tuple(replace(one, version="new") if one is CORRECTNESS else one for one in catalogue.METRICS)
    monkeypatch.setattr(catalogue, "METRICS", new)
    llm.requests.clear()

    assert rageval("--set", "judge.again_share=0").status == 0
    assert rescore(run.folder).status == 0
    assert llm.requests == []
    assert rescore(run.folder, "--metric", "relevance").status == 0
    assert llm.requests == []
    rescored = rescore(run.folder, "--metric", "correctness")

    assert rescored.status == 0, rescored.err
    assert len(llm.requests) == 20
    versions = scores_of(rescored).groupby("metric")["metric_version"].unique().map(list)
    assert (versions["correctness"], versions["relevance"]) == (["new"], [RELEVANCE.version])


def test_a_judge_that_becomes_one_of_a_panel_and_back_is_not_asked_twice(
    rageval: Rageval, rescore: Rescore, llm: FakeLLM
) -> None:
    run = rageval(*ONE_VERDICT)
    llm.requests.clear()
    metric = ("--metric", "correctness")

    panel = rescore(run.folder, *metric, "--judge", "m1", "--judge", "m2")

    assert panel.status == 0, panel.err
    assert Counter(body["model"] for body in llm.requests) == {"m2": 20}
    after = scores_of(panel).groupby("metric")["judge_model"].unique().map(list)
    assert after["correctness"] == ["m1 + m2"]
    assert after["correctness[m1]"] == after["correctness[again]"] == ["m1"]
    assert panel.manifest["totals"]["requests"] == 20 + 20 + AGAIN + 20  # type: ignore[index]

    single = rescore(run.folder, *metric, "--judge", "m2", "--set", "judge.again_share=0")

    assert single.status == 0, single.err
    assert len(llm.requests) == 20
    verdicts = scores_of(single).dropna(subset="judge_model")
    assert dict(Counter(zip(verdicts["metric"], verdicts["judge_model"], strict=True))) == {("correctness", "m2"): 20}


def test_a_stopped_rescoring_is_incomplete_says_so_and_goes_on_with_the_rest(
    rageval: Rageval, rescore: Rescore, llm: FakeLLM
) -> None:
    run = rageval("--set", "judge.again_share=0", "--max-concurrency", "1")
    llm.requests.clear()
    refused: list[Body] = []

    def reply(body: Body) -> str | Reply:
        if len(llm.requests) > 7:
            refused.append(body)
            return Reply(status=429, code="insufficient_quota")
        return VERDICT

    llm.reply = reply
    options = ("--metric", "correctness", "--judge", "m2")
    stopped = rescore(run.folder, *options, "--set", "judge.model.max_concurrency=1")

    assert stopped.status == 3, stopped.err
    assert "Traceback" not in stopped.err + stopped.out
    assert f"Go on with:\n  rageval rescore {run.folder}" in stopped.out
    assert stopped.manifest["status"] == "incomplete"
    judges = Counter(scores_of(stopped).query("metric == 'correctness'")["judge_model"])
    assert judges == {"m2": 7, "m1": 13}

    other = rescore(run.folder)
    assert other.status == 2
    assert "has not ended, so its verdicts are of two kinds" in other.err
    assert "--metric correctness --judge m2" in other.err

    llm.requests.clear()
    llm.reply = lambda body: VERDICT
    done = rescore(run.folder, *options)
    assert done.status == 0, done.err
    assert Counter(body["model"] for body in llm.requests) == {"m2": 13}
    assert done.manifest["status"] == "complete"
    assert [note["status"] for note in done.manifest["rescored"]] == ["incomplete", "complete"]  # type: ignore[attr-defined]
    assert set(scores_of(done).query("metric == 'correctness'")["judge_model"]) == {"m2"}


def test_what_cannot_be_done_is_said_before_anything_is_sent(rageval: Rageval, rescore: Rescore, llm: FakeLLM) -> None:
    run = rageval("--no-judge", "--sample", "3")
    llm.requests.clear()
    before = run.manifest
    for options, words in (
        (("--metric", "bleu"), "--metric bleu: no such metric can be chosen; known are correctness"),
        (("--judge", "m2"), "--judge m2: say what to judge, with --metric and one of correctness"),
        (("--set", "retrieval.top_k=9"), "retrieval.top_k differ"),
        (("--set", "models=[m9]"), "models differ"),
        (("--set", "judge.nothing=1"), "judge.nothing is not a known setting"),
    ):
        refused = rescore(run.folder, *options)

        assert (refused.status, llm.requests) == (2, []), options
        assert words in refused.err
        assert run.manifest == before


def test_a_folder_without_answers_is_no_run_to_rescore(rescore: Rescore, tmp_path: Path) -> None:
    assert "holds no run" in rescore(tmp_path / "nothing").err
    life.begin(Run(str(tmp_path / "begun")), EvaluationConfig(), [])
    assert "has no answers yet" in rescore(tmp_path / "begun").err


def test_a_run_without_a_judge_gets_one(rageval: Rageval, rescore: Rescore, llm: FakeLLM) -> None:
    run = rageval("--no-judge", "--sample", "6")
    llm.requests.clear()

    judged = rescore(run.folder, "--metric", "faithfulness", "--judge", "m2", "--set", "judge.again_share=0")

    assert judged.status == 0, judged.err
    assert Counter(body["model"] for body in llm.requests) == {"m2": 6}
    settings = judged.manifest["config"]
    assert settings["judge"]["enabled"]  # type: ignore[index]
    assert settings["metrics"] == ["faithfulness", "cosine", *TEXT_METRICS]  # type: ignore[index]
    assert set(scores_of(judged).query("metric == 'faithfulness'")["label"]) == {"FAITHFUL"}
