"""Files of a run that are there as a whole or not at all, whatever happens while they are written."""

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rageval.errors import RunStoppedError


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Let a disk that takes nothing more end the run in order.

    Raises:
        RunStoppedError: In place of an OSError; it names the folder and the reason.
    """
    try:
        yield
    except OSError as error:
        code = errno.errorcode.get(error.errno or 0, type(error).__name__)
        raise RunStoppedError(
            f"{folder} cannot be written: {error.strerror or error} ({code}); what was stored before is still there. "
            "Make room for it and start the run again"
        ) from error


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path whose content replaces `path` at the end, or nothing does.

    Raises:
        RunStoppedError: If it cannot be written.
    """
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


def write_parquet(path: Path, parts: Iterable[pa.Table], schema: pa.Schema) -> None:
    """Write the parts as one file, with a checksum on every page.

    Raises:
        RunStoppedError: If it cannot be written.
    """
    with (
        replacing(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd", write_page_checksum=True) as writer,
    ):
        for part in parts:
            writer.write_table(part.cast(schema))


def read_parquet(path: Path) -> pa.Table:
    """Return the table, every page checked against its checksum.

    Raises:
        pyarrow.ArrowInvalid, OSError: If it is damaged.
    """
    return pq.read_table(path, page_checksum_verification=True)
