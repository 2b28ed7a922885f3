"""A run's folder on an S3 server: processes that die, servers that go, and several that write at once.

What holds for every run's folder is in `test_run_store.py`, which runs on both kinds.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from secrets import token_hex

import numpy as np
import pytest

from rageval.embedding.vector_cache import VectorCache
from rageval.engine.earlier_runs import EarlierRuns
from rageval.errors import ConfigError, RunLockedError, RunStoppedError
from rageval.records import Question
from rageval.runs.accepted_runs import accept_run, accepted_runs
from rageval.runs.folders import run_folders
from rageval.runs.run import Run
from rageval.storage.leases import lease
from rageval.storage.places import StorePath, on_this_machine, place
from rageval.tables import QUESTIONS, to_table
from tests.adapters.test_run import CHUNKS, MODEL, add, answer, keys, words
from tests.conftest import use_s3
from tests.processes import PATIENCE_S

_TICK = threading.Event()


@pytest.fixture
def run(bucket: str) -> Run:
    return new_run(bucket)


def new_run(folder: str) -> Run:
    store = Run(f"{folder}/runs/r1")
    questions = [
        Question(question_id=f"q{n}", question="?", relevant_ids=("d",), relevant_grades=(1,)) for n in range(5)
    ]
    store.write("questions", to_table(questions, QUESTIONS))
    return store


@contextmanager
def process(code: str) -> Iterator[subprocess.Popen[str]]:
    """Python code in a process of its own, from the line on that it prints; killed at the end."""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            yield child
        finally:
            child.kill()


def until(condition: Callable[[], bool]) -> None:
    while not condition():
        _TICK.wait(0.02)


def other_s3(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """Let new connections go to another server."""
    from s3fs import S3FileSystem

    use_s3(endpoint, monkeypatch)
    S3FileSystem.clear_instance_cache()


def test_after_kill_9_in_a_chunk_the_records_that_were_put_are_there(run: Run) -> None:
    code = f"""
