"""Compressed bytes -> what is in them; bytes that are not compressed stay as they are.

Bytes are known by how they begin, whatever their file is called: a server may have unpacked them on the way.
"""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import pyarrow as pa

from rageval.errors import DataError

MAX_BYTES: Final = 2 * 1024**3
"""The most that is read of a file, and that a compressed one may hold."""
SUFFIXES: Final = (".gz", ".bz2", ".xz", ".zst", ".lz4")
_ALWAYS_BYTES: Final = 256 * 1024**2
_TIMES: Final = 100
"""A text of people shrinks to a third or a tenth; a thousandth is left of what was made to be unpacked."""
_BLOCK_BYTES: Final = 2**20


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def _arrow(codec: str) -> Callable[[bytes], _Readable]:
    return lambda data: pa.CompressedInputStream(pa.BufferReader(data), codec)


_READERS: Final[Mapping[bytes, Callable[[bytes], _Readable]]] = {
    b"\x1f\x8b": lambda data: gzip.GzipFile(fileobj=io.BytesIO(data)),
    b"BZh": lambda data: bz2.BZ2File(io.BytesIO(data)),
    b"\xfd7zXZ\x00": lambda data: lzma.LZMAFile(io.BytesIO(data)),  # noqa: SIM115 - no file
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
    reader = next((reader for magic, reader in _READERS.items() if data.startswith(magic)), None)
    if reader is None or (data.startswith(b"BZh") and data[4:10] != _BLOCK_OF_BZ2):
        return data
    content, limit = bytearray(), allowance(len(data))
    try:
        stream = reader(data)
        while block := stream.read(_BLOCK_BYTES):
            content += block
            if len(content) > limit:
                raise DataError(
                    f"{name}: the compressed file holds more than {limit:,} bytes, the most that is read of a file of "
                    f"{len(data):,}: split it, or unpack it"
                )
    except (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(
            f"{name}: the compressed file is damaged or cut off ({reason}); compress or download it again"
        ) from None
    return bytes(content)
