"""The bytes of an Excel workbook -> the rows of its first sheet that has any."""

import io
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Final
from xml.etree.ElementTree import ParseError

from rageval.corpus.packed import allowance
from rageval.errors import DataError

_NO_WORKBOOK: Final = (
    zipfile.BadZipFile, zlib.error, ParseError, EOFError, OSError, KeyError, ValueError, TypeError, IndexError,
    AttributeError, NotImplementedError, RuntimeError,
)  # fmt: skip
"""What openpyxl raises at whatever it did not expect in a file."""


def sheet_rows(data: bytes, name: str) -> tuple[Sequence[str], Iterator[tuple[int, Sequence[Any]]]]:
    """Return the header of a sheet, and its other rows that hold anything, each with its number in the sheet.

    A cell is a text, a number, a date, true or false, or None where it is empty; a formula is what it came to when the
    workbook was saved. Each row is as long as the header, and columns without a name are left out.

    Args:
        data: The whole file.
        name: What messages call it.

    Raises:
        DataError: If it is no workbook, is damaged, or holds more than a file of its size may.
    """
    try:
        rows = _rows(data, name)
        header = next((values for _, values in rows), ())
    except _NO_WORKBOOK as error:
        raise _unreadable(name, error) from None
    named = [number for number, value in enumerate(header) if value is not None and str(value).strip()]
    return [str(header[number]) for number in named], _cells(rows, named, name)


def _cells(rows: Iterator[tuple[int, Sequence[Any]]], named: Sequence[int], name: str) -> Iterator[tuple[int, Any]]:
    try:
        for number, values in rows:
            yield number, [values[column] if column < len(values) else None for column in named]
    except _NO_WORKBOOK as error:
        raise _unreadable(name, error) from None


def _rows(data: bytes, name: str) -> Iterator[tuple[int, Sequence[Any]]]:
    """Yield the rows of the first sheet with a value in it, but for empty ones."""
    import openpyxl  # noqa: PLC0415 - it takes as long to import as everything else that reads files

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        held = sum(part.file_size for part in archive.infolist())
    if held > (limit := allowance(len(data))):
        raise DataError(
            f"{name}: the workbook holds more than {limit:,} bytes, the most that is read of one of {len(data):,}: "
            "write it as CSV"
        )
    with warnings.catch_warnings(action="ignore"):  # of styles and extensions, which say nothing of values
        workbook = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    try:
        for sheet in workbook.worksheets:
            sheet.reset_dimensions()  # some programs write wrong ones
            is_empty = True
            for number, values in enumerate(sheet.iter_rows(values_only=True), start=1):
                if any(value is not None for value in values):
                    is_empty = False
                    yield number, values
            if not is_empty:
                return
    finally:
        workbook.close()


def _unreadable(name: str, error: Exception) -> DataError:
    reason = str(error).partition("\n")[0][:200]
    return DataError(f"{name}: cannot be read as an Excel workbook: {reason}; save it again as .xlsx, or as CSV")
