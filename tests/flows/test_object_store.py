"""A whole run on an S3 server, from its start to its comparison with a run on disk."""

import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from rageval.runs.run import Run
from tests.evaluations import AGAIN, Rageval
from tests.fake_llm import FakeLLM

pytestmark = pytest.mark.slow

MEASURED_ANEW = {"latency_s", "started_at", "attempts"}
"""Columns that two runs of the same never have in common."""
Call = Callable[..., tuple[int, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """Call any command of the command line."""
    from rageval.cli import main as cli

    def called(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["rageval", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out + err

    return called


def same_in_all_runs(table: pa.Table) -> pa.Table:
    return table.select([name for name in table.column_names if name not in MEASURED_ANEW])


def test_a_run_on_an_object_store_is_that_on_a_disk_and_resumes_without_a_request(
    rageval: Rageval, call: Call, bucket: str, llm: FakeLLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    output, on_disk = f"{bucket}/team/runs", rageval()
    llm.requests.clear()

    started = rageval("--output", output)

    assert started.status == 0, started.err
    assert f"{output}/r1/report.html" in started.out
    assert len(llm.requests) == 60 + 2 * AGAIN
    run = Run(f"{output}/r1")
    for table in ("documents", "questions", "retrieval", "answers", "scores"):
        assert same_in_all_runs(run.read(table)) == same_in_all_runs(on_disk.table(table)), table
    assert run.read_json("run.json")["status"] == "complete"
    assert "</html>" in (run.path / "report.html").read_text()
    # Neither lock, nor parts, nor journals stay; beside the run lie the vectors, which other machines use, too.
    found = {str(path.relative_to(output)) for path in run.path.parent.rglob("*")}
    assert not [name for name in found if "parts/" in name or "journal/" in name or ".lock" in name]
    assert {name.rpartition("/")[0] for name in found if name.startswith(".cache")} == {
        next(path.name for path in (on_disk.folder.parent / ".cache").glob("*.vectors")).join((".cache/", ""))
    }
    assert not Path("s3:").exists()

    llm.requests.clear()
    resumed = rageval("--output", output)
    assert (resumed.status, llm.requests) == (0, []), resumed.err

    assert call("compare", str(on_disk.folder), f"{output}/r1")[0] == 0
    assert call("gate", f"{output}/r1", "--baseline", str(on_disk.folder), "--allow-underpowered")[0] == 0
    status, said = call("history", output, "--html", f"{bucket}/history.html")
    assert (status, "r1" in said) == (0, True), said
    assert "</html>" in (run.path.parent.parent.parent / "history.html").read_text()
    assert call("accept", f"{output}/r1")[0] == 0
    assert call("report", f"{output}/r1")[0] == 0
    judged_by_m2 = ("--metric", "correctness", "--judge", "m2", "--base-url", llm.url)
    status, said = call("rescore", f"{output}/r1", *judged_by_m2)
    assert status == 0, said
    assert len(llm.requests) == 20 + AGAIN
    status, said = call("prune", "--output", output, "--keep", "0")
    assert (status, "lifecycle rules" in said) == (2, True), said
    status, said = call("report", f"{bucket}-missing/r1")
    assert (status, "holds no run" in said) == (2, True), said
