"""The Prefect server that stays for the next run: found, shared, replaced, started again, ended. Real processes."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest

from flows.local_server.folder import ServerFolder
from tests.processes import PATIENCE_S, ROOT, done, eventually

if TYPE_CHECKING:
    from playwright.sync_api import Browser

RUN = """
import sys
from flows.entrance import flow
from prefect.client.orchestration import get_client

@flow(name="waits")
def waits() -> None:
    with get_client(sync_client=True) as client:
        print(client.api_url, flush=True)
    sys.stdin.readline()

waits()
print("done")
"""
RAGEVAL = (sys.executable, "-m", "rageval.cli.main")


@dataclass(frozen=True, kw_only=True)
class User:
    """Somebody with a home of Prefect's, who starts runs."""

    home: Path

    def environment(self, keep: str = "30") -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        ours = {"PREFECT_HOME": str(self.home), "RAGEVAL_KEEP_SERVER": keep, "OPENAI_API_KEY": "the-key"}
        return kept | ours

    @contextmanager
    def run(self, keep: str = "30") -> Iterator[subprocess.Popen[str]]:
        """A flow that goes on until it is told to end; its server's address is the first line that it prints."""
        with subprocess.Popen(
            [sys.executable, "-c", RUN], cwd=ROOT, env=self.environment(keep), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            try:
                yield process
            finally:
                process.kill()

    def address(self) -> str:
        """Do a run, and return the address of its server."""
        with self.run() as run:
            out, err = run.communicate("\n")
        assert out.endswith("done\n"), err
        return out.splitlines()[0]

    def rageval(self, *command: str) -> str:
        return done([*RAGEVAL, *command], self.environment())

    @property
    def folder(self) -> Path:
        return next(self.home.glob("rageval-*"))

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "server.json").read_text())
        return found

    def written(self) -> int | None:
        """The process of the server that is written down, once one is."""
        with suppress(OSError, StopIteration):
            return int(self.state["pid"])
        return None

    def server(self) -> psutil.Process:
        return psutil.Process(self.state["pid"])

    def flow_runs(self) -> list[str]:
        with sqlite3.connect(self.home / "prefect.db") as database:
            return [row[0] for row in database.execute("select state_type from flow_run order by created")]


def first_line(run: "subprocess.Popen[str]") -> str:
    assert run.stdout is not None
    line = run.stdout.readline().strip()
    assert line, run.communicate()
    return line


def ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """A user with a fresh home, and no server at the end."""
    user = User(home=tmp_path_factory.mktemp("prefect") / "home")
    yield user
    user.rageval("server", "stop", "--force")
    assert [one.info for one in psutil.process_iter(["cmdline"]) if str(user.home) in str(one.info["cmdline"])] == []


def test_runs_that_start_at_once_in_a_fresh_home_share_one_server_that_stays(user: User) -> None:
    with user.run() as first, user.run() as second:
        addresses = {first_line(first), first_line(second)}
        for run in (first, second):
            assert run.communicate("\n")[0] == "done\n"
    server = user.server()

    assert user.address() in addresses
    assert len(addresses) == 1
    assert user.server() == server
    assert os.getsid(server.pid) == server.pid, "a terminal that is closed would end it"
    assert "the-key" not in server.environ().values()
    private = [user.folder, user.folder / "server.json", user.folder / "server.log", user.home / "prefect.db"]
    assert [path.stat().st_mode & 0o077 for path in private] == [0, 0, 0, 0]
    with httpx.Client(base_url=addresses.pop(), timeout=PATIENCE_S) as stranger:
        assert stranger.post("/flow_runs/filter", json={}).status_code == httpx.codes.UNAUTHORIZED


def test_a_run_goes_on_after_its_server_was_killed(user: User) -> None:
    with user.run() as run:
        address, server = first_line(run), user.server()
        server.kill()
        eventually("another server", lambda: user.state["pid"] != server.pid, run)
        out, err = run.communicate("\n")

    assert out == "done\n", err
    assert "it is started again, and the run goes on" in err
    assert user.address() == address
    assert set(user.flow_runs()) == {"COMPLETED"}


def test_a_run_that_was_killed_is_crashed_by_the_next_one_and_its_server_stays(user: User) -> None:
    with user.run() as run:
        first_line(run)
        run.send_signal(signal.SIGKILL)
        run.wait()
    server = user.server()
    assert user.flow_runs()[-1] == "RUNNING"

    user.address()

    assert user.flow_runs()[-2:] == ["CRASHED", "COMPLETED"]
    assert user.server() == server


