"""The first bytes of a file -> what it is, where it is nothing that can be read, or not what its name says."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from rageval.errors import DataError

_SHEET: Final = "save it as .xlsx, or its sheet as CSV"
_PARQUET: Final = b"PAR1"
_BINARY: Final = (
    (b"%PDF", "a PDF", "give the rows as CSV"),
    (b"SQLite format 3\x00", "an SQLite database", "export its table as CSV"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook of the old kind (.xls)", _SHEET),
    (b"ARROW1", "an Arrow file (Feather)", "write it as Parquet"),
    (b"Obj\x01", "an Avro file", "write it as Parquet"),
    (b"\x89HDF", "an HDF5 file", "write it as Parquet"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it"),
    (b"Rar!", "a RAR archive", "unpack it"),
    (b"\x1f\x9d", "compressed by `compress`", "unpack it"),
    (b"\x1f\x8b", "gzip within gzip", "unpack it once"),
    (b"\x28\xb5\x2f\xfd", "compressed twice", "unpack it once"),
    (b"\x89PNG", "an image", "give the rows as CSV"),
    (b"\xff\xd8\xff", "an image", "give the rows as CSV"),
    (b"version https://git-lfs.github.com", "a pointer of Git LFS", "fetch the file itself with `git lfs pull`"),
)
_MARKUP: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(!doctype html|html|head|\?xml)", re.IGNORECASE)
_JSON: Final = re.compile(rb'(?:\xef\xbb\xbf)?\s*(?:\[\s*\{|\{\s*["}])')
_JSON_LIST: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*\[\s*[{\]]")
_JSON_OVER_LINES: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*\{[ \t]*\r?\n")


def refuse_foreign(data: bytes, name: str, suffix: str, columns: Sequence[str]) -> None:
    """Make sure that bytes may be what the suffix of their file says.

    Args:
        data: The whole file, unpacked and not empty.
        name: What messages call it.
        suffix: How it is to be read, such as ".csv".
        columns: The columns that are wanted, by which a CSV header is known.

    Raises:
        DataError: If they are something else; it says what.
    """
    for found, remedy in _foreign(data, suffix, columns):
        raise DataError(f"{name}: by its bytes this is {found}, expected {suffix}: {remedy}")


def _foreign(data: bytes, suffix: str, columns: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield what the bytes are and what to do, best first; nothing if they may be what the suffix says."""
    for magic, found, remedy in _BINARY:
        if data.startswith(magic):
            yield found, remedy
    if data.startswith(b"PK\x03\x04") and suffix != ".xlsx":
        is_sheet = b"[Content_Types].xml" in data[:4096] or b"xl/" in data[:4096]
        yield ("an Excel workbook", "end its name with .xlsx") if is_sheet else ("a zip archive", "unpack it")
    if data[257:262] == b"ustar":
        yield "a tar archive", "unpack it"
    if suffix != ".parquet" and data.startswith(_PARQUET) and data.endswith(_PARQUET):
        yield "Parquet", "end its name with .parquet"
    if markup := _MARKUP.match(data):
        is_page = markup[1].lower() != b"?xml"
        yield (
            ("an HTML page, such as one to sign in or an error", "check the address, and who may read it")
            if is_page
            else ("XML", "give the rows as CSV")
        )
    yield from _foreign_text(data, suffix, columns)


def _foreign_text(data: bytes, suffix: str, columns: Sequence[str]) -> Iterator[tuple[str, str]]:
    if suffix in (".csv", ".tsv") and _JSON.match(data):
        is_list = _JSON_LIST.match(data)
        yield ("a JSON list", "end its name with .json") if is_list else ("JSON Lines", "end its name with .jsonl")
    if suffix in (".jsonl", ".ndjson"):
        if _JSON_LIST.match(data):
            yield "a JSON list, not one object a line", "end its name with .json"
        if _JSON_OVER_LINES.match(data):
            yield "JSON whose objects stand on several lines each", "write one object a line, or a list in a .json"
    if suffix in (".json", ".jsonl", ".ndjson"):
        header = data.partition(b"\n")[0].decode("utf-8", "replace").strip("\ufeff\r").split(",")
        if sum(cell.strip(' "') in columns for cell in header) > 1:
            yield "CSV", "end its name with .csv"
