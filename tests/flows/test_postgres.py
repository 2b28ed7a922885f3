"""A team's server: Prefect on a real Postgres, set up with the script that docker compose runs, and a run on it.

Postgres 15 or newer must be installed (Debian's package `postgresql`; the client alone is not enough). Where it is not,
these tests are skipped and say so, also where `CI` is set: `.ci/run` promises to need no Debian package, and a run on a
machine that has none must pass. Machines that come with Postgres, as this project's own does, always run them.
"""

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.fake_llm import FakeLLM
from tests.flows.processes import PATIENCE_S, ROOT, eventually, free_port, is_healthy, running

BIN = Path(sys.executable).parent
PASSWORD = "onlyForThisTest1"


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """A running server with the databases of docker compose."""

    programs: Path
    port: int

    def url(self, database: str, scheme: str = "postgresql", user: str = "rageval") -> str:
        return f"{scheme}://{user}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def psql(self, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.programs / "psql", url, "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--tuples-only", "--no-align",
             *arguments],
            env=os.environ | {"GRAFANA_PASSWORD": PASSWORD}, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def answer(self, database: str, sql: str) -> str:
        done = self.psql(self.url(database), "--command", sql)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def refusal(self, database: str, sql: str) -> str:
        """Return why Grafana's user may not do this."""
        done = self.psql(self.url(database, user="grafana"), "--command", sql)
        assert done.returncode != 0
        return done.stderr


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """Start Postgres in a folder of its own, as the image does: a user `rageval`, `prefect`, and the script."""
    programs = _programs()
    # Not in pytest's folder: Postgres does not run as root, and nobody else may enter that one.
    folder = Path(tempfile.mkdtemp(prefix="rageval-postgres-"))
    user = _user()
    if user:
        shutil.chown(folder, user)
    port, sockets = free_port(), str(folder)
    (folder / "password").write_text(PASSWORD, encoding="utf-8")
    try:
        subprocess.run(
            [programs / "initdb", "--pgdata", folder / "data", "--username", "rageval", "--auth", "scram-sha-256",
             "--pwfile", folder / "password", "--no-sync", "--encoding", "UTF8"],
            user=user, cwd=folder, capture_output=True, check=True, timeout=PATIENCE_S,
        )  # fmt: skip
        options = ["-p", str(port), "-k", sockets, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        command = [programs / "postgres", "-D", folder / "data", *options]
        with running(folder / "postgres.log", command, user=user, folder=folder):
            server = Postgres(programs=programs, port=port)
            eventually("Postgres", lambda: server.psql(server.url("postgres"), "--command", "SELECT 1").returncode == 0)
            server.answer("postgres", "CREATE DATABASE prefect")
            script = ROOT / "deployments" / "postgres" / "databases.sql"
            created = server.psql(server.url("prefect"), "--file", str(script))
            assert created.returncode == 0, created.stderr
            yield server
    finally:
        shutil.rmtree(folder)


def test_grafana_reads_the_results_and_nothing_else(postgres: Postgres) -> None:
    postgres.answer("monitoring", "CREATE TABLE results (score float8); INSERT INTO results VALUES (0.5)")
    grafana = postgres.url("monitoring", user="grafana")

    assert postgres.psql(grafana, "--command", "SELECT score FROM results").stdout.strip() == "0.5"
    assert "permission denied" in postgres.refusal("monitoring", "DELETE FROM results")
    assert "permission denied" in postgres.refusal("monitoring", "CREATE TABLE mine (score float8)")
    assert "permission denied" in postgres.refusal("prefect", "SELECT 1")


@pytest.mark.timeout(600)  # starts a server and a command, each of which imports Prefect
def test_a_run_is_completed_on_a_server_that_keeps_its_state_in_postgres(
    postgres: Postgres, corpus: Path, llm: FakeLLM
) -> None:
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")} | {
        "PREFECT_HOME": str(corpus / "home"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    on_postgres = environment | {
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": postgres.url("prefect", "postgresql+asyncpg")
    }
    server = [BIN / "prefect", "--no-prompt", "server", "start", "--port", str(port), "--no-ui"]
    evaluate = [
        BIN / "rageval", "evaluate",
        "--documents", corpus / "documents.json", "--ground-truth", corpus / "questions.csv", "--sample", "2",
        "--output", corpus / "runs", "--run-id", "team", "--model", "m1", "--base-url", llm.url, "--search", "text",
    ]  # fmt: skip

    with (
        running(corpus / "server.log", server, environment=on_postgres),
        httpx.Client(base_url=environment["PREFECT_API_URL"], timeout=60) as api,
    ):
        eventually("the Prefect server", lambda: is_healthy(api))
        done = subprocess.run(
            evaluate, cwd=corpus, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        [flow_run] = api.post("/flow_runs/filter", json={}).raise_for_status().json()

    assert (flow_run["state_type"], flow_run["state_name"]) == ("COMPLETED", "Completed")
    assert json.loads((corpus / "runs" / "team" / "run.json").read_text(encoding="utf-8"))["status"] == "complete"
    assert postgres.answer("prefect", f"SELECT state_type FROM flow_run WHERE id = '{flow_run['id']}'") == "COMPLETED"
    assert PASSWORD not in (corpus / "server.log").read_text(encoding="utf-8")
    assert not list((corpus / "home").glob("*.db")), "nothing may be kept beside Postgres"


def _programs() -> Path:
    """Return the folder with Postgres' programs; skip where there are none."""
    found = shutil.which("initdb")
    candidates = [Path(found).resolve().parent] if found else []
    candidates += sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True
    )
    for folder in candidates:
        if all((folder / name).exists() for name in ("initdb", "postgres", "psql")):
            return folder
    pytest.skip("Postgres is not installed: no initdb on the path, none in /usr/lib/postgresql")


def _user() -> str | None:
    """Return whom to run Postgres as: it refuses to run as root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"
