"""`deployments/prefect.yaml` as a user meets it: a server, `bootstrap`, `prefect deploy`, a worker or `serve`, runs."""

import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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
RAGEVAL = Path(sys.executable).parent / "rageval"
DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load(FILE.read_text(encoding="utf-8"))["deployments"]
BOOTSTRAP = [
    sys.executable, "-m", "deployments.bootstrap",
    "--limit", "rageval-fake=3", "--webhook-url-env", "ALERT_WEBHOOK_URL",
]  # fmt: skip
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
    scheduled = [schedule["parameters"] for schedule in deployment.get("schedules", []) if "parameters" in schedule]
    for parameters in [deployment["parameters"], *scheduled]:
        config = EvaluationConfig.model_validate(parameters["config"])

        assert all(model.is_local for model in config.answers.models), "a deployment as it comes must cost nothing"
        assert config.run.run_id == "", "a fixed run id would resume the first run for ever"
        assert (ROOT / config.data.documents).exists()
        assert (ROOT / config.data.ground_truth).exists()


@each_deployment
def test_nothing_runs_by_itself_until_somebody_switches_it_on(deployment: dict[str, Any]) -> None:
    assert not any(schedule["active"] for schedule in deployment.get("schedules", []))


def test_every_setting_of_the_form_has_a_place_a_title_and_a_help() -> None:
    # Postgres forgets the order of an object's keys, so the form needs positions.
    schema = EvaluationConfig.model_json_schema()
    groups = schema["properties"]
    assert sorted(groups, key=lambda name: groups[name]["position"]) == [*EvaluationConfig.model_fields]
    for name, definition in schema["$defs"].items():
        assert definition["description"], name
        for setting, field in definition["properties"].items():
            assert field["description"], (name, setting)
            assert "_" not in field["title"], (name, setting)
        assert [field["position"] for field in definition["properties"].values()] == [
            *range(len(definition["properties"]))
        ]


@dataclass(frozen=True, kw_only=True)
class Server:
    """A Prefect server with everything of `prefect.yaml` deployed to it, and a worker at its pool."""

    api: httpx.Client
    environment: dict[str, str]
    bootstrapped: str
    """What bootstrap said."""
    alerts: list[dict[str, str]]
    """What was posted to the webhook."""

    def command(self, *command: str | Path) -> str:
        """Run a command in the checkout as a user of this server; returns what it prints."""
        return _done(command, self.environment)

    def deployment(self, name: str) -> dict[str, Any]:
        return self._answer(self.api.get(f"/deployments/name/{name}"))

    def start(self, name: str, parameters: dict[str, Any], *, at: datetime | None = None) -> httpx.Response:
        """Ask for a run, now or later, as the button "Custom run" does."""
        deployment = self.deployment(name)["id"]
        body: dict[str, Any] = {"parameters": parameters}
        if at:
            body["state"] = {"type": "SCHEDULED", "state_details": {"scheduled_time": at.isoformat()}}
        return self.api.post(f"/deployments/{deployment}/create_flow_run", json=body)

    def runs(self) -> int:
        return int(self.api.post("/flow_runs/count", json={}).json())

    def wait_for(self, flow_run: dict[str, Any]) -> dict[str, Any]:
        """Return the run once it has ended, whatever its end."""
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
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
    }
    for name in ("ELASTICSEARCH_URL", "RAGEVAL_HOME"):
        environment.pop(name, None)

    with (
        _running(folder / "server.log", environment, ROOT, PREFECT, "server", "start", "--port", str(port), "--no-ui"),
        httpx.Client(base_url=environment["PREFECT_API_URL"], timeout=60) as api,
        _webhook() as (environment["ALERT_WEBHOOK_URL"], alerts),
    ):
        _eventually("the Prefect server", lambda: _is_healthy(api))
        said = _done(BOOTSTRAP, environment)
        # Only the worker knows where the project is, and it is started somewhere else.
        at_home = environment | {"RAGEVAL_HOME": str(ROOT)}
        worker = (PREFECT, "worker", "start", "--pool", "rageval", "--limit", "1")
        with _running(folder / "worker.log", at_home, folder, *worker):
            deploy = ("--no-prompt", "deploy", "--prefect-file", "deployments/prefect.yaml", "--all")
            _done([PREFECT, *deploy], environment)
            yield Server(api=api, environment=environment, bootstrapped=said, alerts=alerts)


@pytest.mark.timeout(600)  # starts a server, a worker and a flow's process, each of which imports Prefect
def test_a_custom_run_of_the_deployment_writes_its_tables_and_publishes_its_summary(
    server: Server, corpus: Path, llm: FakeLLM
) -> None:
    config = _config(corpus, llm)

    flow_run = server.wait_for(server.start("evaluate/ad-hoc", {"config": config}).raise_for_status().json())

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
    nightly = server.deployment("nightly/nightly")

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


