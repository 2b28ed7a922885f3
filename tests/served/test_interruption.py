"""A run that is killed or interrupted loses nothing and pays nothing twice but what was in flight."""

import os
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from tests.evaluations import AGAIN, Rageval, evaluation, server_variables
from tests.fake_llm import VERDICT, Body, FakeLLM, Reply, is_judgement, prompt
from tests.served.deployed import Server

SCORES = 20 * 8 + 2 * AGAIN
"""The cosine, five text metrics and two verdicts of each answer, and the second verdicts."""


@pytest.fixture(scope="module")
def prefect_server(server: Server) -> Iterator[None]:
    """The server of this folder, in place of one more; without heartbeats, as the other one."""
    url = server.environment["PREFECT_API_URL"]
    with temporary_settings({PREFECT_API_URL: url, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield


def slow(body: Body) -> Reply:
    return Reply(text=VERDICT if is_judgement(body) else "It is one of the things.", delay_s=0.1)


def wait_for_requests(llm: FakeLLM, count: int, run: subprocess.Popen[str]) -> None:
    tick = threading.Event()
    while len(llm.requests) < count:
        assert run.poll() is None, run.communicate()
        tick.wait(0.02)


def sent_twice(llm: FakeLLM) -> int:
    return sum(count - 1 for count in Counter(prompt(body) for body in llm.requests).values())


def test_after_kill_9_only_requests_in_flight_are_sent_again(rageval: Rageval, corpus: Path, llm: FakeLLM) -> None:
    llm.reply = slow
    with evaluation(corpus, llm, server_variables()) as run:
        wait_for_requests(llm, 30, run)
        run.send_signal(signal.SIGKILL)
        run.wait()
    # Nothing but second verdicts.
    assert sent_twice(llm) <= 2 * AGAIN

    resumed = rageval("--max-concurrency", "4")

    assert resumed.status == 0, resumed.err
    # Never more than four in flight: the concurrency that the run was given.
    assert 2 * AGAIN <= sent_twice(llm) <= 2 * AGAIN + 4
    answers, scores = resumed.table("answers").to_pandas(), resumed.table("scores").to_pandas()
    assert len(answers) == answers["question_id"].nunique() == 20
    assert len(scores) == SCORES
    assert not scores.duplicated(["question_id", "metric"]).any()
    assert set(answers["status"]) | set(scores["status"]) == {"ok"}


def test_ctrl_c_saves_everything_and_prints_the_command_that_goes_on(
    rageval: Rageval, corpus: Path, llm: FakeLLM
) -> None:
    llm.reply = slow
    with evaluation(corpus, llm) as run:
        wait_for_requests(llm, 30, run)
        os.killpg(run.pid, signal.SIGINT)  # a terminal sends it to the Prefect server too
        out, err = run.communicate()

    assert run.returncode == 3, (out, err)
    assert "Traceback" not in out + err
    assert "Go on with:\n  rageval evaluate --documents" in out
    assert "--run-id r1" in out
    assert (corpus / "runs" / "r1" / "report.html").exists()
    resumed = rageval("--max-concurrency", "4")
    assert resumed.status == 0, resumed.err
    # 20 answers, 40 verdicts and the second ones; what was cancelled in flight, at most four requests, was sent twice.
    assert 60 + 2 * AGAIN <= len(llm.requests) <= 64 + 2 * AGAIN
    assert len(resumed.table("scores")) == SCORES
