"""A team's server: Prefect on a real Postgres, set up with the script that docker compose runs, and a run on it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from rageval.monitoring.store.database import open_database
from tests.fake_llm import FakeLLM
from tests.postgres import PASSWORD, Postgres
from tests.processes import PATIENCE_S, ROOT, eventually, free_port, is_healthy, running

DENIED = "permission denied|must be superuser|must have privileges"
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def team(postgres: Postgres) -> Postgres:
    """The server with the databases of docker compose: `prefect`, and what the script adds."""
    postgres.answer("postgres", "CREATE DATABASE prefect")
    created = postgres.psql(postgres.url("prefect"), "--file", str(ROOT / "deployments" / "postgres" / "databases.sql"))
    assert created.returncode == 0, created.stderr
    return postgres


def test_grafana_reads_the_results_and_nothing_else(team: Postgres) -> None:
    app = team.url("monitoring", user="rageval")
    made = team.psql(app, "--command", "CREATE TABLE results (score float8); INSERT INTO results VALUES (0.5)")
    assert made.returncode == 0, made.stderr
    grafana = team.url("monitoring", user="grafana")

    assert team.psql(grafana, "--command", "SELECT score FROM results").stdout.strip() == "0.5"
    assert team.psql(grafana, "--command", "SHOW statement_timeout").stdout.strip() == "30s"
    writable = "SET transaction_read_only = off; "  # a session decides that for itself
    for sql in (
        "DELETE FROM results",
        "CREATE TABLE mine (score float8)",
        "CREATE TEMPORARY TABLE mine (score float8)",
        "SELECT lo_create(0)",
        "SELECT lo_from_bytea(0, 'abc')",
        "SELECT pg_advisory_lock(7261)",  # the one that whoever brings the tables up to date waits for
        "SELECT pg_logical_emit_message(false, 'a', 'b')",
        "SELECT pg_read_file('/etc/passwd')",
        "COPY (SELECT 1) TO PROGRAM 'id'",
        "SET temp_file_limit = -1",
    ):
        assert re.search(DENIED, team.refusal("monitoring", writable + sql)), sql


@pytest.mark.parametrize(
    ("user", "database"),
    [(user, database) for user in ("grafana", "rageval") for database in ("prefect", "postgres", "template1")]
    + [("prefect", database) for database in ("monitoring", "postgres", "template1")],
)
def test_nobody_enters_a_database_of_others(team: Postgres, user: str, database: str) -> None:
    assert "permission denied for database" in team.refusal(database, "SELECT 1", user)


@pytest.mark.parametrize(("user", "database"), [("rageval", "monitoring"), ("prefect", "prefect")])
def test_no_program_is_superuser(team: Postgres, user: str, database: str) -> None:
    for sql in ("COPY (SELECT 1) TO PROGRAM 'id'", "SELECT pg_read_file('/etc/passwd')", "CREATE ROLE mine SUPERUSER"):
        assert re.search(DENIED, team.refusal(database, sql, user)), sql


def test_the_app_brings_its_tables_itself_and_grafana_reads_them(team: Postgres) -> None:
    database = open_database(team.url("monitoring", user="rageval"))
    database.migrate()
    database.close()

    read = team.psql(team.url("monitoring", user="grafana"), "--command", "SELECT count(*) FROM conversations")
    assert read.stdout.strip() == "0", read.stderr


def test_a_run_is_completed_on_a_server_that_keeps_its_state_in_postgres(
    team: Postgres, corpus: Path, llm: FakeLLM
) -> None:
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")} | {
        "PREFECT_HOME": str(corpus / "home"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    on_postgres = environment | {
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": team.url("prefect", "postgresql+asyncpg", "prefect")
    }
    server = [BIN / "prefect", "--no-prompt", "server", "start", "--port", str(port), "--no-ui"]
    evaluate = [
        BIN / "rageval", "evaluate",
        "--documents", corpus / "documents.json", "--ground-truth", corpus / "questions.csv", "--sample", "2",
        "--output", corpus / "runs", "--run-id", "team", "--model", "m1", "--base-url", llm.url, "--retriever", "text",
    ]  # fmt: skip

    with (
        running(corpus / "server.log", server, environment=on_postgres) as prefect,
        httpx.Client(base_url=environment["PREFECT_API_URL"], timeout=PATIENCE_S) as api,
    ):
        eventually("the Prefect server", lambda: is_healthy(api, prefect))
        done = subprocess.run(
            evaluate, cwd=corpus, env=environment | {"PYTHONPROFILEIMPORTTIME": "1"},
            capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        [flow_run] = api.post("/flow_runs/filter", json={}).raise_for_status().json()

    assert (flow_run["state_type"], flow_run["state_name"]) == ("COMPLETED", "Completed")
    assert json.loads((corpus / "runs" / "team" / "run.json").read_text(encoding="utf-8"))["status"] == "complete"
    assert team.answer("prefect", f"SELECT state_type FROM flow_run WHERE id = '{flow_run['id']}'") == "COMPLETED"
    assert PASSWORD not in (corpus / "server.log").read_text(encoding="utf-8")
    assert not list((corpus / "home").glob("*.db")), "nothing may be kept beside Postgres"
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "prefect.main" in imported
    assert "prefect.server.api.server" not in imported, "it takes seconds, and only who starts a server needs it"
