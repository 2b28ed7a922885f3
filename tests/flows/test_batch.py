"""A run through the Batch API ends with the same tables as one without, at half the price, and pays nothing twice."""

import os
import signal
import subprocess
import threading
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from tests.evaluations import AGAIN, Outcome, Rageval, evaluation, server_variables
from tests.fake_llm import VERDICT, Body, FakeLLM, Reply, is_judgement, prompt

PRICED = ("--set", "models=[{name: m1, input_usd_per_mtok: 1.0, output_usd_per_mtok: 2.0}]")
BATCH = ("--batch", "--set", "run.batch_poll_s=0.02")
ANSWERS, SCORES = ["question_id", "status", "answer"], ["question_id", "metric", "status", "value", "label"]


def rows(run: Outcome, table: str, columns: list[str]) -> pd.DataFrame:
    return run.table(table).to_pandas()[columns]


def test_a_run_in_batches_ends_with_the_same_rows_at_half_the_price(rageval: Rageval, llm: FakeLLM) -> None:
    def reply(body: Body) -> str | Reply:
        if "explain: judge" in prompt(body) and not is_judgement(body):
            return Reply(status=400, error="too long")
        return "I would say RELEVANT" if is_judgement(body) and "a cosine" in prompt(body) else default(body)

    default, llm.reply = llm.reply, reply
    # One of nineteen verdicts cannot be read.
    lenient = ("--set", "run.max_failed_share=0.06")
    one_by_one = rageval(*PRICED, *lenient)
    asked = len(llm.requests)
    batched = rageval(*PRICED, *BATCH, *lenient, run_id="r2")

    assert batched.status == one_by_one.status == 0, batched.err
    assert len(llm.requests) == asked, "everything went through batches"
    for table, columns in (("answers", ANSWERS), ("scores", SCORES)):
        pd.testing.assert_frame_equal(rows(batched, table, columns), rows(one_by_one, table, columns))
    fingerprints = (run.table("answers")["request_fingerprint"].to_pylist() for run in (batched, one_by_one))
    assert next(fingerprints) == next(fingerprints)
    # A batch of 20 answers; one of two verdicts for each of the 19 questions that have an answer, and the second ones.
    verdicts = 38 + 2 * AGAIN
    assert [len(lines) for lines in llm.batches.uploads] == [20, verdicts]
    assert set(Counter(line["custom_id"] for line in llm.batches.lines).values()) == {1}
    sent = sorted(str(line["body"]) for line in llm.batches.lines)
    assert sent == sorted(str({"model": body["model"], **body}) for body in same_order(llm.requests[:asked]))
    failed = batched.table("answers").to_pandas().query("status == 'failed'")
    assert list(failed["error"]) == ["HTTP 400: too long"]
    costs = [run.manifest["totals"]["cost_usd"] for run in (batched, one_by_one)]  # type: ignore[index]
    assert costs[1] > 0
    assert costs[0] == pytest.approx(costs[1] / 2)
    assert "is in_progress: 0 completed, 0 failed of 20" in batched.out
    assert "is completed: 19 completed, 1 failed of 20" in batched.out

    llm.reply = default
    rageval(*PRICED, *BATCH, run_id="r2")
    # Only what has failed, its verdicts and the two that could not be read, then nothing.
    assert [len(lines) for lines in llm.batches.uploads] == [20, verdicts, 1, 2 + 2]
    assert rageval(*PRICED, *BATCH, run_id="r2").status == 0
    assert (len(llm.batches.uploads), len(llm.batches.created), len(llm.requests)) == (4, 4, asked)


def same_order(bodies: list[Body]) -> list[Body]:
    """Return the bodies with their keys as the lines of a batch have them."""
    keys = ("model", "messages", "response_format")
    return [{key: body[key] for key in keys if key in body} for body in bodies if body.keys() <= set(keys)]


def test_what_an_expired_batch_did_not_get_to_is_a_failed_row_and_asked_again(rageval: Rageval, llm: FakeLLM) -> None:
    llm.batches.ends_as, llm.batches.lines_before_end = "expired", 15
    expired = rageval(*BATCH, "--no-judge")

    assert expired.status == 3
    assert "5 of 20 answers failed" in expired.err
    answers = expired.table("answers").to_pandas()
    assert Counter(answers["status"]) == {"ok": 15, "failed": 5}
    reasons = set(answers["error"].dropna())
    assert reasons == {"This request could not be executed in time. (batch_expired)"}
    # Not carried out, so not a request that was paid for.
    assert expired.manifest["totals"]["requests"] == 15  # type: ignore[index]

    llm.batches.ends_as, llm.batches.lines_before_end = "completed", None
    again = rageval(*BATCH, "--no-judge")

    assert again.status == 0, again.err
    assert [len(lines) for lines in llm.batches.uploads] == [20, 5]
    assert set(again.table("answers")["status"].to_pylist()) == {"ok"}


