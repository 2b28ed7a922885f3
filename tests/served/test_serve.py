"""`rageval serve` when things end under it: itself, its runs, the server. A real server, processes and signals."""

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from tests.evaluations import write_corpus
from tests.fake_llm import VERDICT, Body, FakeLLM, Reply, is_judgement
from tests.processes import PATIENCE_S, eventually, free_port, is_healthy, running
from tests.served.deployed import PREFECT, allowing

pytestmark = pytest.mark.slow

RAGEVAL = Path(sys.executable).parent / "rageval"
ANSWERED = 6
OVER = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@dataclass(kw_only=True)
class Stack:
    """A Prefect server that can go and come back, a file of deployments somewhere else, and a model."""

    folder: Path
    corpus: Path
    llm: FakeLLM
    environment: dict[str, str]
    api: httpx.Client

    @property
    def file(self) -> Path:
        return self.folder / "deployments.yaml"

    @contextmanager
    def server(self) -> Iterator[subprocess.Popen[bytes]]:
        port = self.environment["PREFECT_API_URL"].rpartition(":")[2].partition("/")[0]
        command = [PREFECT, "server", "start", "--port", port, "--no-ui"]
        with running(self.folder / "server.log", command, environment=self.environment) as process:
            eventually("the Prefect server", lambda: is_healthy(self.api, process))
            yield process

    @contextmanager
    def serve(self) -> Iterator[subprocess.Popen[bytes]]:
        """Serve two deployments, a night one at a time, from a file that lies outside of any checkout."""
        common = {"description": "For this test.", "tags": ["scheduled"], "parameters": {}}
        one_at_a_time = {"limit": 1, "collision_strategy": "CANCEL_NEW"}
        night = {
            "name": "night",
            "entrypoint": "flows/nightly.py:nightly",
            "concurrency_limit": one_at_a_time,
            **common,
        }
        other = {"name": "other", "entrypoint": "flows/evaluate.py:evaluate", **common}
        self.file.write_text(yaml.safe_dump({"deployments": [night, other]}), encoding="utf-8")
        self.log.unlink(missing_ok=True)
        command = [RAGEVAL, "serve", "--file", self.file]
        with running(self.log, command, environment=self.environment, folder=self.folder) as process:
            eventually("serving", lambda: "UI: " in self.log.read_text(encoding="utf-8"), process)
            yield process

    @property
    def log(self) -> Path:
        return self.folder / "serve.log"

    def health(self) -> int:
        """Return what the health check of the image is answered with."""
        address = f"http://127.0.0.1:{self.environment['PREFECT_RUNNER_SERVER_PORT']}/health"
        return httpx.get(address, timeout=PATIENCE_S).status_code

    def get(self, path: str) -> Any:
        return self.answer("GET", path)

    def post(self, path: str, body: object) -> Any:
        return self.answer("POST", path, body)

    def answer(self, method: str, path: str, body: object = None) -> Any:
        """Ask as Prefect's own clients do: once more after a 503, which a busy SQLite causes."""

        def found() -> httpx.Response | None:
            response = self.api.request(method, path, json=body)
            return response if response.status_code != httpx.codes.SERVICE_UNAVAILABLE else None

        return eventually(f"an answer to {path}", found).raise_for_status().json()

    def deployment(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/deployments/name/{name}")
        return found

    def start(self, run_id: str, deployment: str = "nightly/night", model: str = "m1") -> str:
        """Ask for a run of twenty questions; returns the id of the flow run."""
        config = {
            "data": {
                "documents": str(self.corpus / "documents.json"),
                "ground_truth": str(self.corpus / "questions.csv"),
            },
            "retrievers": [{"method": "text"}],
            "models": [{"name": model, "base_url": self.llm.url, "max_concurrency": 2}],
            "run": {"output": str(self.corpus / "runs"), "run_id": run_id, "chunk_size": 4},
        }
        found = self.post(
            f"/deployments/{self.deployment(deployment)['id']}/create_flow_run", {"parameters": {"config": config}}
        )
        return str(found["id"])

    def under_way(self, run_id: str) -> str:
        """Start a run, and return its id once the model has been asked something."""
        before = len(self.llm.requests)
        flow_run = self.start(run_id)
        eventually("requests", lambda: len(self.llm.requests) > before + ANSWERED or self.end_of(flow_run))
        return flow_run

    def end_of(self, flow_run: str) -> dict[str, Any] | None:
        """Return the run's state once it is over."""
        state: dict[str, Any] = self.get(f"/flow_runs/{flow_run}")["state"]
        return state if state["type"] in OVER else None

    def wait_for(self, flow_run: str) -> dict[str, Any]:
        return eventually(f"the end of {flow_run}", lambda: self.end_of(flow_run))

    def subflows(self, flow_run: str) -> list[dict[str, Any]]:
        only_its_own = {"flow_runs": {"parent_flow_run_id": {"any_": [flow_run]}}}
        found: list[dict[str, Any]] = self.post("/flow_runs/filter", only_its_own)
        return [run["state"] for run in found]

    def manifest(self, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.corpus / "runs" / run_id / "run.json").read_text(encoding="utf-8"))
        return found


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "OPENAI_"))}
    environment = (
        kept
        | allowing(folder)
        | {
            "PREFECT_HOME": str(folder / "home"),
            "PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PREFECT_RUNNER_POLL_FREQUENCY": "1",
            "PREFECT_RUNNER_SERVER_ENABLE": "true",
            "PREFECT_RUNNER_SERVER_HOST": "127.0.0.1",
            "PREFECT_RUNNER_SERVER_PORT": str(free_port()),
            "PREFECT_UI_URL": "https://prefect.example.com",
        }
    )
    environment.pop("ELASTICSEARCH_URL", None)
    with FakeLLM() as llm, httpx.Client(base_url=environment["PREFECT_API_URL"], timeout=PATIENCE_S) as api:
        yield Stack(folder=folder, corpus=write_corpus(folder), llm=llm, environment=environment, api=api)


