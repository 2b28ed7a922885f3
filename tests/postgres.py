"""A real Postgres on localhost, in a folder of its own, that a test may stop and start again.

Postgres 15 or newer must be installed (Debian's package `postgresql`; the client alone is not enough). Where it is not,
tests that need it are skipped and say so, also where `CI` is set: `.ci/run` promises to need no Debian package, and a
run on a machine that has none must pass. Machines that come with Postgres, as this project's own does, always run them.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

import pytest

from tests.processes import PATIENCE_S, eventually, free_port, running

PASSWORD = "onlyForThisTest1"
PASSWORDS = ("POSTGRES_PASSWORD", "POSTGRES_PREFECT_PASSWORD", "GRAFANA_PASSWORD")
"""What deployments/postgres/databases.sql reads."""


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """A server with the superuser `postgres`; it runs as long as a block of `running`."""

    programs: Path
    folder: Path
    port: int
    user: str | None
    """Whom to run it as: it refuses to run as root."""

    def url(self, database: str, scheme: str = "postgresql", user: str = "postgres") -> str:
        return f"{scheme}://{user}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def new_url(self) -> str:
        """Return the URL of a new, empty database."""
        name = f"test_{token_hex(4)}"
        self.answer("postgres", f"CREATE DATABASE {name}")
        return self.url(name)

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run the server while the block does; what it has stored is there again in the next one."""
        options = ["-p", str(self.port), "-k", str(self.folder), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        command = [self.programs / "postgres", "-D", self.folder / "data", *options]
        with running(self.folder / "postgres.log", command, user=self.user, folder=self.folder) as process:
            eventually(
                "Postgres", lambda: self.psql(self.url("postgres"), "--command", "SELECT 1").returncode == 0, of=process
            )
            yield process

    def psql(self, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.programs / "psql", url, "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--tuples-only", "--no-align",
             *arguments],
            env=os.environ | dict.fromkeys(PASSWORDS, PASSWORD), capture_output=True, text=True, check=False,
        )  # fmt: skip

    def answer(self, database: str, sql: str) -> str:
        done = self.psql(self.url(database), "--command", sql)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def refusal(self, database: str, sql: str, user: str = "grafana") -> str:
        """Return why a user may not do this."""
        done = self.psql(self.url(database, user=user), "--command", sql)
        assert done.returncode != 0, f"{user} may: {sql}"
        return done.stderr


@contextmanager
def new_postgres() -> Iterator[Postgres]:
    """Make a server that does not run yet; its folder is gone after the block. Skips where there is no Postgres."""
    programs = _programs()
    # Not in pytest's folder: Postgres does not run as root, and nobody else may enter that one.
    folder = Path(tempfile.mkdtemp(prefix="rageval-postgres-"))
    user = _user()
    if user:
        shutil.chown(folder, user)
    (folder / "password").write_text(PASSWORD, encoding="utf-8")
    try:
        subprocess.run(
            [programs / "initdb", "--pgdata", folder / "data", "--username", "postgres", "--auth", "scram-sha-256",
             "--pwfile", folder / "password", "--no-sync", "--encoding", "UTF8"],
            user=user, cwd=folder, capture_output=True, check=True, timeout=PATIENCE_S,
        )  # fmt: skip
        yield Postgres(programs=programs, folder=folder, port=free_port(), user=user)
    finally:
        shutil.rmtree(folder)


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