@pytest.mark.slow
def test_runs_and_servers_that_are_killed_while_a_database_is_set_up_fail_no_other_run(tmp_path: Path) -> None:
    user = User(home=tmp_path / "home")
    with user.run() as killed:
        half = psutil.Process(eventually("a server", user.written, killed))
    half.suspend()
    with user.run() as run:
        other = eventually("another server", lambda: user.written() not in {None, half.pid} and user.written(), run)
        psutil.Process(other).kill()
        out, err = run.communicate("\n")
    assert out.endswith("done\n"), err
    assert ended(half)
    user.rageval("server", "stop")


@pytest.mark.slow
def test_a_server_that_does_not_answer_is_replaced(user: User) -> None:
    server = user.server()
    server.suspend()
    address = user.address()
    assert ended(server)
    assert address == f"http://127.0.0.1:{user.state['port']}/api/"


@pytest.mark.slow
def test_a_server_of_another_version_is_replaced_unless_a_run_uses_it(user: User) -> None:
    of_another = user.state | {"prefect": "3.0.0", "fingerprint": "of another version"}
    (user.folder / "server.json").write_text(json.dumps(of_another))
    server = user.server()
    with user.run() as run:
        address = first_line(run)
        assert ended(server)
        server = user.server()
        (user.folder / "server.json").write_text(json.dumps(user.state | {"fingerprint": "of another version"}))
        beside = user.address()
        assert run.communicate("\n")[0] == "done\n"

    assert beside != address
    assert not ended(server)


@pytest.mark.slow
def test_what_is_written_of_a_server_ends_no_other_process(user: User) -> None:
    state = user.state
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        of_stranger = {"pid": stranger.pid, "created": psutil.Process(stranger.pid).create_time()}
        (user.folder / "server.json").write_text(json.dumps(state | of_stranger))
        shown = user.rageval("server")
        user.rageval("server", "stop", "--force")
        assert stranger.poll() is None
        stranger.communicate(b"\n")
    assert shown.startswith("No server is kept running")
    (user.folder / "server.json").write_text(json.dumps(state))


@pytest.mark.slow
def test_the_ui_opens_without_a_password_and_only_once(user: User, browser: "Browser") -> None:
    address = user.rageval("server", "open").strip()
    page = browser.new_page()
    page.goto(address)
    page.get_by_text("Flow Runs").first.wait_for(timeout=PATIENCE_S * 1000)
    assert "login" not in page.url
    again = httpx.get(address, timeout=PATIENCE_S)
    assert (again.status_code, "rageval server open" in again.text) == (httpx.codes.FORBIDDEN, True)


@pytest.mark.slow
def test_it_is_shown_and_stopped_but_not_under_a_run(user: User) -> None:
    with user.run() as run:
        first_line(run)
        port, shown = user.state["port"], user.rageval("server")
        refused = subprocess.run(
            [*RAGEVAL, "server", "stop"], cwd=ROOT, env=user.environment(), capture_output=True, text=True, check=False
        )
        run.communicate("\n")
    server = user.server()
    user.rageval("server", "stop")

    assert f"http://127.0.0.1:{port}\n" in shown
    assert "used by   1 process" in shown
    assert (refused.returncode, "--force" in refused.stderr) == (2, True)
    assert ended(server)
    assert not (user.folder / "server.json").exists()


@pytest.mark.slow
def test_a_server_that_nobody_asks_ends_by_itself_but_not_under_a_run(user: User) -> None:
    with user.run(keep="0.01") as run:
        first_line(run)
        server = user.server()
        shown = user.rageval("server")
        assert run.communicate("\n")[0] == "done\n"
    eventually("its end", lambda: ended(server))
    assert "it ends after 600.0 ms without a request" in shown
    assert not (user.folder / "server.json").exists()


@pytest.mark.slow
def test_a_temporary_server_ends_with_its_run_even_one_that_is_killed(user: User) -> None:
    with user.run(keep="no") as run:
        first_line(run)
        (server,) = psutil.Process(run.pid).children()
        run.kill()
        run.wait()
    eventually("its end", lambda: ended(server))
    assert ServerFolder.of(user.home).kept() is None
