"""What other people have asked is read by nobody else on the machine, whatever the shell's umask lets through."""

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rageval.errors import ConfigError
from rageval.storage.private_files import private_files
from tests.evaluations import evaluation
from tests.fake_llm import FakeLLM
from tests.processes import PATIENCE_S, done

OTHERS = stat.S_IRWXG | stat.S_IRWXO


@pytest.fixture(autouse=True)
def _a_shell_as_most_are() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    """Return what others may do anything with of what lies in a folder, and the folder itself."""
    return [
        str(path) for path in (folder, *folder.rglob("*")) if not path.is_symlink() and path.stat().st_mode & OTHERS
    ]


def test_runs_reports_databases_and_prefects_home_are_their_owners_alone(corpus: Path, llm: FakeLLM) -> None:
    with evaluation(corpus, llm, None, "--no-judge") as run:
        _, err = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 0, err
    database = corpus / "monitoring" / "monitoring.db"
    publish = [sys.executable, "-m", "rageval.cli.main", "publish", corpus / "runs" / "r1"]
    done(publish, os.environ | {"MONITORING_DATABASE_URL": f"sqlite:///{database}"})

    for written in ("runs/r1/report.html", "runs/r1/answers.parquet", "prefect/prefect.db", "monitoring/monitoring.db"):
        assert (corpus / written).is_file()
    assert [open_to_others(corpus / folder) for folder in ("runs", "prefect", "monitoring")] == [[], [], []]


@pytest.mark.parametrize(
    ("shell", "setting", "mode"),
    [(0o022, "", 0o600), (0o022, "027", 0o640), (0o022, "000", 0o644), (0o077, "022", 0o600), (0o277, "", 0o400)],
)
def test_the_umask_of_the_shell_is_only_ever_made_stricter(
    shell: int, setting: str, mode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.umask(shell)
    monkeypatch.setenv("RAGEVAL_UMASK", setting)

    with private_files():
        (tmp_path / "file").touch()

    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode
    assert os.umask(0o022) == shell


def test_a_setting_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGEVAL_UMASK", "rw-r-----")

    with pytest.raises(ConfigError, match="expected three octal digits"), private_files():
        pass
