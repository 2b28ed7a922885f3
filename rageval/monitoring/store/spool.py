"""Conversations and votes that could not be stored, as lines of JSON in a folder, until the database is back.

    <token>.lock         held by the process that writes the files of this token, for as long as it lives
    <token>-<n>.jsonl    its records; only the one with the highest number is added to
    refused.jsonl        records that the database refused, for a person to look at

Files of a process that is gone are taken over by whoever comes next. A file is removed after all of it is stored, so a
record may be stored twice, which the tables see through; none is lost with the process that wrote it. The lines of a
conversation that is forgotten are made blank where they stand, so that others may read and add meanwhile.
"""

import json
import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

from filelock import FileLock, Timeout

from rageval.monitoring.records import Conversation, ShownContext, Vote
from rageval.storage.writable import check_writable

Record = Conversation | Vote
_FILE = 5_000
"""Records after which the next file is begun: a file whose database goes away is stored from its start once more."""
REFUSED = "refused.jsonl"
_log = logging.getLogger(__name__)


class Spool:
    """A process's files in the folder; threads may share it."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        check_writable(self.folder, "the folder in which records wait for the database", "start it in another folder")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._token = token_hex(6)
        self._file_lock = _lock(self.folder, self._token)
        self._file_lock.acquire()
        self._number, self._in_file = 0, 0
        self._lock = threading.Lock()

    def add(self, records: Sequence[Record]) -> None:
        """Add records; the process may be killed right after it.

        Raises:
            OSError: If they cannot be written.
        """
        with self._lock:
            if self._in_file >= _FILE:
                self._begin_file()
            _append(self._file(self._number), records)
            self._in_file += len(records)

    def refuse(self, records: Iterable[Record]) -> None:
        """Put records aside that will never be stored.

        Raises:
            OSError: If they cannot be written.
        """
        with self._lock:
            _append(self.folder / REFUSED, records)

    def files(self) -> list[Path]:
        """Return the files that wait, oldest first, those of dead processes among them; none is added to any more."""
        self._take_over()
        with self._lock:  # else another thread adds to the next file, and it is taken for one that waits
            self._begin_file()
            return sorted(self.folder.glob(f"{self._token}-*.jsonl"))

    def is_empty(self) -> bool:
        """Return whether nothing of this process waits."""
        return not any(self.folder.glob(f"{self._token}-*.jsonl"))

    def close(self) -> None:
        """Leave what waits to whoever comes next."""
        if self.is_empty():
            with suppress(OSError):
                Path(self._file_lock.lock_file).unlink()
        self._file_lock.release()

    def _file(self, number: int) -> Path:
        return self.folder / f"{self._token}-{number:06}.jsonl"

    def _begin_file(self) -> None:
        if self._file(self._number).exists():
            self._number, self._in_file = self._number + 1, 0

    def _take_over(self) -> None:
        tokens = {path.stem.partition("-")[0] for kind in ("*-*.jsonl", "*.lock") for path in self.folder.glob(kind)}
        for token in sorted(tokens - {self._token}):
            lock = _lock(self.folder, token)
            with suppress(Timeout), lock.acquire(blocking=False):  # whoever is alive holds it
                for path in sorted(self.folder.glob(f"{token}-*.jsonl")):
                    with self._lock:
                        self._begin_file()
                        path.rename(self._file(self._number))
                        self._begin_file()
                Path(lock.lock_file).unlink(missing_ok=True)


def read_records(path: Path) -> Iterator[Record]:
    """Yield the records of a file; a line that a killed process could not finish is left out, and logged."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if not line.strip():
                continue
            try:
                yield _record(json.loads(line))
            except (ValueError, TypeError, KeyError, AttributeError):
                _log.warning("A line of %s is not whole and is left out", path)


def forget_records(folder: str | Path, conversation_id: str) -> int:
    """Remove what is about a conversation from all files of a folder; returns how many records that were.

    Raises:
        OSError: If a file cannot be changed.
    """
    # In the text of a record quotation marks are escaped: so only a record's own id looks like this.
    wanted = f'"conversation_id": {json.dumps(conversation_id)}'.encode()
    return sum(_make_blank(path, wanted) for path in Path(folder).glob("*.jsonl"))


def _make_blank(path: Path, wanted: bytes) -> int:
    found = at = 0
    # A file that is not there any more has just been stored, or taken over: then it is left out when it is stored.
    with suppress(FileNotFoundError), path.open("rb") as lines, path.open("r+b", buffering=0) as file:
        for line in lines:
            if wanted in line:
                file.seek(at)
                file.write(b" " * len(line.rstrip(b"\n")))
                found += 1
            at += len(line)
    return found


def _append(path: Path, records: Iterable[Record]) -> None:
    lines = [json.dumps({type(record).__name__: asdict(record)}, default=datetime.isoformat) for record in records]
    # The line end in front ends a line that was not finished, such as on a disk that was full.
    data = memoryview(("\n" + "\n".join(lines) + "\n").encode())
    with path.open("ab", buffering=0) as file:
        while data:
            data = data[file.write(data) :]


def _record(line: dict[str, Any]) -> Record:
    [(kind, values)] = line.items()
    if kind == "Vote":
        return Vote(**{**values, "given_at": datetime.fromisoformat(values["given_at"])})
    contexts: Sequence[dict[str, Any]] = values["contexts"]
    return Conversation(
        **{
            **values,
            "asked_at": datetime.fromisoformat(values["asked_at"]),
            "contexts": tuple(ShownContext(**context) for context in contexts),
        }
    )


def _lock(folder: Path, token: str) -> FileLock:
    return FileLock(folder / f"{token}.lock", thread_local=False)