def test_a_batch_that_is_refused_as_a_whole_ends_the_run_with_the_providers_words(
    rageval: Rageval, llm: FakeLLM
) -> None:
    llm.batches.ends_as, llm.batches.problem = "failed", "Enqueued token limit reached for m1"

    run = rageval(*BATCH, "--no-judge")

    assert run.status == 3
    assert "the batch batch_1 with 20 answers of m1 was refused" in run.err
    assert "Enqueued token limit reached for m1" in run.err

    llm.batches.ends_as = "completed"
    assert rageval(*BATCH, "--no-judge").status == 0, "nothing of it was paid, so it is asked once more"


def test_a_batch_whose_creation_was_not_heard_of_is_found_and_not_created_twice(rageval: Rageval, llm: FakeLLM) -> None:
    llm.batches.lose_creation = True
    lost = rageval(*BATCH, "--no-judge")
    assert lost.status == 3
    assert "creating the batch" in lost.err

    llm.batches.lose_creation = False
    found = rageval(*BATCH, "--no-judge")

    assert found.status == 0, found.err
    assert (len(llm.batches.uploads), len(llm.batches.created)) == (1, 1)


def test_a_run_with_batches_under_way_goes_on_with_them_alone_and_outlasts_an_outage(
    rageval: Rageval, llm: FakeLLM
) -> None:
    llm.batches.status = 400
    refused = rageval(*BATCH, "--no-judge")
    assert refused.status == 3
    assert "the batch batch_1 goes on" in refused.err

    one_by_one = rageval("--no-judge")
    assert one_by_one.status == 2, "it would pay twice"
    assert "batches under way (batch_1); start it with --batch" in one_by_one.err

    llm.batches.status, llm.batches.faults = 200, 5
    assert rageval(*BATCH, "--no-judge").status == 0
    assert llm.batches.faults == 0
    assert len(llm.batches.created) == 1


def wait_for_looks(llm: FakeLLM, count: int, run: subprocess.Popen[str] | None = None) -> None:
    """Wait until batches have been looked at so often; by a process, for as long as it runs."""
    tick = threading.Event()
    while llm.batches.looks < count:
        assert run is None or run.poll() is None, run.communicate()
        tick.wait(0.02)


def reply_at_once(body: Body) -> str:
    return VERDICT if is_judgement(body) else "It is one of the things."


def press_ctrl_c_after(llm: FakeLLM, looks: int) -> None:
    wait_for_looks(llm, looks)
    os.kill(os.getpid(), signal.SIGINT)


def test_a_run_that_is_killed_or_interrupted_while_it_waits_collects_the_same_batch(
    rageval: Rageval, corpus: Path, llm: FakeLLM
) -> None:
    llm.reply = reply_at_once
    llm.batches.looks_to_end = 10**9
    with evaluation(corpus, llm, server_variables(), *BATCH) as run:
        wait_for_looks(llm, 3, run)
        run.send_signal(signal.SIGKILL)
        run.wait()
    threading.Thread(target=press_ctrl_c_after, args=(llm, llm.batches.looks + 3), daemon=True).start()
    interrupted = rageval("--max-concurrency", "4", *BATCH)

    assert interrupted.status == 3, interrupted.err
    assert "it was interrupted; the batch batch_1 goes on at" in interrupted.err
    assert "Go on with:\n  rageval evaluate --documents" in interrupted.out

    llm.batches.looks_to_end = 3
    resumed = rageval("--max-concurrency", "4", *BATCH)

    assert resumed.status == 0, resumed.err
    assert [len(lines) for lines in llm.batches.uploads] == [20, 40 + 2 * AGAIN]
    assert list(llm.batches.created) == ["batch_1", "batch_2"]
    assert llm.requests == []
    scores = resumed.table("scores").to_pandas()
    assert len(scores) == 20 * 8 + 2 * AGAIN
    assert not scores.duplicated(["question_id", "metric"]).any()


def test_the_embedded_model_has_no_batches(rageval: Rageval) -> None:
    run = rageval(*BATCH, "--judge", "local")

    assert run.status == 2
    assert "the embedded model 'local' has no Batch API" in run.err
