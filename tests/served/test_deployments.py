"""`deployments/prefect.yaml` as a user meets it: a server, `bootstrap`, `prefect deploy`, a worker or `serve`, runs."""

import json
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from rageval.tables import SCHEMAS
from tests.evaluations import write_corpus
from tests.fake_llm import FakeLLM
from tests.processes import PATIENCE_S, ROOT, eventually, running
from tests.served.deployed import BOOTSTRAP, DEPLOYMENTS, Server, name_of, small_config

RAGEVAL = Path(sys.executable).parent / "rageval"


@dataclass(frozen=True, kw_only=True)
class CustomRun:
    """A run that somebody has asked for, its corpus and its model."""

    started: dict[str, Any]
    corpus: Path
    llm: FakeLLM


@pytest.fixture(scope="module")
def custom_run(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CustomRun]:
    corpus = write_corpus(tmp_path_factory.mktemp("custom"))
    with FakeLLM() as llm:
        started = server.start("evaluate/ad-hoc", {"config": small_config(corpus, llm)}).raise_for_status().json()
        yield CustomRun(started=started, corpus=corpus, llm=llm)


@pytest.mark.parametrize(
    ("group", "values", "complaint"),
    [
        ("data", {"sampel": 3}, "sampel"),
        ("data", {"sample": 0}, "less than the minimum"),
        ("retrievers", [{"method": "psychic"}], "psychic"),
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


def test_the_nights_follow_their_own_clock_one_at_a_time_once_somebody_switches_them_on(server: Server) -> None:
    nightly = server.deployment("nightly/nightly")

    [schedule] = nightly["schedules"]
    assert schedule["schedule"]["cron"] == "30 2 * * *"
    assert schedule["schedule"]["timezone"] == "Europe/Berlin"
    assert schedule["active"] is False
    assert nightly["global_concurrency_limit"]["limit"] == 1
    assert nightly["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"


def test_no_deployment_knows_the_machine_that_deployed_it(server: Server) -> None:
    for name in map(name_of, DEPLOYMENTS):
        deployed = server.deployment(name)
        assert deployed["enforce_parameter_schema"] is True
        assert deployed["path"] is None
        assert str(ROOT) not in json.dumps(deployed)


def test_bootstrap_run_again_changes_nothing(server: Server) -> None:
    assert server.bootstrapped.count("created") == 5

    again = server.command(*BOOTSTRAP)

    assert again.count("unchanged") == len(again.splitlines()) == 5
    assert "a-secret" not in again
    assert server.get("/work_pools/rageval")["type"] == "process"
    assert server.get("/v2/concurrency_limits/rageval-fake")["limit"] == 3
    assert len(server.post("/automations/filter", {}).json()) == 2


def test_a_night_that_fails_is_reported_to_the_webhook(server: Server) -> None:
    nightly = server.deployment("nightly/nightly")
    failed = {"type": "FAILED", "name": "Failed", "message": 'cosine: "worse" by 0.1'}
    night = {"flow_id": nightly["flow_id"], "deployment_id": nightly["id"], "tags": nightly["tags"], "state": failed}

    run = server.post("/flow_runs/", {"name": "a night", **night}).raise_for_status().json()

    eventually("the alert", lambda: server.alerts)
    [alert] = server.alerts
    title, name, message, link = alert["text"].splitlines()
    assert (title, name, message) == ("nightly/nightly: Failed", "a night", 'cosine: "worse" by 0.1')
    assert link == f"https://prefect.example.com/runs/flow-run/{run['id']}"


def test_a_night_that_cannot_begin_is_reported_and_one_that_somebody_cancels_is_not(server: Server) -> None:
    weekly = server.deployment("evaluate/weekly-full")
    slots = f"/v2/concurrency_limits/{weekly['global_concurrency_limit']['id']}"
    before = len(server.alerts)

    def night(name: str) -> str:
        of_the_deployment = {"flow_id": weekly["flow_id"], "deployment_id": weekly["id"], "tags": weekly["tags"]}
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        scheduled = {"type": "SCHEDULED", "state_details": {"scheduled_time": tomorrow}}
        body = {"name": name, "state": scheduled, **of_the_deployment}
        return str(server.post("/flow_runs/", body).raise_for_status().json()["id"])

    by_hand, one_too_many = night("by hand"), night("one too many")
    server.post(f"/flow_runs/{by_hand}/set_state", {"state": {"type": "CANCELLED", "name": "Cancelled"}})
    server.request("PATCH", slots, {"active_slots": 1}).raise_for_status()
    pending = {"state": {"type": "PENDING", "name": "Pending"}}
    refused = server.post(f"/flow_runs/{one_too_many}/set_state", pending).raise_for_status().json()
    server.request("PATCH", slots, {"active_slots": 0}).raise_for_status()

    assert refused["state"]["type"] == "CANCELLED"
    eventually("the alert", lambda: len(server.alerts) > before)
    [alert] = server.alerts[before:]
    assert alert["text"].startswith(
        "evaluate/weekly-full: Cancelled\none too many\nDeployment concurrency limit reached"
    )


@pytest.mark.usefixtures("custom_run")  # runs beside it: most of either is imports
def test_a_schedule_starts_the_night_by_itself_and_the_night_is_accepted(
    server: Server, corpus: Path, llm: FakeLLM
) -> None:
    nightly = server.deployment("nightly/nightly")
    every_five_seconds = {"interval": 5, "anchor_date": datetime.now(UTC).isoformat()}
    parameters = {"config": small_config(corpus, llm), "gate": {}}
    soon = {"schedule": every_five_seconds, "active": True, "slug": "soon", "parameters": parameters}
    schedules = f"/deployments/{nightly['id']}/schedules"

    [created] = server.post(schedules, [soon]).raise_for_status().json()

    try:
        started = {"state": {"type": {"any_": ["PENDING", "RUNNING"]}}}
        of_the_schedule = {"deployment_id": {"any_": [nightly["id"]]}, **started}
        [run] = eventually(
            "the scheduled run",
            lambda: server.post("/flow_runs/filter", {"flow_runs": of_the_schedule, "limit": 1}).json(),
        )
    finally:
        server.request("DELETE", f"{schedules}/{created['id']}").raise_for_status()
    flow_run = server.wait_for(run)

    assert flow_run["auto_scheduled"] is True
    assert flow_run["state_type"] == "COMPLETED", server.log(flow_run)
    assert json.loads((corpus / "runs" / "accepted.json").read_text(encoding="utf-8"))


def test_a_custom_run_of_the_deployment_writes_its_tables_and_publishes_its_summary(
    server: Server, custom_run: CustomRun
) -> None:
    flow_run = server.wait_for(custom_run.started)

    assert flow_run["state_type"] == "COMPLETED", server.log(flow_run)
    folder = custom_run.corpus / "runs" / "deployed"
    rows = {table: pq.read_metadata(folder / f"{table}.parquet").num_rows for table in SCHEMAS}
    # Six questions by one retriever and one system, each scored by cosine, five text metrics and two judgements;
    # none of the six is among those that are judged twice.
    assert (rows["questions"], rows["retrieval"], rows["answers"], rows["scores"]) == (6, 6, 6, 48)
    assert json.loads((folder / "run.json").read_text(encoding="utf-8"))["status"] == "complete"
    assert len(custom_run.llm.requests) == 6 + 12
    artifacts = server.artifacts(flow_run)
    assert artifacts.keys() >= {"rageval-summary", "rageval-table", "rageval-progress"}
    assert "cosine" in artifacts["rageval-summary"]["data"]
    assert artifacts["rageval-progress"]["data"] == 100.0


def test_serve_runs_deployments_without_a_worker_until_ctrl_c(
    server: Server, corpus: Path, llm: FakeLLM, tmp_path: Path
) -> None:
    log = tmp_path / "serve.log"
    before = {name: server.deployment(name) for name in map(name_of, DEPLOYMENTS)}
    with running(log, [RAGEVAL, "serve"], environment=server.environment) as process:
        # It takes the deployments from the pool, and so from the worker.
        eventually("serving", lambda: process.poll() is not None or _is_served(server, name_of(DEPLOYMENTS[-1])))
        run = server.start("evaluate/smoke", {"config": small_config(corpus, llm)}).raise_for_status().json()
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
    found = server.request("GET", f"/deployments/name/{name}")
    return found.is_success and not found.json()["work_pool_name"]


def _schedules(deployment: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    return {
        one["slug"]: (one["schedule"]["cron"], one["schedule"]["timezone"], one["active"], one["parameters"])
        for one in deployment["schedules"]
    }
