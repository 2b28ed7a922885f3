"""`deployments/prefect.yaml` as a user meets it: a server, a work pool, `prefect deploy`, a worker, a run."""

import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pyarrow.parquet as pq
import pytest
import yaml

from rageval.config import EvaluationConfig
from rageval.tables import SCHEMAS
from tests.fake_llm import FakeLLM

Found = TypeVar("Found")
ROOT = Path(__file__).parents[2]
FILE = ROOT / "deployments" / "prefect.yaml"
PREFECT = Path(sys.executable).parent / "prefect"
DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load(FILE.read_text(encoding="utf-8"))["deployments"]
PATIENCE_S = 240.0
"""For anything that takes seconds on an idle machine."""


def _name(deployment: dict[str, Any]) -> str:
    return f"{deployment['entrypoint'].rpartition(':')[2]}/{deployment['name']}"


each_deployment = pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=_name)


@each_deployment
def test_every_key_is_one_that_prefect_knows(deployment: dict[str, Any]) -> None:
    # Prefect ignores a key that it does not know, so a slip of the pen would go unnoticed.
    from prefect.cli.deploy._models import ConcurrencyLimitSpec, DeploymentConfig, RawScheduleConfig, WorkPoolConfig

    assert deployment.keys() <= DeploymentConfig.model_fields.keys()
    assert deployment["work_pool"].keys() <= WorkPoolConfig.model_fields.keys()
    assert deployment.get("concurrency_limit", {}).keys() <= ConcurrencyLimitSpec.model_fields.keys()
    for schedule in deployment.get("schedules", []):
        assert schedule.keys() <= RawScheduleConfig.model_fields.keys()


@each_deployment
def test_every_entrypoint_is_a_flow_that_is_called_like_its_file(deployment: dict[str, Any]) -> None:
    from prefect import Flow

    path, _, function = deployment["entrypoint"].partition(":")
    module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    flow = getattr(module, function)
    assert isinstance(flow, Flow)
    assert module.__file__ == str(ROOT / path)
    assert flow.name == function == Path(path).stem
    assert deployment["parameters"].keys() <= flow.parameters.properties.keys()


@each_deployment
def test_the_stored_parameters_are_a_valid_configuration(deployment: dict[str, Any]) -> None:
    config = EvaluationConfig.model_validate(deployment["parameters"]["config"])

    assert all(model.is_local for model in config.answers.models), "a deployment as it comes must cost nothing"
    assert config.run.run_id == "", "a fixed run id would resume the first run for ever"
    assert (ROOT / config.data.documents).exists()
    assert (ROOT / config.data.ground_truth).exists()