from rageval.runs.run import Run
from tests.adapters.test_run import CHUNKS, MODEL, answer
journal = Run({run.folder!r}).journal("answers", MODEL, CHUNKS[0])
journal.append(answer(0))
journal.append(answer(1, "ü\\n"))
print("ready", flush=True)
input()
"""
    with process(code) as child:
        until(lambda: child.poll() is not None or len(words(run)) == 2)
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
    assert words(run) == {"q0": "first", "q1": "ü\n"}
    assert run.repair() == []
    add(run, CHUNKS[0], answer(1, "later"), answer(2))
    run.finish_chunk("answers", MODEL, CHUNKS[0], keys(CHUNKS[0]))
    assert words(run) == {"q0": "first", "q1": "later", "q2": "first"}
    assert [path.name.partition("-")[0] for path in run.path.glob("*/answers/*")] == ["org"]


def test_two_writers_of_a_chunk_lose_nothing(run: Run) -> None:
    one, other = (run.journal("answers", MODEL, CHUNKS[0]) for _ in range(2))
    one.append(answer(0))
    other.append(answer(1))
    one.append(answer(2, "one"))
    one.close()
    run.finish_chunk("answers", MODEL, CHUNKS[0], keys(CHUNKS[0]))
    other.append(answer(2, "other"))
    other.close()
    assert words(run) == {"q0": "first", "q1": "first", "q2": "other"}


def test_lines_that_come_while_one_is_being_put_are_put_together(run: Run) -> None:
    journal = run.journal("answers", MODEL, CHUNKS[0])
    for number in range(500):
        journal.append(answer(number % 3, str(number)))
    journal.close()
    assert words(run) == {"q0": "498", "q1": "499", "q2": "497"}


def test_a_server_that_goes_ends_the_run_in_order_and_what_was_put_stays(
    run: Run, s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from moto.server import ThreadedMotoServer

    # It knows the same buckets: all servers of a process do.
    passing = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    passing.start()
    host, port = passing.get_host_and_port()
    other_s3(monkeypatch, f"http://{host}:{port}")
    journal = run.journal("answers", MODEL, CHUNKS[0])
    journal.append(answer(0))
    until(lambda: len(words(run)) == 1)
    passing.stop()
    passing._server.server_close()  # type: ignore[union-attr]

    journal.append(answer(1))
    with pytest.raises(RunStoppedError, match=r"r1/journal/answers/.* the store cannot be reached .*AWS_ENDPOINT_URL"):
        journal.close()
    with pytest.raises(RunStoppedError):
        journal.append(answer(2))
    for step in (
        lambda: run.finish_chunk("answers", MODEL, CHUNKS[0], keys(CHUNKS[0])),
        lambda: run.write_text("report.html", "page"),
        lambda: run.read("questions"),
        run.repair,
    ):
        with pytest.raises(RunStoppedError) as raised:
            step()
        assert "the-key" not in str(raised.value)
        assert "the-secret" not in str(raised.value)
    with pytest.raises(ConfigError, match="cannot be reached"), run.lock():
        pass

    other_s3(monkeypatch, s3_server)
    assert words(run) == {"q0": "first"}


class _Refusing(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"<Error><Code>AccessDenied</Code><Message>the-key may not</Message></Error>"
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_PUT(self) -> None:
        self.do_GET()

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


def test_a_store_that_refuses_the_credentials_says_so_without_repeating_them(
    s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        other_s3(monkeypatch, f"http://127.0.0.1:{server.server_port}")
        for attempt in (Run("s3://bucket/runs/r1").lock().__enter__, lambda: run_folders("s3://bucket/runs")):
            with pytest.raises(
                ConfigError, match=r"s3://bucket/runs.*: access is denied; check that the cred"
            ) as raised:
                attempt()
            assert "the-key" not in str(raised.value)
        server.shutdown()
    other_s3(monkeypatch, s3_server)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://user:hunter2@bucket/runs/r1", "must hold no user and no password"),
        ("simplecache::s3://user:hunter2@bucket/runs", "cannot be written to this kind of URL"),
        ("https://example.org/runs/r1", "cannot be written to this kind of URL"),
        ("nothing://bucket/runs/r1", "cannot be written to this kind of URL"),
        ("s3://there-is-no-such-bucket/runs/r1", "no such bucket; create it, or give another --output"),
    ],
)
def test_a_url_that_cannot_hold_runs_is_refused_with_the_remedy(bucket: str, url: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as raised, Run(url).lock():
        pass
    assert "hunter2" not in str(raised.value)


def test_a_variable_of_the_url_is_told_to_the_store_alone(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNS", bucket)
    run = new_run("${RUNS}")
    assert run.folder == str(run.path) == "${RUNS}/runs/r1"
    assert run.path.parent.name == "runs"
    assert run_folders("${RUNS}/runs").foreign == ("r1",), "which has no run.json"
    assert [path.name for path in place(f"{bucket}/runs/r1").iterdir()] == ["questions.parquet"]
    monkeypatch.delenv("RUNS")
    with pytest.raises(ConfigError, match="needs the environment variable RUNS, which is not set"):
        run.path.exists()


def test_a_driver_that_is_not_installed_is_named_with_its_command() -> None:
    code = """
import sys
sys.modules["gcsfs"] = None
from rageval.runs.run import Run
with Run("gs://bucket/runs/r1").lock(): pass
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.stderr.rstrip().endswith("gs:// needs a driver that is not installed: pip install 'rageval[gcs]'")


def test_the_lease_of_a_killed_process_is_refused_until_it_ends_and_then_taken_over(run: Run) -> None:
    code = f"""
from rageval.runs.run import Run
with Run({run.folder!r}).lock():
    print("ready", flush=True)
    input()
"""
    with process(code) as child:
        with pytest.raises(RunLockedError, match=rf"give another --run-id \(held by .*process {child.pid}"), run.lock():
            pass
        child.kill()
        child.wait()
    with pytest.raises(RunLockedError), run.lock():
        pass
    _change(_lock(run) / "000001", ends_at=time.time() + 1)
    with lease(_lock(run), wait_s=PATIENCE_S):
        assert [path.name for path in _lock(run).glob("*")] == ["000002"]
    with run.lock():
        assert [path.name for path in _lock(run).glob("*")] == ["000001"]
    assert list(_lock(run).glob("*")) == []


