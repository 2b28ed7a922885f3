"""A stranger who reaches Prefect's API wants the worker's secrets: real server, worker, `rageval serve` and thief."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.fake_llm import FakeLLM
from tests.processes import ROOT, eventually, running
from tests.served.deployed import SECRETS, Server, allowing, small_config

pytestmark = pytest.mark.slow

RAGEVAL = Path(sys.executable).parent / "rageval"
ELSEWHERE = "127.0.0.2"
"""A server that no worker of these tests lets its runs ask, unlike those of 127.0.0.1."""
ELSEWHERE_FOLDER = "/var/tmp/of-a-stranger"


@pytest.fixture
def thief() -> Iterator[FakeLLM]:
    """A model server of the stranger's own, which keeps every key that it is sent."""
    with FakeLLM(ELSEWHERE) as server:
        yield server


@pytest.fixture
def deployment(server: Server) -> str:
    """The id of a deployment in the worker's pool."""
    body = {
        "name": "stranger",
        "flow_id": server.post("/flows/", {"name": "evaluate"}).json()["id"],
        "entrypoint": "flows/evaluate.py:evaluate",
        "pull_steps": [{"prefect.deployments.steps.set_working_directory": {"directory": str(ROOT)}}],
        "work_pool_name": "rageval",
    }
    return str(server.post("/deployments/", body).raise_for_status().json()["id"])


def test_a_run_of_the_api_gets_no_variable_server_or_folder_that_its_worker_does_not_name(
    server: Server, deployment: str, corpus: Path, llm: FakeLLM, thief: FakeLLM, tmp_path: Path
) -> None:
    touched = tmp_path / "touched"
    config = small_config(corpus, llm)
    stolen = {"models": [{"name": "fake", "base_url": llm.url, "api_key_env": "PAYROLL_PASSWORD"}]}
    elsewhere = {"models": [{"name": "fake", "base_url": thief.url}]}
    # What Prefect's own pools let whoever starts a run choose of its process.
    widened = {"RAGEVAL_ALLOW_ENDPOINTS": thief.url, "PREFECT__FLOW_RUN_ID": None}
    chosen = {"env": widened, "command": f"touch {touched}", "working_dir": str(tmp_path)}
    attempts = {
        "RAGEVAL_ALLOW_VARIABLES": {"parameters": {"config": {**config, **stolen}}},
        "RAGEVAL_ALLOW_OUTPUTS": {"parameters": {"config": {**config, "run": {"output": ELSEWHERE_FOLDER}}}},
        "RAGEVAL_ALLOW_ENDPOINTS": {
            "parameters": {"config": {**config, **elsewhere}},
            "job_variables": chosen,
        },
    }
    create = f"/deployments/{deployment}/create_flow_run"
    started = {refusal: server.post(create, body).raise_for_status().json() for refusal, body in attempts.items()}

    ends = {refusal: server.wait_for(run) for refusal, run in started.items()}

    for refusal, end in ends.items():
        assert end["state_type"] == "FAILED", refusal
        assert refusal in end["state"]["message"]
    assert thief.keys == llm.keys == []
    assert not (corpus / "runs").exists()
    assert not Path(ELSEWHERE_FOLDER).exists()
    assert not touched.exists()


@contextmanager
def serving(server: Server, folder: Path) -> Iterator[str]:
    """Serve one deployment, whose file names an endpoint; yields its id."""
    mine = {"config": {"models": [{"name": "mine", "base_url": f"http://{ELSEWHERE}:9/v1"}]}}
    one = {"name": "served", "description": "For this test.", "tags": [], "parameters": mine}
    file = folder / "mine.yaml"
    file.write_text(yaml.safe_dump({"deployments": [{**one, "entrypoint": "flows/evaluate.py:evaluate"}]}))
    log = folder / "serve.log"
    environment = server.environment | allowing(folder) | {"PREFECT_RUNNER_POLL_FREQUENCY": "1"}
    with running(log, [RAGEVAL, "serve", "--file", file], environment=environment, folder=folder) as process:
        eventually("serving", lambda: "UI: " in log.read_text(encoding="utf-8"), process)
        yield str(server.deployment("evaluate/served")["id"])


def test_serve_runs_the_code_of_its_file_and_nothing_that_the_server_is_told_to_run(
    server: Server, corpus: Path, llm: FakeLLM, thief: FakeLLM, tmp_path: Path
) -> None:
    touched = tmp_path / "touched"
    script = tmp_path / "code.py"
    script.write_text(f"from pathlib import Path\nPath({str(touched)!r}).touch()\n")
    step = {"prefect.deployments.steps.run_shell_script": {"script": f"touch {touched}"}}
    stolen = small_config(corpus, llm) | {"models": [{"name": "fake", "base_url": thief.url}]}
    own_end = {**small_config(corpus, llm), "run": {"output": str(corpus / "runs"), "run_id": "honest"}}
    with serving(server, tmp_path) as deployment:
        changed = {"pull_steps": [step], "entrypoint": f"{script}:anything", "path": str(tmp_path)}
        server.request("PATCH", f"/deployments/{deployment}", changed).raise_for_status()
        chosen = {"env": {"RAGEVAL_ALLOW_ENDPOINTS": thief.url}, "command": f"touch {touched}"}
        create = f"/deployments/{deployment}/create_flow_run"
        first = server.post(create, {"parameters": {"config": stolen}, "job_variables": chosen}).json()
        second = server.post(create, {"parameters": {"config": own_end}}).json()
        refused, honest = server.wait_for(first), server.wait_for(second)

    assert "RAGEVAL_ALLOW_ENDPOINTS" in refused["state"]["message"]
    assert honest["state_type"] == "COMPLETED", server.log(honest)
    assert set(llm.keys) == {SECRETS["OPENAI_API_KEY"]}
    assert thief.keys == []
    assert not touched.exists()
