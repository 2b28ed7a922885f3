"""Chunks on the workers of a Dask cluster: two processes of it, a Prefect server, and a model server with a limit."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from distributed import Client, LocalCluster
from prefect.client.orchestration import get_client

from tests.evaluations import Outcome, Rageval
from tests.fake_llm import Body, Bucket, FakeLLM, Reply, default_reply, prompt
from tests.fake_pushgateway import FakePushgateway, value
from tests.flows.test_cost import PRICES

pytestmark = pytest.mark.slow

RPM = 900


@pytest.fixture(scope="module")
def cluster(prefect_server: None) -> Iterator[str]:
    """The address of a scheduler with two worker processes, and of a limit that they share."""
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name("on-dask", 100)
    with LocalCluster(
        n_workers=2, threads_per_worker=4, processes=True, dashboard_address=None, env={"OPENAI_API_KEY": "a-key"}
    ) as started:
        yield started.scheduler_address


@pytest.fixture
def on_dask(rageval: Rageval, cluster: str) -> Rageval:
    """`rageval evaluate` on the cluster; `gpt-4o-mini` has a price."""

    def call(*options: str, run_id: str = "r1", base_url: str | None = None) -> Outcome:
        return rageval(
            "--dask", cluster, "--retriever", "vector", "--shared-limit", "on-dask",
            "--set", "models.0.hedge=false", *options,
            run_id=run_id, base_url=base_url,
        )  # fmt: skip

    return call


def rows(run: Outcome, table: str) -> list[dict[str, object]]:
    """The rows of a table without times, and without what was measured in seconds."""
    found = run.table(table)
    times = [name for name in ("latency_s", "started_at", "attempts") if name in found.column_names]
    return [row for row in found.drop_columns(times).to_pylist() if not str(row.get("metric")).endswith("latency_s")]


def test_two_workers_come_to_the_same_tables_as_one_process_within_the_limit(
    on_dask: Rageval, rageval: Rageval, llm: FakeLLM, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm.requests_limit = Bucket(per_minute=RPM)
    llm.headers_on = False
    with FakePushgateway() as gateway:
        monkeypatch.setenv("RAGEVAL_PUSHGATEWAY_URL", gateway.url)
        there = on_dask("--rpm", str(RPM), run_id="there")
        monkeypatch.delenv("RAGEVAL_PUSHGATEWAY_URL")
    asked = len(llm.requests)
    here = rageval("--rpm", str(RPM), "--retriever", "vector", run_id="here")

    assert (there.status, here.status) == (0, 0), there.err + here.err
    assert llm.refused <= 8  # of 68 requests; each worker for itself, some twenty were refused
    assert asked == 68
    pushed = gateway.groups["/at/metrics/job/rageval/flow/evaluate"]
    assert value(pushed, "requests", outcome="ok") == value(pushed, "request_seconds_count") == asked
    for table in ("documents", "questions", "answers", "scores", "summary"):
        assert rows(there, table) == rows(here, table), table
    assert there.manifest["index"]["embedded"] == 0, "the workers have done it"
    assert "2 Dask workers" in there.err + there.out


def test_a_killed_worker_loses_no_answer_and_asks_again_only_for_what_was_in_flight(
    on_dask: Rageval, llm: FakeLLM, cluster: str
) -> None:
    answered = []
    with Client(cluster) as client:
        processes = [psutil.Process(pid) for pid in client.run(os.getpid).values()]

    def kill_whoever_asks_the_tenth(body: Body) -> str | Reply:
        answered.append(prompt(body))
        if len(answered) == 10:
            asks = next(p for p in processes if llm.ports[-1] in {c.laddr.port for c in p.net_connections()})
            asks.kill()
        return Reply(text="fine", delay_s=0.3)

    llm.reply = kill_whoever_asks_the_tenth
    run = on_dask("--no-judge", "--max-concurrency", "4", run_id="killed")

    assert run.status == 0, run.err
    assert run.table("answers").num_rows == 20
    assert set(run.table("answers")["status"].to_pylist()) == {"ok"}
    twice = [text for text, times in Counter(answered).items() if times > 1]
    assert len(set(answered)) == 20
    assert 1 <= len(twice) <= 4, "what was in flight at the one process, and nothing that it had stored"
    assert len(answered) == 20 + len(twice)


def test_a_ceiling_holds_over_all_workers(on_dask: Rageval, llm: FakeLLM) -> None:
    """What a second costs may lie above it: that often the workers are told what the others have spent."""
    llm.reply = lambda body: Reply(text=str(default_reply(body)), delay_s=0.3)
    stopped = on_dask(*PRICES, "--model", "m1", "--max-cost-usd", "1", "--max-concurrency", "2", run_id="dear")

    assert stopped.status == 3
    assert "reaches its ceiling" in stopped.err
    assert len(llm.requests) < 40, "of 68"
    assert stopped.manifest["status"] == "incomplete"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model", "local"], "served for one machine alone"),
        (["--shared-limit", ""], "has no shared_limit"),
        (["--batch"], "leave task_runner as threads"),
        (["--dask", "tcp://127.0.0.1:9"], "does not answer; start it with `dask scheduler`"),
    ],
)
def test_what_a_cluster_cannot_do_is_said_before_anything_is_sent(
    on_dask: Rageval, llm: FakeLLM, options: list[str], words: str
) -> None:
    run = on_dask(*options)

    assert run.status == 2
    assert words in " ".join(run.err.split())
    assert llm.requests == []


def test_a_function_and_an_endpoint_of_ones_own_are_asked_by_every_worker(
    on_dask: Rageval, rageval: Rageval, corpus: Path
) -> None:
    import json

    from tests.systems.test_runs import FREE, function, systems, version
    from tests.toy_rag import ToyRag

    with ToyRag(json.loads((corpus / "documents.json").read_text())) as rag:
        limited = systems(version(rag, 2, shared_limit="on-dask"), function(corpus, shared_limit="on-dask"))
        there = on_dask(*FREE, *limited, run_id="there")
        here = rageval(*FREE, *limited, run_id="here")
        unlimited = on_dask(*FREE, *systems(version(rag, 2)), run_id="unlimited")

    assert (there.status, here.status) == (0, 0), there.err + here.err
    assert len(rag.answered) == 2 * 20
    columns = ["question_id", "system", "answer", "context_ids", "status"]
    assert there.table("answers").select(columns).to_pylist() == here.table("answers").select(columns).to_pylist()
    assert unlimited.status == 2
    assert "the system 'v2' has no shared_limit" in " ".join(unlimited.err.split())
