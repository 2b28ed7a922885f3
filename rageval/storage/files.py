"""Files of a run that are there as a whole or not at all, whatever happens while they are written."""

import contextlib
import errno
import os
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from rageval.errors import RunStoppedError
from rageval.storage.places import Place, StorePath
from rageval.storage.writable import whoever

NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS}
"""No room would help: the user may not write there, or nobody may."""
_GROUP_ROWS: Final = 4096
"""Rows that are read at once where a table is not read as a whole."""


@contextlib.contextmanager
def writing(folder: Place) -> Iterator[None]:
    """Let a disk that takes nothing more end the run in order.

    Raises:
        RunStoppedError: In place of an OSError; it names the folder and the reason.
    """
    try:
        yield
    except OSError as error:
        raise cannot_write(folder, error) from error


def cannot_write(folder: Place, error: OSError) -> RunStoppedError:
    """Return in words why nothing can be written to a folder, and what to do about it."""
    code = errno.errorcode.get(error.errno or 0, type(error).__name__)
    why = f"{folder} cannot be written: {error.strerror or error} ({code})"
    if error.errno in NOT_ALLOWED:
        return RunStoppedError(
            f"{why}{whoever()}. Let that user write there (in a container: mount a volume that the user owns), or name "
            "another folder"
        )
    return RunStoppedError(f"{why}; what was stored before is still there. Make room for it and start the run again")


@contextlib.contextmanager
def replacing(path: Place) -> Iterator[Path]:
    """Yield a temporary path of this machine whose content replaces `path` at the end, or nothing does.

    Raises:
        RunStoppedError: If it cannot be written.
    """
    if isinstance(path, StorePath):
        with writing(path.parent), tempfile.TemporaryDirectory() as folder:
            yield Path(folder) / path.name
            path.upload(Path(folder) / path.name)
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_parquet(path: Place, parts: Iterable[pa.Table], schema: pa.Schema) -> None:
    """Write the parts as one file, with a checksum on every page.

    Raises:
        RunStoppedError: If it cannot be written.
    """
    with (
        replacing(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd", write_page_checksum=True) as writer,
    ):
        for group in _groups(part.cast(schema) for part in parts):
            writer.write_table(group, row_group_size=_GROUP_ROWS)


def _groups(parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield the rows of the parts, small ones together."""
    waiting: list[pa.Table] = []
    for part in parts:
        waiting.append(part)
        if sum(map(len, waiting)) >= _GROUP_ROWS:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def read_parquet(path: Place, columns: Sequence[str] | None = None, coded: Sequence[str] = ()) -> pa.Table:
    """Return the table, or those of its columns, every page checked against its checksum.

    Args:
        path: The file.
        columns: Which columns; None for all.
        coded: Columns of texts that many rows share: they come as dictionaries, each text once.

    Raises:
        pyarrow.ArrowException, OSError: If it is damaged, or lacks the columns.
    """
    names = None if columns is None else list(columns)
    table = pq.read_table(
        readable(path), columns=names, page_checksum_verification=True, read_dictionary=list(coded) or None
    )
    return table.unify_dictionaries() if coded else table


def readable(path: Place) -> Path | pa.BufferReader:
    """Return what pyarrow reads a file from; that of a store is fetched as a whole, in one request.

    Raises:
        FileNotFoundError: If a store has no such file.
    """
    return pa.BufferReader(path.read_bytes()) if isinstance(path, StorePath) else path


class Lines(Protocol):
    """A file that grows line by line."""

    def append(self, line: bytes) -> None:
        """Add a line, which comes without its end.

        Raises:
            RunStoppedError: If the file cannot be written.
        """

    def close(self) -> None:
        """End writing; the lines stay.

        Raises:
            RunStoppedError: If the last lines could not be written.
        """


def appending(path: Place) -> Lines:
    """Open a file for lines that are added to what it holds; a line that a kill has cut short is closed off first.

    On a disk a line is safe from the death of this process when `append` returns. On an object store it is once it has
    been put, a few hundredths of a second later: see `StoreLines`.

    Raises:
        RunStoppedError: If it cannot be opened.
    """
    return StoreLines(path) if isinstance(path, StorePath) else DiskLines(path)


class DiskLines:
    """Lines of a file on a disk."""

    def __init__(self, path: Path) -> None:
        self._folder = path.parent
        with writing(self._folder):
            path.parent.mkdir(parents=True, exist_ok=True)
            is_torn = path.is_file() and path.stat().st_size and not path.read_bytes().endswith(b"\n")
            self._file = path.open("ab", buffering=0)
            if is_torn:
                self._file.write(b"\n")

    def append(self, line: bytes) -> None:
        """Write a line; it is safe from the death of this process when this returns."""
        rest = memoryview(line + b"\n")
        with writing(self._folder):
            while rest:  # a disk that fills up takes a part, and refuses the rest with an error
                rest = rest[self._file.write(rest) :]

    def close(self) -> None:
        """Close the file; the lines stay."""
        self._file.close()


class StoreLines:
    """Lines of an object, which cannot be added to: a thread puts it as a whole as long as there are new lines.

    `append` never waits, so it may be called from an event loop. Lines that come while the object is being put gather,
    and are put next. A killed process loses those that were not put, which is what came during the last put or two.
    """

    def __init__(self, path: StorePath) -> None:
        self._path = path
        try:
            self._content = bytearray(path.read_bytes())
        except FileNotFoundError:
            self._content = bytearray()
        if self._content and not self._content.endswith(b"\n"):
            self._content += b"\n"
        self._put = len(self._content)
        self._is_closed = False
        self._error: Exception | None = None
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def append(self, line: bytes) -> None:
        """Hand a line to the thread that puts it; an earlier one that could not be put is an error now."""
        with self._changed:
            self._raise()
            self._content += line + b"\n"
            if self._thread is None:
                self._thread = threading.Thread(target=self._put_all, name=f"put-{self._path.name}", daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self) -> None:
        """Wait until all lines are put."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
        self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _put_all(self) -> None:
        while (content := self._next()) is not None:
            try:
                with writing(self._path.parent):
                    self._path.write_bytes(content)
            except Exception as error:  # noqa: BLE001 - whatever it is, the thread that appends has to learn of it
                with self._changed:
                    self._error = error
                return

    def _next(self) -> bytes | None:
        """Return the whole content once there are new lines, or None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or len(self._content) > self._put)
            if len(self._content) == self._put:
                return None
            self._put = len(self._content)
            return bytes(self._content)
