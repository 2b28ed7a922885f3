"""Compressed bytes -> what is in them; bytes that are not compressed stay as they are.

Bytes are known by how they begin, whatever their file is called: a server may have unpacked them on the way.
"""

import bz2
import contextlib
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO, Final, Protocol

import pyarrow as pa

from rageval.errors import DataError

MAX_BYTES: Final = 2 * 1024**3
"""The most that is read of a file, and that a compressed one may hold."""
SUFFIXES: Final = (".gz", ".bz2", ".xz", ".zst", ".lz4")
_ALWAYS_BYTES: Final = 256 * 1024**2
_TIMES: Final = 100
"""A text of people shrinks to a third or a tenth; a thousandth is left of what was made to be unpacked."""
_BLOCK_BYTES: Final = 2**20
_HEAD_BYTES: Final = 16


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Lent(io.RawIOBase):
    """A file that stays open, whoever closes this: pyarrow does, as soon as it is done with it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        block = self._file.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)


def _arrow(codec: str) -> Callable[[BinaryIO], _Readable]:
    return lambda file: pa.CompressedInputStream(_Lent(file), codec)


_READERS: Final[Mapping[bytes, Callable[[BinaryIO], _Readable]]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
    b"\x28\xb5\x2f\xfd": _arrow("zstd"),
    b"\x04\x22\x4d\x18": _arrow("lz4"),
}
_BLOCK_OF_BZ2: Final = b"1AY&SY"
"""What follows BZh and a digit: a text may begin with BZh, too."""


def allowance(size: int) -> int:
    """Return the most bytes that a compressed file of this size may hold."""
    return min(MAX_BYTES, max(_ALWAYS_BYTES, _TIMES * size))


def unpacked(data: bytes, name: str) -> bytes:
    """Return the content of a compressed file, and any other file as it is.

    Args:
        data: The whole file.
        name: What messages call it.

    Raises:
        DataError: If the file is damaged or cut off, or holds more than one of its size may: a few kilobytes may
            hold terabytes.
    """
    if (reader := _reader(data[:_HEAD_BYTES])) is None:
        return data
    content, limit = bytearray(), allowance(len(data))
    with _translated(name):
        stream = reader(io.BytesIO(data))
        while block := stream.read(_BLOCK_BYTES):
            content += block
            _refuse_beyond(len(content), len(data), limit, name)
    return bytes(content)


def unpacking(file: BinaryIO, name: str) -> BinaryIO:
    """Return a file that reads the content of a compressed file from block to block, and any other file as it is.

    Args:
        file: At its beginning; it can be read from any place.
        name: What messages call it.

    Returns:
        A file that raises DataError as `unpacked` does, once it comes to what is wrong.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    reader = _reader(head)
    return file if reader is None else io.BufferedReader(_Unpacking(reader(file), name, size), _BLOCK_BYTES)


class _Unpacking(io.RawIOBase):
    """The content of a compressed file, up to as much as one of its size may hold."""

    def __init__(self, stream: _Readable, name: str, size: int) -> None:
        self._stream = stream
        self._name = name
        self._size = size
        self._limit = max(_ALWAYS_BYTES, _TIMES * size)
        self._held = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        with _translated(self._name):
            block = self._stream.read(len(buffer))
        self._held += len(block)
        _refuse_beyond(self._held, self._size, self._limit, self._name)
        buffer[: len(block)] = block
        return len(block)


@contextlib.contextmanager
def _translated(name: str) -> Iterator[None]:
    """Say in one sentence what is wrong with a compressed file.

    Raises:
        DataError: If it is damaged or cut off.
    """
    try:
        yield
    except (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(
            f"{name}: the compressed file is damaged or cut off ({reason}); compress or download it again"
        ) from None


def _refuse_beyond(held: int, size: int, limit: int, name: str) -> None:
    """Refuse a compressed file that holds more than one of its size may.

    Raises:
        DataError: If it does.
    """
    if held > limit:
        raise DataError(
            f"{name}: the compressed file holds more than {limit:,} bytes, the most that is read of a file of "
            f"{size:,}: split it, or unpack it"
        )


def _reader(head: bytes) -> Callable[[BinaryIO], _Readable] | None:
    """Return what unpacks a file that begins so; None for one that is not compressed."""
    if head.startswith(b"BZh") and head[4:10] != _BLOCK_OF_BZ2:
        return None
    return next((reader for magic, reader in _READERS.items() if head.startswith(magic)), None)
