"""Text metrics, faithfulness, second verdicts and a panel of judges, through the command line."""

from collections import Counter

import pandas as pd
import pytest

from rageval.metrics.answer_words import answer_words
from rageval.metrics.catalogue import find
from rageval.metrics.exact_match import exact_match
from rageval.metrics.fuzzy_match import fuzzy_match
from rageval.metrics.rouge_l import rouge_l
from tests.evaluations import AGAIN, ONE_VERDICT, THREE_VERDICTS, Outcome, Rageval
from tests.fake_llm import FAITHFUL, VERDICT, Body, FakeLLM, Reply, is_about_faithfulness, is_judgement, prompt

PANEL = ("--judge", "m1", "--set", "judge.panel=[m2, m3]")
LENIENT = ("--set", "run.max_failed_share=0.1")


def verdict(label: str) -> str:
    return VERDICT.replace("RELEVANT", label)


def scores_of(run: Outcome) -> pd.DataFrame:
    scores: pd.DataFrame = run.table("scores").to_pandas()
    assert not scores.duplicated(["question_id", "system", "metric"]).any()
    return scores.set_index("question_id")


def of_metric(run: Outcome, metric: str) -> pd.DataFrame:
    scores = scores_of(run)
    return scores[scores["metric"] == metric]


def test_text_metrics_are_those_of_the_stored_texts(rageval: Rageval, llm: FakeLLM) -> None:
    llm.reply = lambda body: "I don't know." if "need a worker" in prompt(body) else "A task is one of the things."
    run = rageval("--no-judge")

    questions, documents = run.table("questions").to_pandas(), run.table("documents").to_pandas()
    questions["document_id"] = questions["relevant_ids"].str[0]
    asked = questions.merge(documents, on="document_id").set_index("question_id")
    answers = run.table("answers").to_pandas().set_index("question_id")["answer"]
    texts, references = answers.tolist(), asked.loc[answers.index, "text"].tolist()
    for metric, expected in (
        ("rouge_l", rouge_l(texts, references)),
        ("exact_match", exact_match(texts, references)),
        ("fuzzy_match", fuzzy_match(texts, references)),
        ("answer_words", answer_words(texts)),
        ("refusal", [float(text == "I don't know.") for text in texts]),
    ):
        rows = of_metric(run, metric).loc[answers.index]
        assert rows["value"].tolist() == list(expected), metric
        assert set(rows["metric_version"]) == {find(metric).version}
        assert rows["judge_model"].isna().all()
    assert of_metric(run, "refusal")["value"].sum() == 1


def test_a_refusal_that_is_not_english_is_no_value_with_a_reason(rageval: Rageval, llm: FakeLLM) -> None:
    llm.reply = lambda body: "我不知道。" if "need a worker" in prompt(body) else "A task is one of the things."
    run = rageval("--no-judge")

    rows = of_metric(run, "refusal")
    unread = rows[rows["status"] == "unscored"]
    assert len(unread) == len(rows) - rows["value"].eq(0).sum() == 1
    assert unread["error"].str.contains("only English is read").all()
    assert of_metric(run, "answer_words")["value"].min() == 5  # characters, with the full stop
    assert run.status == 0


def test_faithfulness_is_judged_by_the_contexts_that_the_model_was_shown(rageval: Rageval, llm: FakeLLM) -> None:
    def reply(body: Body) -> str:
        if is_about_faithfulness(body):
            return VERDICT if "a worker" in prompt(body).rpartition("generated answer")[2] else FAITHFUL
        return VERDICT if is_judgement(body) else "Fine."

    llm.reply = reply
    run = rageval(
        *THREE_VERDICTS, "--set", "judge.again_share=0", "--set", "retrieval.top_k=3",
        "--sample", "6",
    )  # fmt: skip

    about = [body for body in llm.requests if is_about_faithfulness(body)]
    assert len(about) == 6
    assert len(llm.requests) == 6 * 4
    for body in about:
        contexts = [line for line in prompt(body).splitlines() if line.startswith("<<<context")]
        # Three are shown, though more were found for the metrics at 10.
        assert len(contexts) == 3
        labels = body["response_format"]["json_schema"]["schema"]["properties"]["label"]["enum"]
        assert labels == ["FAITHFUL", "PARTLY_FAITHFUL", "UNFAITHFUL"]
    rows = of_metric(run, "faithfulness")
    assert set(rows["label"]) == {"FAITHFUL"}
    assert set(rows["value"]) == {1.0}
    page = (run.folder / "report.html").read_text().replace("<wbr>", "")
    assert "faithfulness" in page
    assert "PARTLY_FAITHFUL" in page


