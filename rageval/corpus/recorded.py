"""A file of recorded answers -> the answer of one system to each question, looked up in little memory."""

import shutil
import sqlite3
import tempfile
import threading
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from rageval.config.columns import ColumnConfig
from rageval.corpus.columns import Needs
from rageval.corpus.item_files import read_items
from rageval.corpus.items import RawContext, RawItem
from rageval.corpus.messages import listed, raise_problems
from rageval.corpus.questions import id_of
from rageval.errors import DataError
from rageval.records import Question
from rageval.text.fingerprint import digest

ANSWERS: Needs = (("question", "question_id"), ("answer", "contexts", "context_ids", "passage"))
"""What a file of recorded answers has to hold."""


@dataclass(frozen=True, kw_only=True)
class RecordedSystems:
    """Whose answers a file holds."""

    systems: tuple[str, ...]
    """Their names in the file, in the order of their first row; one empty name where the file has none."""
    repeats: int
    """The answers that each system has to every question of its own."""
    rows: int
    further: int
    """Answers to questions that have more than that; they are not read."""
    has_references: bool
    has_contexts: bool


def systems_in(path: str, columns: Sequence[ColumnConfig] = ()) -> RecordedSystems:
    """Return whose answers a file holds, and what there is of them.

    Raises:
        DataError: If the file cannot be read, or a row is bad.
    """
    counts: dict[str, dict[str, int]] = {}
    rows, has_references, has_contexts = 0, False, False
    problems: list[str] = []
    for batch in read_items(path, columns, ANSWERS):
        problems.extend(batch.problems)
        for item in batch.items:
            of_system = counts.setdefault(item.system or "", {})
            key = digest(id_of(item))[:16]
            of_system[key] = of_system.get(key, 0) + 1
            rows += 1
            has_references = has_references or bool(item.references)
            has_contexts = has_contexts or item.contexts is not None
    raise_problems(problems)
    every = [n for of_system in counts.values() for n in of_system.values()]
    repeats = min(every, default=1)
    return RecordedSystems(
        systems=tuple(counts), repeats=repeats, rows=rows, further=rows - repeats * len(every),
        has_references=has_references, has_contexts=has_contexts,
    )  # fmt: skip


class RecordedAnswers:
    """The answers of one system in a file, kept on disk by question and repeat.

    Args:
        path: Path or URL of the file.
        columns: What the user says of its columns.
        system: Which of the systems in the file; empty where it has one.

    Raises:
        DataError: If the file cannot be read, a row is bad, or it has several systems and none is named.
    """

    def __init__(self, path: str, columns: Sequence[ColumnConfig], system: str) -> None:
        folder = tempfile.mkdtemp(prefix="rageval-recorded-")
        self._lock = threading.Lock()
        self._database = sqlite3.connect(Path(folder) / "answers.db", check_same_thread=False)
        weakref.finalize(self, _forget, self._database, folder)
        self._database.execute("pragma journal_mode = off")
        self._database.execute("create table answers (id text, said text, repeat integer, item blob)")
        rows = self._rows(path, columns, system)
        self._database.executemany("insert into answers values (?, ?, ?, ?)", rows)
        self._database.execute("create index by_id on answers (id, repeat)")
        self._database.execute("create index by_text on answers (said, repeat)")
        self._database.commit()

    def find(self, question: Question, repeat: int) -> RawItem | None:
        """Return the answer to a question, by its id or else by its text; None if the file has none."""
        said = _said(question.question, question.history)
        query = "select item from answers where {} = ? and repeat = ? limit 1"
        with self._lock:
            for column, value in (("id", question.question_id), ("said", said)):
                row = self._database.execute(query.format(column), (value, repeat)).fetchone()
                if row:
                    return _item(orjson.loads(row[0]))
        return None

    @staticmethod
    def _rows(path: str, columns: Sequence[ColumnConfig], system: str) -> Iterator[tuple[str, str, int, bytes]]:
        names: dict[str, None] = {}
        seen: dict[bytes, int] = {}
        problems: list[str] = []
        for batch in read_items(path, columns, ANSWERS):
            problems.extend(batch.problems)
            for item in batch.items:
                names.setdefault(item.system or "")
                if system and item.system != system:
                    continue
                id_ = id_of(item)
                key = bytes.fromhex(digest(id_)[:16])
                seen[key] = seen.get(key, 0) + 1
                yield id_, _said(item.question or "", item.history), seen[key], orjson.dumps(_kept(item))
        raise_problems(problems)
        if system and system not in names:
            raise DataError(f"{path} has no system {system!r}; it has {listed([*names])}: name one of these")
        if not system and len(names) > 1:
            raise DataError(
                f"{path} has answers of several systems ({listed([*names])}); name one in `recorded_system`, and have "
                "a system of kind recorded for each"
            )


def _forget(database: sqlite3.Connection, folder: str) -> None:
    database.close()
    shutil.rmtree(folder, ignore_errors=True)


_KEPT = (
    "answer", "error", "contexts", "citations", "latency_s", "first_token_s", "prompt_tokens", "completion_tokens",
    "cost_usd", "finish_reason", "model",
)  # fmt: skip


def _kept(item: RawItem) -> dict[str, Any]:
    return {name: value for name, value in asdict(item).items() if name in _KEPT and value is not None}


def _item(kept: dict[str, Any]) -> RawItem:
    contexts = kept.get("contexts")
    if contexts is not None:
        kept["contexts"] = tuple(RawContext(**context) for context in contexts)
    if kept.get("citations") is not None:
        kept["citations"] = tuple(kept["citations"])
    return RawItem(**kept)


def _said(question: str, history: Sequence[Any]) -> str:
    """Return what a question is told by where ids differ: its words, and those before it."""
    turns = "".join(f"{turn['role']}:{turn['content']}\n" for turn in history)
    return digest(" ".join(f"{turns}{question}".split()))
