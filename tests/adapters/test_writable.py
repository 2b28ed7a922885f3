"""What cannot be written is said before anything begins: in one sentence, with the folder, the user and what to do."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from flows.folders import check_folders
from rageval.engine.local_model import check_cache_folder
from rageval.errors import ConfigError
from rageval.storage.writable import check_temporary_folder, check_writable

UNWRITABLE = Path("/proc/sys")
"""Of Linux: not even root may make anything in there."""

pytestmark = pytest.mark.skipif(not UNWRITABLE.exists(), reason="needs a folder that root cannot write to: /proc")


def test_a_folder_that_can_be_made_is_fine_and_is_not_made(tmp_path: Path) -> None:
    check_writable(tmp_path / "runs" / "demo", "the output folder", "name another one")

    assert list(tmp_path.iterdir()) == []


def test_what_is_no_folder_cannot_hold_files(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")

    with pytest.raises(
        ConfigError, match=r"the output folder \S+/runs/demo \(in \S+/runs\) cannot be written by the user"
    ):
        check_writable(tmp_path / "runs" / "demo", "the output folder", "name another one")


def test_every_folder_that_a_flow_needs_is_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    check_folders(str(tmp_path / "runs"))

    with pytest.raises(
        ConfigError, match=f"output folder {UNWRITABLE}/runs .* user with the id {os.getuid()}.*--output"
    ):
        check_folders(str(UNWRITABLE / "runs"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(UNWRITABLE))
    with pytest.raises(ConfigError, match=r"embedded model's file .*XDG_CACHE_HOME"):
        check_cache_folder()
    monkeypatch.setenv("PREFECT_HOME", str(UNWRITABLE / ".prefect"))
    with pytest.raises(ConfigError, match=r"Prefect's local server .*PREFECT_HOME, or a server in PREFECT_API_URL"):
        check_folders(str(tmp_path / "runs"))
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    check_folders(None)  # a server elsewhere needs no folder here
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(UNWRITABLE)])
    with pytest.raises(ConfigError, match=r"no folder for temporary files .*--tmpfs /tmp"):
        check_temporary_folder()


def test_a_command_says_at_once_what_it_may_not_write(tmp_path: Path) -> None:
    home = {**os.environ, "HOME": str(UNWRITABLE)}
    environment = {name: value for name, value in home.items() if name not in {"PREFECT_API_URL", "PREFECT_HOME"}}

    ended = subprocess.run(
        [sys.executable, "-m", "rageval.cli.main", "index", "--output", str(tmp_path)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ended.returncode == 2
    assert ended.stderr.startswith(f"Error: the folder of Prefect's local server {UNWRITABLE}/.prefect")
    assert len(ended.stderr.splitlines()) == 1, "no traceback, and no warning of what was not even imported"