def test_the_second_verdicts_are_really_asked_for_and_stay_out_of_the_figures(rageval: Rageval, llm: FakeLLM) -> None:
    seen: Counter[str] = Counter()

    def reply(body: Body) -> str:
        if not is_judgement(body):
            return default(body)  # type: ignore[return-value]
        seen[prompt(body)] += 1
        return verdict("RELEVANT" if seen[prompt(body)] == 1 else "NON_RELEVANT")

    default, llm.reply = llm.reply, reply
    without = rageval("--set", "judge.again_share=0", run_id="r0")
    llm.requests.clear()
    # The first verdicts are there to be taken; no second one is.
    first = rageval("--reuse")

    assert first.status == 0, first.err
    assert len(llm.requests) == 2 * AGAIN
    again = of_metric(first, "correctness[again]")
    assert len(again) == AGAIN
    assert set(again["label"]) == {"NON_RELEVANT"}
    assert again["reused_from"].isna().all()
    assert set(again["judge_model"]) == {"m1"}
    firsts = of_metric(first, "correctness").loc[again.index]
    assert set(firsts["label"]) == {"RELEVANT"}
    assert not set(again["request_fingerprint"]) & set(firsts["request_fingerprint"])
    for run in (first, without):
        summary = run.table("summary").to_pandas()
        assert not summary["metric"].str.contains("[", regex=False).any()
        assert summary.set_index("metric").loc["correctness", "mean"] == 1

    llm.requests.clear()
    third = rageval("--reuse", run_id="r2")
    assert llm.requests == []
    assert set(of_metric(third, "correctness[again]")["label"]) == {"NON_RELEVANT"}


def test_the_majority_of_a_panel_counts_and_each_verdict_is_kept(rageval: Rageval, llm: FakeLLM) -> None:
    labels = {"m1": "RELEVANT", "m2": "NON_RELEVANT", "m3": "RELEVANT"}

    def reply(body: Body) -> str:
        if not is_judgement(body):
            return "Fine."
        text = prompt(body)
        if "explain: worker" in text or ("explain: task" in text and body["model"] == "m1"):
            return "no verdict"
        return verdict(
            "PARTLY_RELEVANT" if "explain: index" in text and body["model"] == "m3" else labels[body["model"]]
        )

    llm.reply = reply
    run = rageval(*PANEL, *ONE_VERDICT, *LENIENT)

    assert run.status == 0, run.err
    assert Counter(body["model"] for body in llm.requests) == {"m1": 20 + 20 + AGAIN, "m2": 20, "m3": 20}
    rows, questions = of_metric(run, "correctness"), run.table("questions").to_pandas()
    rows = rows.join(questions.set_index("question_id")["question"]).set_index("question")
    # Two of three say RELEVANT; with three different labels the middle one counts; of the two that are left for the
    # task, RELEVANT and NON_RELEVANT, the lower one; nobody has a verdict on the worker.
    expected = dict.fromkeys(rows.index, "RELEVANT") | {
        "Please explain: index": "PARTLY_RELEVANT", "Please explain: task": "NON_RELEVANT",
    }  # fmt: skip
    del expected["Please explain: worker"]
    assert rows["label"].dropna().to_dict() == expected
    worker = rows.loc["Please explain: worker"]
    assert (worker["status"], worker["error"]) == ("unscored", "none of the 3 judges gave a verdict")
    assert rows.loc["Please explain: task", "reason"] == "m1: no verdict; m2: NON_RELEVANT; m3: RELEVANT"
    assert set(rows["judge_model"]) == {"m1 + m2 + m3"}
    assert set(rows["attempts"]) == {0}
    assert rows[["cost_usd", "prompt_tokens", "request_fingerprint"]].isna().all(axis=None)
    for judge in labels:
        mine = of_metric(run, f"correctness[{judge}]")
        assert len(mine) == 20
        assert set(mine["judge_model"]) == {judge}
    assert set(of_metric(run, "correctness[again]")["judge_model"]) == {"m1"}
    actual = {(row["model"], row["role"]): row["calls"] for row in run.manifest["actual"]}  # type: ignore[attr-defined]
    assert actual == {
        ("m1", "answers"): 20, ("m1", "verdicts"): 20 + AGAIN, ("m2", "verdicts"): 20, ("m3", "verdicts"): 20,
    }  # fmt: skip
    estimate = {(row["model"], row["role"]): row["calls"] for row in run.manifest["estimate"]}  # type: ignore[attr-defined]
    assert estimate == actual
    assert "correctness[m2]" not in set(run.table("summary")["metric"].to_pylist())

    llm.requests.clear()
    again = rageval(*PANEL, *ONE_VERDICT, *LENIENT)
    # The four verdicts that could not be read are asked for again, and the panel comes to the same.
    assert (again.status, len(llm.requests)) == (0, 4)
    columns = ["question_id", "metric", "status", "value", "label", "reason", "error"]
    assert again.table("scores").select(columns).equals(run.table("scores").select(columns))


