"""A stranger on the same machine, or a website that is open there, asks the Prefect server that a run has started."""

import os
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from tests.processes import PATIENCE_S, ROOT

pytestmark = pytest.mark.slow

OWNER = """
import sys
from flows.server import ready
ready(lambda words: None)
from prefect import flow
from prefect.client.orchestration import get_client
with get_client(sync_client=True) as client:
    print(client.api_url, flush=True)
@flow
def of_the_owner() -> str:
    return "done"
print(of_the_owner(), flush=True)
sys.stdin.read()
"""
FOREIGN = {"Origin": "https://stranger.example"}


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A process with a temporary server, and a flow that it has run; yields the server's address and what came out."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment = kept | {"PREFECT_HOME": str(tmp_path_factory.mktemp("home"))}
    with subprocess.Popen(
        [sys.executable, "-c", OWNER],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), process.stdout.readline().strip()
        process.communicate()


def test_nobody_but_the_run_reads_or_starts_anything_at_its_temporary_server(owner: tuple[str, str]) -> None:
    address, of_the_owner = owner
    with httpx.Client(base_url=address, timeout=PATIENCE_S) as stranger:
        read = stranger.post("/flow_runs/filter", json={})
        written = stranger.post("/flows/", json={"name": "of-a-stranger"})
        guessed = stranger.post("/flow_runs/filter", json={}, auth=("rageval", "rageval"))

    assert of_the_owner == "done"
    assert [answer.status_code for answer in (read, written, guessed)] == [401, 401, 401]


def test_no_website_may_ask_it_and_it_reports_to_nobody(owner: tuple[str, str]) -> None:
    address, _ = owner
    with httpx.Client(base_url=address, timeout=PATIENCE_S, headers=FOREIGN) as website:
        asked = website.get("/health")
        before = website.request("OPTIONS", "/flow_runs/filter", headers={"Access-Control-Request-Method": "POST"})

    assert "access-control-allow-origin" not in {*asked.headers, *before.headers}
    assert before.status_code == 400