@dataclass(frozen=True, kw_only=True)
class Server:
    """A Prefect server with everything of `prefect.yaml` deployed to it, and a worker at its pool."""

    api: httpx.Client

    def deployment(self, name: str) -> dict[str, Any]:
        return self._answer(self.api.get(f"/deployments/name/{name}"))

    def start(self, name: str, parameters: dict[str, Any]) -> httpx.Response:
        """Ask for a run, as the button "Custom run" does."""
        deployment = self.deployment(name)["id"]
        return self.api.post(f"/deployments/{deployment}/create_flow_run", json={"parameters": parameters})

    def runs(self) -> int:
        return int(self.api.post("/flow_runs/count", json={}).json())

    def wait_for(self, run: httpx.Response) -> dict[str, Any]:
        """Return the run once it has ended, whatever its end."""
        flow_run = self._answer(run)
        ended = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}

        def end() -> dict[str, Any] | None:
            state = self._answer(self.api.get(f"/flow_runs/{flow_run['id']}"))
            return state if state["state_type"] in ended else None

        return _eventually(f"the end of the run {flow_run['name']}", end)

    def artifacts(self, flow_run: dict[str, Any]) -> dict[str, dict[str, Any]]:
        only_its_own = {"artifacts": {"flow_run_id": {"any_": [flow_run["id"]]}}}
        found = self.api.post("/artifacts/filter", json=only_its_own).raise_for_status().json()
        return {artifact["key"]: artifact for artifact in found}

    def log(self, flow_run: dict[str, Any]) -> str:
        only_its_own = {"logs": {"flow_run_id": {"any_": [flow_run["id"]]}}}
        return "\n".join(line["message"] for line in self.api.post("/logs/filter", json=only_its_own).json())

    @staticmethod
    def _answer(response: httpx.Response) -> dict[str, Any]:
        found: dict[str, Any] = response.raise_for_status().json()
        return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Set everything up with the commands of the README; the only settings are those that keep tests apart."""
    folder = tmp_path_factory.mktemp("prefect")
    port = _free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "OPENAI_"))}
    environment |= {
        "PREFECT_HOME": str(folder / "home"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
    }
    for name in ("ELASTICSEARCH_URL", "RAGEVAL_HOME"):
        environment.pop(name, None)

    def command(*arguments: str) -> None:
        done = subprocess.run(
            [PREFECT, "--no-prompt", *arguments],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"prefect {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"

    with (
        _running(folder / "server.log", environment, ROOT, "server", "start", "--port", str(port), "--no-ui"),
        httpx.Client(base_url=environment["PREFECT_API_URL"], timeout=60) as api,
    ):
        _eventually("the Prefect server", lambda: _is_healthy(api))
        command("work-pool", "create", "rageval", "--type", "process")
        # Only the worker knows where the project is, and it is started somewhere else.
        at_home = environment | {"RAGEVAL_HOME": str(ROOT)}
        with _running(folder / "worker.log", at_home, folder, "worker", "start", "--pool", "rageval", "--limit", "1"):
            command("deploy", "--prefect-file", "deployments/prefect.yaml", "--all")
            yield Server(api=api)


@pytest.mark.timeout(600)  # starts a server, a worker and a flow's process, each of which imports Prefect
def test_a_custom_run_of_the_deployment_writes_its_tables_and_publishes_its_summary(
    server: Server, corpus: Path, llm: FakeLLM
) -> None:
    config = _config(corpus, llm)

    flow_run = server.wait_for(server.start("evaluate/ad-hoc", {"config": config}))

    assert flow_run["state_type"] == "COMPLETED", server.log(flow_run)
    folder = corpus / "runs" / "deployed"
    rows = {table: pq.read_metadata(folder / f"{table}.parquet").num_rows for table in SCHEMAS}
    # Six questions by one search method and one model, each scored by cosine, five text metrics and two judgements;
    # none of the six is among those that are judged twice.
    assert (rows["questions"], rows["retrieval"], rows["answers"], rows["scores"]) == (6, 6, 6, 48)
    assert json.loads((folder / "run.json").read_text(encoding="utf-8"))["status"] == "complete"
    assert len(llm.requests) == 6 + 12
    artifacts = server.artifacts(flow_run)
    assert artifacts.keys() >= {"rageval-summary", "rageval-table", "rageval-progress"}
    assert "cosine" in artifacts["rageval-summary"]["data"]
    assert artifacts["rageval-progress"]["data"] == 100.0


@pytest.mark.timeout(600)  # may be the first to start the server
@pytest.mark.parametrize(
    ("group", "values", "complaint"),
    [
        ("data", {"sampel": 3}, "sampel"),
        ("data", {"sample": 0}, "less than the minimum"),
        ("retrieval", {"methods": ["psychic"]}, "psychic"),
    ],
)
def test_bad_parameters_are_refused_before_anything_starts(
    server: Server, group: str, values: dict[str, Any], complaint: str
) -> None:
    before = server.runs()

    refused = server.start("evaluate/ad-hoc", {"config": {group: values}})

    assert refused.status_code == 409
    assert complaint in refused.json()["detail"]
    assert server.runs() == before


@pytest.mark.timeout(600)  # may be the first to start the server
def test_the_nights_follow_their_own_clock_one_at_a_time_once_somebody_switches_them_on(server: Server) -> None:
    nightly = server.deployment("evaluate/nightly")

    [schedule] = nightly["schedules"]
    assert schedule["schedule"]["cron"] == "30 2 * * *"
    assert schedule["schedule"]["timezone"] == "Europe/Berlin"
    assert schedule["active"] is False
    assert nightly["global_concurrency_limit"]["limit"] == 1
    assert nightly["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"


@pytest.mark.timeout(600)  # may be the first to start the server
def test_no_deployment_knows_the_machine_that_deployed_it(server: Server) -> None:
    for name in map(_name, DEPLOYMENTS):
        deployed = server.deployment(name)
        assert deployed["enforce_parameter_schema"] is True
        assert deployed["path"] is None
        assert str(ROOT) not in json.dumps(deployed)


def _config(corpus: Path, llm: FakeLLM) -> dict[str, Any]:
    return {
        "data": {
            "documents": str(corpus / "documents.json"),
            "ground_truth": str(corpus / "questions.csv"),
            "sample": 6,
        },
        "retrieval": {"methods": ["vector"]},
        "answers": {"models": [{"name": "fake", "base_url": llm.url}]},
        "run": {"output": str(corpus / "runs"), "run_id": "deployed"},
    }


@contextmanager
def _running(log: Path, environment: dict[str, str], folder: Path, *arguments: str) -> Iterator[None]:
    """Run a `prefect` command that does not end by itself; it and its children end with the block."""
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [PREFECT, "--no-prompt", *arguments],
            cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        ) as process,
    ):  # fmt: skip
        try:
            yield
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children: politely, and after a while not."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            break
    process.wait()


def _is_healthy(api: httpx.Client) -> bool:
    try:
        return api.get("/health").is_success
    except httpx.TransportError:
        return False


def _eventually(what: str, look: Callable[[], Found | None]) -> Found:
    """Return what `look` finds, as soon as it finds something."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.2)
    pytest.fail(f"{what} did not come within {PATIENCE_S:.0f} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