def test_a_lease_is_renewed_as_long_as_its_holder_lives(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rageval.storage.leases._RENEWALS", 10_000)  # one every few milliseconds
    with run.lock():
        _change(_lock(run) / "000001", ends_at=0)
        until(lambda: json.loads((_lock(run) / "000001").read_bytes())["ends_at"] > time.time())
        with pytest.raises(RunLockedError), run.lock():
            pass


def test_of_many_that_want_a_lease_that_has_ended_one_gets_it(run: Run) -> None:
    (_lock(run) / "000007").write_bytes(b'{"token": "dead", "holder": "nobody", "ends_at": 0}')
    together, done = threading.Barrier(8), threading.Event()

    def want(_: int) -> bool:
        together.wait()
        try:
            with run.lock():
                return done.wait()
        except RunLockedError:
            return False
        finally:
            with counting:
                ended.append(1)
                if len(ended) == 7:
                    done.set()

    counting, ended = threading.Lock(), list[int]()
    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(want, range(8))) == 1


def test_a_holder_whose_lease_was_taken_over_is_told(run: Run) -> None:
    taken = b'{"token": "other", "holder": "another machine", "ends_at": 9e9}'
    with pytest.raises(RunStoppedError, match="another process has taken the run over"), run.lock():
        (_lock(run) / "000002").write_bytes(taken)
    with pytest.raises(RunLockedError, match="held by another machine"), run.lock():
        pass


def test_a_run_takes_replies_from_the_others_of_its_bucket(run: Run) -> None:
    add(run, CHUNKS[0], answer(0, "asked before"))
    run.finish_chunk("answers", MODEL, CHUNKS[0], keys(CHUNKS[0]))
    reply = EarlierRuns(Run(str(run.path.with_name("r2")))).reply("f")
    assert reply is not None
    assert (reply.text, reply.reused_from) == ("asked before", "r1")


def test_runs_of_two_labels_that_are_accepted_together_are_both_noted(run: Run) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda label: accept_run(run, label, "why"), "abcd"))
    assert set(accepted_runs(f"{run.path.parent}")) == set("abcd")


@pytest.mark.parametrize("kind", ["disk", "store"])
def test_vectors_that_many_write_at_once_are_all_there_whenever_somebody_looks(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = place(f"{tmp_path if kind == 'disk' else request.getfixturevalue('bucket')}/minilm.vectors")

    def key(writer: int, number: int) -> np.ndarray:
        return np.array([[100 * writer + number, 7]], np.uint64)

    def write(writer: int) -> None:
        cache = VectorCache(folder, "m@1")
        for number in range(20):
            cache.add(key(writer, number), np.full((1, 4), 100 * writer + number, np.float32))

    VectorCache(folder, "m@1").add(key(0, 0), np.zeros((1, 4), np.float32))
    with ThreadPoolExecutor(4) as threads:
        writers = [threads.submit(write, writer) for writer in (1, 2, 3)]
        while not all(writer.done() for writer in writers):
            assert VectorCache(folder, "m@1").read(key(0, 0), np.empty((1, 4), np.float32)).all()
        for writer in writers:
            writer.result()

    written = [100 * writer + number for writer in (1, 2, 3) for number in range(20)]
    found = np.empty((60, 4), np.float32)
    assert VectorCache(folder, "m@1").read(np.array([(one, 7) for one in written], np.uint64), found).all()
    assert found[:, 0].tolist() == written
    # 61 were written. Each of the three may have begun with more than 16, and add what it has read of the others.
    assert len(list(folder.glob("*.vectors"))) <= 17 + 3
    if kind == "store":
        assert {path.name for path in on_this_machine(folder).iterdir()} <= {path.name for path in folder.iterdir()}


def test_a_run_lies_in_the_memory_of_a_process_as_well() -> None:
    run = new_run(f"memory://{token_hex(4)}")
    with run.lock():
        add(run, CHUNKS[0], answer(0))
        run.finish_chunk("answers", MODEL, CHUNKS[0], keys(CHUNKS[0]))
        run.write_json("run.json", {"a": os.getpid()})
    assert words(run) == {"q0": "first"}
    assert [found.run_id for found in run_folders(str(run.path.parent)).runs] == ["r1"]


def _change(lease: StorePath, **values: float) -> None:
    lease.write_bytes(json.dumps({**json.loads(lease.read_bytes()), **values}).encode())


def _lock(run: Run) -> StorePath:
    found = run.path / ".lock"
    assert isinstance(found, StorePath)
    return found