@pytest.mark.timeout(600)  # may be the first to start the server
def test_bootstrap_run_again_changes_nothing(server: Server) -> None:
    assert server.bootstrapped.count("created") == 4

    again = server.command(*BOOTSTRAP)

    assert again.count("unchanged") == len(again.splitlines()) == 4
    assert "a-secret" not in again
    assert server.api.get("/work_pools/rageval").json()["type"] == "process"
    assert server.api.get("/v2/concurrency_limits/rageval-fake").json()["limit"] == 3
    assert len(server.api.post("/automations/filter", json={}).json()) == 1


@pytest.mark.timeout(600)  # may be the first to start the server
def test_a_night_that_fails_is_reported_to_the_webhook(server: Server) -> None:
    nightly = server.deployment("nightly/nightly")
    failed = {"type": "FAILED", "name": "Failed", "message": 'cosine: "worse" by 0.1'}
    night = {"flow_id": nightly["flow_id"], "deployment_id": nightly["id"], "tags": nightly["tags"], "state": failed}

    run = server.api.post("/flow_runs/", json={"name": "a night", **night}).raise_for_status().json()

    _eventually("the alert", lambda: server.alerts)
    [alert] = server.alerts
    title, name, message, link = alert["text"].splitlines()
    assert (title, name, message) == ("nightly/nightly: Failed", "a night", 'cosine: "worse" by 0.1')
    assert run["id"] in link


@pytest.mark.timeout(600)  # a flow's process, which waits for its turn
def test_a_schedule_starts_the_night_by_itself_and_the_night_is_accepted(
    server: Server, corpus: Path, llm: FakeLLM
) -> None:
    nightly = server.deployment("nightly/nightly")
    every_five_seconds = {"interval": 5, "anchor_date": datetime.now(UTC).isoformat()}
    parameters = {"config": _config(corpus, llm), "gate": {}}
    soon = {"schedule": every_five_seconds, "active": True, "slug": "soon", "parameters": parameters}
    schedules = f"/deployments/{nightly['id']}/schedules"

    [created] = server.api.post(schedules, json=[soon]).raise_for_status().json()

    started = {"state": {"type": {"any_": ["PENDING", "RUNNING"]}}}
    of_the_schedule = {"deployment_id": {"any_": [nightly["id"]]}, **started}
    [run] = _eventually(
        "the scheduled run",
        lambda: server.api.post("/flow_runs/filter", json={"flow_runs": of_the_schedule, "limit": 1}).json(),
    )
    server.api.delete(f"{schedules}/{created['id']}").raise_for_status()
    flow_run = server.wait_for(run)

    assert flow_run["auto_scheduled"] is True
    assert flow_run["state_type"] == "COMPLETED", server.log(flow_run)
    assert json.loads((corpus / "runs" / "accepted.json").read_text(encoding="utf-8"))


@pytest.mark.timeout(600)  # one process that serves, and one that runs
def test_serve_runs_deployments_without_a_worker_until_ctrl_c(
    server: Server, corpus: Path, llm: FakeLLM, tmp_path: Path
) -> None:
    log = tmp_path / "serve.log"
    before = {name: server.deployment(name) for name in map(_name, DEPLOYMENTS)}
    with _running(log, server.environment, ROOT, RAGEVAL, "serve") as process:
        # It takes the deployments from the pool, and so from the worker.
        _eventually("serving", lambda: process.poll() is not None or _is_served(server, _name(DEPLOYMENTS[-1])))
        run = server.start("evaluate/smoke", {"config": _config(corpus, llm)}).raise_for_status().json()
        flow_run = server.wait_for(run)
        served = {name: server.deployment(name) for name in before}
        process.send_signal(signal.SIGINT)
        status = process.wait(timeout=PATIENCE_S)

    said = log.read_text(encoding="utf-8")
    assert flow_run["state_type"] == "COMPLETED", server.log(flow_run)
    assert status == 0, said
    assert all(name in said for name in before)
    same = ("parameters", "tags", "description", "entrypoint", "concurrency_options", "parameter_openapi_schema")
    for name, deployed in before.items():
        assert [served[name][key] for key in same] == [deployed[key] for key in same], name
        assert _schedules(served[name]) == _schedules(deployed), name
        assert server.deployment(name)["paused"] is True, "after Ctrl-C nobody runs it"


def _is_served(server: Server, name: str) -> bool:
    found = server.api.get(f"/deployments/name/{name}")
    return found.is_success and not found.json()["work_pool_name"]


def _schedules(deployment: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    return {
        one["slug"]: (one["schedule"]["cron"], one["schedule"]["timezone"], one["active"], one["parameters"])
        for one in deployment["schedules"]
    }


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


def _done(command: Sequence[str | Path], environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@contextmanager
def _running(
    log: Path, environment: dict[str, str], folder: Path, *command: str | Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command that does not end by itself; it and its children end with the block."""
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        ) as process,
    ):
        try:
            yield process
        finally:
            _end(process)


@contextmanager
def _webhook() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Run a server that takes messages; yields its URL and what it has got."""
    messages: list[dict[str, str]] = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            messages.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *message: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Webhook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/a-secret", messages
        server.shutdown()


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
