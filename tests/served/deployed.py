"""A Prefect server with everything of `prefect.yaml` deployed to it, set up with the commands of the README."""

import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.fake_llm import FakeLLM
from tests.processes import PATIENCE_S, ROOT, done, eventually, free_port, is_healthy, running

DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load((ROOT / "deployments" / "prefect.yaml").read_text(encoding="utf-8"))[
    "deployments"
]
PREFECT = Path(sys.executable).parent / "prefect"
BOOTSTRAP = [
    sys.executable, "-m", "deployments.bootstrap",
    "--limit", "rageval-fake=3", "--webhook-url-env", "ALERT_WEBHOOK_URL",
]  # fmt: skip

SECRETS = {
    "PAYROLL_PASSWORD": "c4n4ry-payroll",
    "ELASTICSEARCH_API_KEY": "c4n4ry-search",
    "OPENAI_API_KEY": "c4n4ry-key",
}
"""What the environment of the worker holds, and nobody who starts a run is to get."""


def name_of(deployment: dict[str, Any]) -> str:
    return f"{deployment['entrypoint'].rpartition(':')[2]}/{deployment['name']}"


def allowing(folder: Path) -> dict[str, str]:
    """Return what lets runs use models of this machine and all that lies in a folder."""
    return {
        "RAGEVAL_ALLOW_ENDPOINTS": "http://127.0.0.1:*",
        "RAGEVAL_ALLOW_FILES": str(folder),
        "RAGEVAL_ALLOW_OUTPUTS": str(folder),
    }


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
        return done(command, self.environment)

    def request(self, method: str, path: str, body: object = None) -> httpx.Response:
        """Ask as Prefect's own clients do: once more after a 503, which a busy SQLite causes."""

        def answer() -> httpx.Response | None:
            response = self.api.request(method, path, json=body)
            return response if response.status_code != httpx.codes.SERVICE_UNAVAILABLE else None

        return eventually(f"an answer to {path}", answer)

    def get(self, path: str) -> Any:
        return self.request("GET", path).raise_for_status().json()

    def post(self, path: str, body: object) -> httpx.Response:
        return self.request("POST", path, body)

    def deployment(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/deployments/name/{name}")
        return found

    def start(self, name: str, parameters: dict[str, Any]) -> httpx.Response:
        """Ask for a run, as the button "Custom run" does."""
        return self.post(f"/deployments/{self.deployment(name)['id']}/create_flow_run", {"parameters": parameters})

    def runs(self) -> int:
        return int(self.post("/flow_runs/count", {}).json())

    def wait_for(self, flow_run: dict[str, Any]) -> dict[str, Any]:
        """Return the run once it has ended, whatever its end."""
        ended = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}

        def end() -> dict[str, Any] | None:
            state: dict[str, Any] = self.get(f"/flow_runs/{flow_run['id']}")
            return state if state["state_type"] in ended else None

        return eventually(f"the end of the run {flow_run['name']}", end)

    def artifacts(self, flow_run: dict[str, Any]) -> dict[str, dict[str, Any]]:
        only_its_own = {"artifacts": {"flow_run_id": {"any_": [flow_run["id"]]}}}
        found = self.post("/artifacts/filter", only_its_own).raise_for_status().json()
        return {artifact["key"]: artifact for artifact in found}

    def log(self, flow_run: dict[str, Any]) -> str:
        only_its_own = {"logs": {"flow_run_id": {"any_": [flow_run["id"]]}}}
        return "\n".join(line["message"] for line in self.post("/logs/filter", only_its_own).raise_for_status().json())


@contextmanager
def deployed_server(folder: Path) -> Iterator[Server]:
    """Set everything up with the commands of the README; the only settings are those that keep tests apart."""
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "OPENAI_"))}
    environment |= {
        "PREFECT_HOME": str(folder / "home"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_UI_URL": "https://prefect.example.com",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
    }
    environment |= allowing(folder.parent) | SECRETS
    for name in ("ELASTICSEARCH_URL", "RAGEVAL_HOME"):
        environment.pop(name, None)

    with (
        running(
            folder / "server.log", [PREFECT, "server", "start", "--port", str(port), "--no-ui"], environment=environment
        ) as prefect,
        httpx.Client(base_url=environment["PREFECT_API_URL"], timeout=PATIENCE_S) as api,
        _webhook() as (environment["ALERT_WEBHOOK_URL"], alerts),
    ):
        eventually("the Prefect server", lambda: is_healthy(api, prefect))
        said = done(BOOTSTRAP, environment)
        # Only the worker knows where the project is, and it is started somewhere else.
        at_home = environment | {"RAGEVAL_HOME": str(ROOT)}
        worker = (PREFECT, "worker", "start", "--pool", "rageval", "--limit", "2")
        with running(folder / "worker.log", worker, environment=at_home, folder=folder):
            deploy = ("--no-prompt", "deploy", "--prefect-file", "deployments/prefect.yaml", "--all")
            done([PREFECT, *deploy], environment)
            yield Server(api=api, environment=environment, bootstrapped=said, alerts=alerts)


def small_config(corpus: Path, llm: FakeLLM) -> dict[str, Any]:
    """Return a configuration of six questions by vector search."""
    return {
        "data": {
            "documents": str(corpus / "documents.json"),
            "ground_truth": str(corpus / "questions.csv"),
            "sample": 6,
        },
        "retrievers": [{"method": "vector"}],
        "models": [{"name": "fake", "base_url": llm.url}],
        "run": {"output": str(corpus / "runs"), "run_id": "deployed"},
    }


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