@pytest.fixture
def stuck(stack: Stack) -> Iterator[Callable[[], None]]:
    """Let the model m1 answer six times and then no more; returns what ends that."""
    asked = itertools.count(1)

    def reply(body: Body) -> Reply:
        if body["model"] == "m1" and next(asked) > ANSWERED:
            return Reply(hang=True)
        return Reply(text=VERDICT if is_judgement(body) else "It is one of the things.")

    before, stack.llm.reply = stack.llm.reply, reply

    def go_on() -> None:
        stack.llm.reply = before

    yield go_on
    go_on()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_run_under_way_saves_what_it_has_when_serving_is_stopped_and_goes_on_under_its_id(
    stack: Stack, stuck: Callable[[], None], number: signal.Signals
) -> None:
    run_id = f"stopped-by-{number.name}"
    with stack.server():
        with stack.serve() as serve:
            flow_run = stack.under_way(run_id)
            os.killpg(serve.pid, number)  # a terminal, and some service managers, send it to everybody
            status = serve.wait(PATIENCE_S)
        log = stack.log.read_text(encoding="utf-8")
        state, subflows, manifest = stack.end_of(flow_run), stack.subflows(flow_run), stack.manifest(run_id)
        paused = stack.deployment("nightly/night")["paused"]
        stuck()
        with stack.serve():
            again = stack.wait_for(stack.start(run_id))

    assert status == 0, log
    assert "never awaited" not in log
    assert f"View at https://prefect.example.com/runs/flow-run/{flow_run}" in log
    assert "127.0.0.1:" not in log, "links name the address that people use"
    assert state is not None, log
    assert (state["type"], [one["type"] for one in subflows]) == ("FAILED", ["FAILED"]), state
    assert f"start it again with --run-id {run_id}" in state["message"]
    assert manifest["status"] == "incomplete"
    assert "told to stop" in manifest["reason"]
    assert paused is (number == signal.SIGINT), "a service that is stopped comes back, and its runs are due meanwhile"
    assert again["type"] == "COMPLETED", again
    assert stack.manifest(run_id)["status"] == "complete"


def test_a_run_whose_process_is_gone_is_crashed_by_the_next_start_and_its_slot_is_free(
    stack: Stack, stuck: Callable[[], None]
) -> None:
    with stack.server():
        with stack.serve() as serve:
            flow_run = stack.under_way("killed")
            everybody = [serve.pid, *(child.pid for child in psutil.Process(serve.pid).children(recursive=True))]
            for pid in everybody:
                os.kill(pid, signal.SIGKILL)
            serve.wait(PATIENCE_S)
        assert stack.end_of(flow_run) is None
    # It forgets whose slot it was.
    with stack.server(), stack.serve():
        stuck()
        state = stack.wait_for(flow_run)
        subflows = stack.subflows(flow_run)
        next_one = stack.wait_for(stack.start("next"))

    assert (state["type"], [one["type"] for one in subflows]) == ("CRASHED", ["CRASHED"])
    assert "its process, or its machine, has ended" in state["message"]
    assert next_one["type"] == "COMPLETED", next_one


def test_deployments_do_not_wait_for_each_other_and_a_limit_holds_at_once(
    stack: Stack, stuck: Callable[[], None]
) -> None:
    with stack.server(), stack.serve():
        night = stack.under_way("long")
        one_too_many = stack.wait_for(stack.start("too-many"))
        beside = stack.wait_for(stack.start("beside", "evaluate/other", "m2"))
        assert stack.end_of(night) is None

    assert (one_too_many["type"], one_too_many["message"]) == ("CANCELLED", "Deployment concurrency limit reached.")
    assert beside["type"] == "COMPLETED", beside


def test_serving_is_healthy_again_and_cancels_after_the_server_was_away(
    stack: Stack, stuck: Callable[[], None]
) -> None:
    with ExitStack() as held:
        with stack.server():
            serve = held.enter_context(stack.serve())
            flow_run = stack.under_way("cancelled")
            eventually("health", lambda: stack.health() == httpx.codes.OK, serve)
        said = "The Prefect server does not answer"
        eventually("notice of it", lambda: said in stack.log.read_text(encoding="utf-8"), serve)
        eventually("ill health", lambda: stack.health() == httpx.codes.SERVICE_UNAVAILABLE, serve)
        with stack.server():
            stack.post(f"/flow_runs/{flow_run}/set_state", {"state": {"type": "CANCELLING"}})
            state = stack.wait_for(flow_run)
            subflows = stack.subflows(flow_run)
            stuck()
            next_one = stack.wait_for(stack.start("after-cancelled"))
            eventually("health", lambda: stack.health() == httpx.codes.OK, serve)

    assert state["type"] == "CANCELLED", state
    assert [one["type"] for one in subflows] == ["CANCELLED"]
    assert stack.manifest("cancelled")["status"] == "incomplete"
    assert next_one["type"] == "COMPLETED", next_one
