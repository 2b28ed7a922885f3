"""What files, users and servers say, on its way to a terminal: it is shown, and the terminal obeys nothing of it."""

import json
import logging
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest

from rageval.cli import main as cli
from rageval.errors import DataError
from rageval.telemetry.logs import TextLines, log_what_can_be_shown
from tests.made_runs import write_run

# Sets the title of the window, clears the screen, turns what is read around, and ends a line that is begun anew.
EVIL = "a\x1b]0;owned\x07\x1b[2J\x9b31m\u202eb\rc"
OBEYED = set(EVIL) - set("abc]0;owned[2J31m")


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command; returns all that it prints."""

    def said(*words: str | Path) -> str:
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", ["rageval", *map(str, words)])
        with pytest.raises(SystemExit):
            cli.main()
        ended = capfd.readouterr()
        return ended.out + ended.err

    return said


def test_ids_names_and_settings_of_files_are_shown_and_not_obeyed(said: Callable[..., str], tmp_path: Path) -> None:
    documents, config, labels = tmp_path / "documents.json", tmp_path / "config.json", tmp_path / "labels.csv"
    row = {"id": EVIL, "course": EVIL, "section": EVIL, "question": EVIL, "text": EVIL}
    documents.write_text(json.dumps([row, row | {"text": "another"}, {"id": EVIL, EVIL: 1}]))
    config.write_text(json.dumps({EVIL: {EVIL: 1}, "data": {EVIL: 1}}))
    labels.write_text(f"{EVIL},question_id\n1,2\n")
    write_run(tmp_path / "run", scores={"m\x9b31m\u202e": {"cosine": [0.5, 0.7]}}, judge=EVIL)

    shown = [
        said("index", "--documents", documents, "--output", tmp_path / "runs"),
        said("evaluate", config),
        said("evaluate", "--set", f"retrieval.{EVIL}=1"),
        said("report", tmp_path / "run", "--human-labels", labels),
        said("compare", tmp_path / "run", tmp_path / EVIL),
    ]

    assert sum("owned" in text for text in shown) >= 3, "they do repeat it"
    assert [OBEYED & set(text) for text in shown] == [set()] * len(shown)


def test_no_title_of_a_table_or_a_panel_is_obeyed() -> None:
    from rich.panel import Panel
    from rich.table import Table

    from rageval.text.terminal import console

    with console.capture() as captured:
        console.print(EVIL, Panel(EVIL, title=EVIL), Table(EVIL, title=EVIL), style="red")

    assert OBEYED & set(captured.get()) <= {"\x1b"}, "rich's own colours"
    assert "\x1b]" not in captured.get()
    assert "\x1b[2J" not in captured.get()


def test_no_log_obeys_or_is_forged(monkeypatch: pytest.MonkeyPatch) -> None:
    before = logging.getLogRecordFactory()
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextLines("%(levelname)s %(message)s"))
    log = logging.getLogger("somebody's")
    log.addHandler(handler)
    try:
        log_what_can_be_shown()
        log.warning("A question has failed: %s\nERROR the database is gone", EVIL)
        try:
            raise ValueError(EVIL)
        except ValueError:
            log.exception("it has failed")
    finally:
        logging.setLogRecordFactory(before)
        log.removeHandler(handler)

    assert OBEYED & set(stream.getvalue()) == set()
    assert [line.split()[0] for line in stream.getvalue().splitlines() if line[0] != " "] == ["WARNING", "ERROR"]


def test_an_error_shows_what_it_repeats_wherever_it_ends_up() -> None:
    # As Prefect's state, in `run.json`, in an alert.
    assert OBEYED & set(str(DataError(f"row 1: id {EVIL}"))) == set()
    assert "नमस्ते क्‍ष" in str(DataError("नमस्ते क्‍ष")), "what a script needs to be read stays"
