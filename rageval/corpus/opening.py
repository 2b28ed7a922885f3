"""Path or URL of a file -> the file, open or as a whole, with its name for messages and what says how it is read.

A URL may carry a key (`https://user:key@host/` or `?sig=...`), most often filled in from the environment: messages show
it without.
"""

import contextlib
import io
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import fsspec

from rageval.corpus.packed import MAX_BYTES
from rageval.corpus.reply_format import format_of_reply
from rageval.corpus.rows import format_of, has_format
from rageval.corpus.sample_data import SAMPLE, sample_file
from rageval.corpus.version_files import newest
from rageval.corpus.versions import LATEST
from rageval.errors import DataError
from rageval.safety.allowances import check_file
from rageval.safety.urls import check_scheme, shown
from rageval.safety.variables import filled_in

MAX_FILE_BYTES = MAX_BYTES
MAX_STREAMED_BYTES = 16 * MAX_BYTES
"""The most of a file that is read from block to block, which no memory holds."""
_BLOCK_BYTES = 2**20
_HTTP = ("http://", "https://")


def read_text(path: str) -> str:
    """Return a text file, such as a prompt.

    Raises:
        DataError: If it cannot be read, or is no UTF-8.
        ConfigError: If a variable of its URL is not set, or the run may not read it.
    """
    content = io.BytesIO()
    _fetched(_check(path), path, content)
    try:
        return content.getvalue().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{shown(path)}: the file is no text in UTF-8") from None


@dataclass(frozen=True, kw_only=True)
class OpenedFile:
    """A file that is read from block to block."""

    file: BinaryIO
    """At its beginning; it can be read from any place."""
    name: str
    """What messages call it."""
    suffix: str
    """What says how it is read, such as ".csv"."""


@contextlib.contextmanager
def opened(path: str, suffix: str = "") -> Iterator[OpenedFile]:
    """Open a file to read it from block to block; what is at a URL is copied to a temporary file first.

    So the server of a URL need not wait for whatever is done with the rows, which may take hours.

    Args:
        path: Path or URL of the file.
        suffix: What says how it is read; empty for what its name or its server says.

    Raises:
        DataError: If nothing tells its format, it cannot be read, or it is too large.
        ConfigError: If a variable of its URL is not set, or the run may not read it.
    """
    path, given, name, suffix = _located(path, suffix)
    with contextlib.ExitStack() as stack:
        if "://" not in path:
            with _sentences(path, given, name):
                file: BinaryIO = stack.enter_context(Path(path).open("rb"))
        else:
            file = stack.enter_context(tempfile.TemporaryFile())
            headers = _fetched(path, given, file, name, MAX_STREAMED_BYTES)
            suffix = suffix or format_of_reply(headers, name)
            file.seek(0)
        yield OpenedFile(file=file, name=name, suffix=suffix)


def whole_file(path: str) -> tuple[bytes, str, str]:
    """Return the bytes of a file, its name for messages, and the suffix that says how it is read.

    Raises:
        DataError, ConfigError: See `opened`.
    """
    path, given, name, suffix = _located(path)
    content = io.BytesIO()
    headers = _fetched(path, given, content, name)
    return content.getvalue(), name, suffix or format_of_reply(headers, name)


def _located(path: str, suffix: str = "") -> tuple[str, str, str, str]:
    """Return where a file is with all that is filled in, as it was given, its name for messages, and its suffix.

    The suffix is the one that is wanted, or empty where it is for the server to say.

    Raises:
        DataError: If nothing tells its format.
        ConfigError: If a variable of its URL is not set, or the run may not read it.
    """
    if path.startswith(SAMPLE):
        path = str(sample_file(path))
        return path, path, PurePosixPath(path).name, suffix or format_of(path)
    _check(path.removeprefix(LATEST))
    given = newest(path)
    path = _check(given)
    name = shown(given)
    if path != given and not has_format(name):
        name += "".join(PurePosixPath(shown(path)).suffixes[-2:])  # all that may be told of what is filled in
    if not suffix and (has_format(name) or not path.startswith(_HTTP)):
        suffix = format_of(name)
    return path, given, name, suffix


def _fetched(path: str, given: str, into: BinaryIO, name: str = "", limit: int | None = None) -> Mapping[str, str]:
    """Copy a file, and return the headers that came with it where it came by HTTP.

    Args:
        path: Where it is, with all that is filled in.
        given: The same as it was given.
        into: What it is written to.
        name: What it is called in messages; empty for what may be shown of `given`.
        limit: The most bytes that it may have; None for `MAX_FILE_BYTES`.

    Raises:
        DataError: If it cannot be read.
    """
    name = name or shown(given)
    with _sentences(path, given, name):
        return _fetch(path, name, into, MAX_FILE_BYTES if limit is None else limit)


@contextlib.contextmanager
def _sentences(path: str, given: str, name: str) -> Iterator[None]:
    """Say in one sentence why a file cannot be read, see `_fetched`.

    Raises:
        DataError: If it cannot.
    """
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError as error:
        if isinstance(error.__cause__, DataError):  # fsspec's word for whatever ends a request
            raise error.__cause__ from None
        raise DataError(f"{name}: {_not_found(path)}") from None
    except ImportError as error:
        raise DataError(f"{name}: this kind of URL needs one more package: {error}") from None
    except Exception as error:  # noqa: BLE001 - each storage library behind fsspec has errors of its own
        # The text of the error may repeat the URL, and with it a key.
        detail = type(error).__name__ if "://" in path or path != given else str(error)
        raise DataError(f"{name}: cannot be read ({detail}); check the path and who may read it") from None


def _check(given: str) -> str:
    """Return a path or URL with all that is filled in, which the run may read.

    Raises:
        ConfigError: If a variable is not set, or it may not.
        DataError: If it is of a kind that nothing is read from.
    """
    path = filled_in(given)
    try:
        check_scheme(path)
    except ValueError as error:
        raise DataError(f"{shown(given)}: {error}") from None
    check_file(path, shown(given))
    return path


def _fetch(path: str, name: str, into: BinaryIO, limit: int) -> Mapping[str, str]:
    """Copy a file of at most so many bytes, and return the headers that came with it where it came by HTTP."""
    total = 0
    with _bytes_at(path, name) as (file, headers):
        while block := file.read(_BLOCK_BYTES):
            into.write(block)
            total += len(block)
            if total > limit:
                raise DataError(f"{name}: the file is larger than {limit:,} bytes, the most that is read: split it")
    return headers


@contextlib.contextmanager
def _bytes_at(path: str, name: str) -> Iterator[tuple[BinaryIO, Mapping[str, str]]]:
    """Open a file, with the headers that came with it where it came by HTTP."""
    if path.startswith(_HTTP):
        from rageval.corpus.web_files import opened_url  # noqa: PLC0415 - its client is slow to import

        with opened_url(path, name) as opened_file:
            yield opened_file
    else:
        with fsspec.open(path, "rb") as file:
            yield file, {}


def _not_found(path: str) -> str:
    if "://" in path:  # fsspec tells a missing file and a missing server apart for no protocol.
        return "there is no such file, or its server cannot be reached; check the URL"
    return f"there is no such file; check the path (relative ones start at {Path.cwd()})"
