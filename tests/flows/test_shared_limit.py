"""Two processes under one provider's limit: a Prefect global concurrency limit that both take places at."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from prefect.client.orchestration import get_client

from tests.evaluations import Rageval, server_variables
from tests.fake_llm import Body, Bucket, FakeLLM, Reply, default_reply

RPM = 600


@contextmanager
def process(llm: FakeLLM) -> Iterator[subprocess.Popen[str]]:
    """A process that is ready to ask, and is ended at last."""
    command = [sys.executable, "-m", "tests.flows.shared_limit_worker", llm.url, str(RPM), "two-processes"]
    env = {**os.environ, **server_variables()}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, text=True) as started:
        try:
            yield started
        finally:
            started.kill()


def begin(started: subprocess.Popen[str]) -> None:
    assert started.stdin
    started.stdin.write("\n")
    started.stdin.flush()


def wait_for_requests(llm: FakeLLM, count: int, processes: Sequence[subprocess.Popen[str]]) -> None:
    tick = threading.Event()
    while len(llm.requests) < count:
        assert all(started.poll() is None for started in processes)
        tick.wait(0.02)


def test_two_processes_keep_one_limit_together(prefect_server: None, llm: FakeLLM) -> None:
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name("two-processes", 100)
    # Ten a second. Three seconds' worth at once, as a process that the machine lets wait has some to make up for; twice
    # the limit would empty that in three seconds.
    llm.requests_limit = Bucket(per_minute=RPM, holds_s=3.0)
    llm.headers_on = False

    with ExitStack() as running:
        first, second = (running.enter_context(process(llm)) for _ in range(2))
        for started in (first, second):
            assert started.stdout
            assert started.stdout.readline() == "ready\n"
        begin(first)
        wait_for_requests(llm, 20, [first, second])  # the second one comes while the first one has the whole limit
        begin(second)
        wait_for_requests(llm, 20 + 100, [first, second])

    assert llm.refused <= 2  # each for itself, they were refused the half


def test_a_limit_that_is_not_there_ends_the_run_before_anything_is_sent(rageval: Rageval, llm: FakeLLM) -> None:
    run = rageval("--no-judge", "--set", "models=[{name: m1, shared_limit: nowhere}]")

    assert run.status == 2
    error = run.err.replace("\n", " ")
    assert "no global concurrency limit 'nowhere'" in error
    assert "python -m deployments.bootstrap --limit nowhere=100" in error
    assert llm.requests == []


def test_every_chunk_takes_a_place_while_it_is_asked_and_gives_it_back(rageval: Rageval, llm: FakeLLM) -> None:
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name("one-run", 4)
        held = []

        def look(body: Body) -> str | Reply:
            if len(llm.requests) % 9 == 1:
                held.append(client.read_global_concurrency_limit_by_name("one-run").active_slots)
            return default_reply(body)

        llm.reply = look
        run = rageval("--sample", "6", "--set", "models=[{name: m1, shared_limit: one-run}]")

        assert run.status == 0, run.err
        assert len(held) >= 2  # of 18 requests: six are answered once and judged twice
        assert set(held) <= {1, 2, 3, 4}
        assert client.read_global_concurrency_limit_by_name("one-run").active_slots == 0