def test_a_panel_that_was_stopped_asks_for_the_rest_alone_and_then_decides(rageval: Rageval, llm: FakeLLM) -> None:
    def reply(body: Body) -> str | Reply:
        if body["model"] == "m3" and sum(other["model"] == "m3" for other in llm.requests) > 5:
            return Reply(status=429, code="insufficient_quota")
        return VERDICT if is_judgement(body) else "Fine."

    llm.reply = reply
    options = (*PANEL, *ONE_VERDICT, "--max-concurrency", "1")
    stopped = rageval(*options)

    assert stopped.status == 3
    assert "the credit" in stopped.err
    verdicts = scores_of(stopped).query("metric.str.startswith('correctness')")
    decided = set(verdicts[verdicts["metric"] == "correctness"].index)
    members = {name: set(verdicts[verdicts["metric"] == f"correctness[{name}]"].index) for name in ("m1", "m2", "m3")}
    assert decided <= members["m1"] & members["m2"] & members["m3"]
    assert len(members["m3"]) < 20
    stored = verdicts["attempts"].sum() + (stopped.table("answers").num_rows)

    llm.reply = lambda body: VERDICT if is_judgement(body) else "Fine."
    llm.requests.clear()
    resumed = rageval(*options)

    assert resumed.status == 0, resumed.err
    assert len(llm.requests) == 20 + 3 * 20 + AGAIN - stored
    assert set(of_metric(resumed, "correctness")["status"]) == {"ok"}
    assert len(of_metric(resumed, "correctness")) == 20


def test_failed_verdicts_of_a_panel_are_counted_by_the_calls_and_asked_again(rageval: Rageval, llm: FakeLLM) -> None:
    llm.reply = lambda body: (
        Reply(status=400, error="flagged") if body["model"] == "m2" else VERDICT if is_judgement(body) else "Fine."
    )
    failed = rageval("--judge", "m1", "--set", "judge.panel=[m2]", *ONE_VERDICT)

    # All of one of the two judges; the verdicts of the other, and the 20 majorities, are others.
    assert failed.status == 3
    assert "20 of 20 verdicts of correctness by m2 failed" in failed.err.replace("\n", " ")
    assert set(of_metric(failed, "correctness")["label"]) == {"RELEVANT"}
    llm.requests.clear()
    llm.reply = lambda body: verdict("NON_RELEVANT") if is_judgement(body) else "Fine."
    again = rageval("--judge", "m1", "--set", "judge.panel=[m2]", *ONE_VERDICT)
    assert again.status == 0, again.err
    assert Counter(body["model"] for body in llm.requests) == {"m2": 20}
    # One says RELEVANT and one NON_RELEVANT: the lower of the two.
    assert set(of_metric(again, "correctness")["label"]) == {"NON_RELEVANT"}


def test_batches_bring_the_same_panel_second_verdicts_and_faithfulness(rageval: Rageval, llm: FakeLLM) -> None:
    def reply(body: Body) -> str | Reply:
        if not is_judgement(body):
            return Reply(status=400) if "explain: report" in prompt(body) else "Fine."
        if is_about_faithfulness(body):
            return FAITHFUL.replace("FAITHFUL", "UNFAITHFUL") if body["model"] == "m2" else FAITHFUL
        return verdict("RELEVANT" if body["model"] == "m1" else "PARTLY_RELEVANT")

    llm.reply = reply
    options = (*PANEL, *THREE_VERDICTS)
    live = rageval(*options)
    asked = len(llm.requests)
    batched = rageval(*options, "--batch", "--set", "run.batch_poll_s=0.02", run_id="r2")

    assert batched.status == live.status == 0, batched.err
    assert len(llm.requests) == asked
    columns = [
        "question_id",
        "metric",
        "status",
        "value",
        "label",
        "reason",
        "error",
        "judge_model",
        "request_fingerprint",
    ]
    tables = [run.table("scores").to_pandas()[columns] for run in (batched, live)]
    pd.testing.assert_frame_equal(*tables)
    # One file of answers; one of each judge, all of them created before the first is waited for.
    n = 19
    assert sorted(len(lines) for lines in llm.batches.uploads) == sorted([20, 3 * n + 3 * AGAIN, 3 * n, 3 * n])
    assert set(tables[0].query("metric == 'faithfulness'")["label"].dropna()) == {"FAITHFUL"}


def test_a_dry_run_counts_the_slice_the_panel_faithfulness_and_pairs(rageval: Rageval) -> None:
    out = rageval(
        "--dry-run", "--model", "m1", "--model", "m2", "--set", "judge.panel=[m3]", *THREE_VERDICTS,
        "--set", "judge.pairwise=true",
    ).out  # fmt: skip
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if "│" in line]
    calls = {(row[0], row[1]): int(row[2].replace(",", "")) for row in rows}
    # Three metrics of 40 answers; the first judge also a slice of them again, and one pair in both orders a question.
    assert calls["m1", "verdicts"] == 3 * 40 + 3 * 2 * AGAIN + 2 * 20
    assert calls["m3", "verdicts"] == 3 * 40
    assert calls["total", ""] == 40 + 240 + 6 * AGAIN + 40


@pytest.mark.parametrize("limit", ["--rpm", "--max-concurrency"])
def test_limits_of_the_command_line_hold_for_the_whole_panel(rageval: Rageval, limit: str) -> None:
    out = rageval("--dry-run", *PANEL, limit, "10").out
    minutes = {
        line.split("│")[1].strip(): line.split("│")[-2].strip() for line in out.splitlines() if "verdicts" in line
    }
    assert minutes["m2"] == minutes["m3"] != "0.0"
