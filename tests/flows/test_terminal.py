"""Terminals that are not UTF-8: what they cannot show is replaced, and no command ends for it."""

import io
import sys
from pathlib import Path

import pytest

from rageval.cli import main as cli
from tests.evaluations import Rageval
from tests.fake_llm import FakeLLM
from tests.made_runs import write_run

# No code page of those below has all: Chinese, Greek, an accent, an emoji.
MODEL = "模型 α é 🚀"


class Terminal(io.TextIOWrapper):
    """A terminal of some code page, which refuses what is not in it."""

    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, errors="strict", write_through=True)

    def shown(self) -> str:
        return self.buffer.getvalue().decode(self.encoding)  # type: ignore[attr-defined]  # a BytesIO


def on(terminal: Terminal, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Call a command on a terminal; returns its status."""
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys, "argv", ["rageval", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "cp932", "koi8-r"])
def test_what_a_terminal_cannot_show_is_replaced(
    encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        write_run(tmp_path / name, scores={MODEL: {"cosine": [0.5, 0.7]}})
    run, other = str(tmp_path / "a"), str(tmp_path / "b")
    terminal = Terminal(encoding)

    assert on(terminal, monkeypatch, "compare", run, other) == 0
    assert on(terminal, monkeypatch, "evaluate", "--help") == 0
    # The error names it, with a byte of a file's name that is not UTF-8.
    assert on(terminal, monkeypatch, "inspect", str(tmp_path / f"{MODEL}\udce9")) == 2

    assert MODEL.encode(encoding, "replace").decode(encoding) in terminal.shown()


def test_a_run_and_its_inspection_end_well_on_a_terminal_that_cannot_show_model_and_answers(
    rageval: Rageval, llm: FakeLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm.reply = lambda body: "答案 é"
    terminal = Terminal("ascii")
    monkeypatch.setattr(sys, "stdout", terminal)

    done = rageval("--no-judge", "--sample", "3", "--model", MODEL)

    assert done.status == 0, done.err
    assert done.table("answers")["system"].to_pylist() == [MODEL] * 3
    assert on(terminal, monkeypatch, "inspect", str(done.folder)) == 0
    assert "?? ? ? ?" in terminal.shown()
    assert "?? ?" in terminal.shown()
