"""Small files that grow beyond all bounds when read: refused in one sentence, and no crash looks like a gate."""

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rageval.cli import main as cli
from rageval.errors import GateFailedError, RequestFailedError
from tests.processes import PATIENCE_S, ROOT

MEMORY = 8 * 1024**3
"""Of addresses, most of which Python and its libraries never touch."""
LEVELS = range(1, 12)
ALIASES = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in LEVELS
)
MERGES = "a0: &a0 {k: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in LEVELS)


def rageval(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command with bounded memory: what this does not refuse must not take the machine along."""
    return subprocess.run(
        [sys.executable, "-m", "rageval.cli.main", *arguments], cwd=ROOT, capture_output=True, text=True, check=False,
        timeout=PATIENCE_S, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
    )  # fmt: skip


def folded() -> pa.Table:
    """One text of a megabyte, in 100,000 rows."""
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 100_000, pa.int32()), pa.array(["x" * 1_000_000]))
    return pa.table(dict.fromkeys(("id", "course", "section", "question", "text"), text))


def empty() -> pa.Table:
    """A hundred million rows without a value."""
    return pa.table(dict.fromkeys(("id", "course", "section", "question", "text"), pa.nulls(100_000_000, pa.bool_())))


def nested() -> pa.Table:
    """One row of ten million values."""
    return pa.table(dict.fromkeys(("id", "course", "section", "question", "text"), pa.array([[0] * 10_000_000])))


@pytest.mark.parametrize(
    ("make", "refusal"), [(folded, "hold more than"), (empty, "10,000,000 rows"), (nested, "holds lists")]
)
def test_a_small_parquet_file_that_holds_gigabytes_is_refused(
    make: Callable[[], pa.Table], refusal: str, tmp_path: Path
) -> None:
    bomb = tmp_path / "documents.parquet"
    pq.write_table(make(), bomb)
    assert bomb.stat().st_size < 7_000_000

    ended = rageval("evaluate", "--dry-run", "--documents", bomb)

    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended.stderr
    assert refusal in ended.stderr


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        (ALIASES, "every alias written out"),
        (MERGES, "every alias written out"),
        ("a: &a [*a]", "stands in itself"),
        ("[" * 100_000, "within one another"),
        ("a: " + ":".join(["1"] * 100_000), "a number of more than"),  # base 60, to YAML
        ("data: {seed: 2024-13-01}", "not what it looks like"),
    ],
)
def test_yaml_that_grows_or_cannot_be_is_refused(text: str, refusal: str, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.yaml"
    bomb.write_text(text)

    ended = rageval("evaluate", bomb, "--dry-run")

    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended.stderr
    assert refusal in ended.stderr


def test_what_has_no_end_is_no_configuration() -> None:
    ended = rageval("evaluate", "/dev/zero", "--dry-run")

    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended.stderr


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ZeroDivisionError(), 4), (MemoryError(), 4), (RecursionError(), 4), (RequestFailedError("refused"), 4),
        (EOFError(), 130), (BrokenPipeError(32, "Broken pipe"), 141), (GateFailedError("worse"), 1),
    ],
)  # fmt: skip
@pytest.mark.parametrize("options", [[], ["--debug"]])
def test_nothing_but_a_gate_that_failed_has_its_status(
    error: Exception, status: int, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("rageval.cli.evaluation.run_evaluation", fail)
    monkeypatch.setattr(sys, "argv", ["rageval", "evaluate", *options])

    with pytest.raises(SystemExit) as ended:
        cli.main()

    assert ended.value.code == status
