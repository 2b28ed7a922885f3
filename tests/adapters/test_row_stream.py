"""Files that are read from block to block: compressed, in other encodings, from a server, damaged, or too large."""

import bz2
import codecs
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rageval.corpus import opening, packed, parquet_stream, row_stream
from rageval.corpus.item_files import read_items
from rageval.errors import DataError
from tests.guarded_website import guarded_website

ROWS = [{"question": f"née {number}, \u2028 {'?' * 40}", "answer": "a\nb"} for number in range(3000)]
LINES = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS)


def questions(path: Path | str) -> list[str | None]:
    return [item.question for batch in read_items(str(path)) for item in batch.items]


def arrow(codec: str, content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, codec) as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": partial(arrow, "zstd"),
    "lz4": partial(arrow, "lz4"),
}  # fmt: skip


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_compressed_files_are_read_from_block_to_block(tmp_path: Path, suffix: str, monkeypatch: Any) -> None:
    whole = COMPRESSIONS[suffix](LINES.encode())
    path = tmp_path / f"answers.jsonl.{suffix}"
    path.write_bytes(whole)
    assert questions(path) == [row["question"] for row in ROWS]
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="the compressed file is damaged or cut off"):
        questions(path)
    path.write_bytes(whole)
    monkeypatch.setattr(packed, "_ALWAYS_BYTES", 1000)
    monkeypatch.setattr(packed, "_TIMES", 1)
    with pytest.raises(DataError, match=r"the compressed file holds more than [\d,]+ bytes, the most that is read"):
        questions(path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16-le", "utf-16-be"])
def test_a_text_says_its_encoding(tmp_path: Path, encoding: str) -> None:
    mark = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}.get(encoding, b"")
    (tmp_path / "a.jsonl").write_bytes(mark + LINES.encode(encoding))
    assert questions(tmp_path / "a.jsonl") == [row["question"] for row in ROWS]


def test_a_file_behind_a_url_is_read_as_one_on_disk(tmp_path: Path) -> None:
    (tmp_path / "answers.jsonl").write_text(LINES, encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "answers.parquet")

    with guarded_website(tmp_path, query="key=secret", login="") as host:
        for name in ("answers.jsonl", "answers.parquet"):
            assert questions(f"http://{host}/{name}?key=secret") == [row["question"] for row in ROWS]
        with pytest.raises(DataError, match=r"/none.csv: there is no such file") as caught:
            questions(f"http://{host}/none.csv?key=secret")
        assert "secret" not in str(caught.value)


def workbook() -> bytes:
    file = io.BytesIO()
    openpyxl.Workbook().save(file)
    return file.getvalue()


def archive(**parts: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in parts.items():
            made.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "suffix", "message"),
    [
        (b"", "jsonl", "the file is empty; expected rows"),
        (b"question,answer\n", "csv", "the file holds no rows; expected rows with a question"),
        (b"q\xff,a\n1,2\n", "csv", "some lines after line 0: byte 0xff is not valid UTF-8; save the file as UTF-8"),
        (b"question,question\n1,2\n", "csv", "the header names question more than once"),
        (b"<html><body>503", "jsonl", "an HTML page, such as one to sign in"),
        (b'[{"question": "?"}]', "jsonl", "a JSON list, not one object a line, expected .jsonl"),
        (b"question,answer\n1,2\n", "json", "CSV, expected .json: end its name with .csv"),
        (b'{"a": [{"question": 1}], "b": [{"question": 1}]}', "json", r"expected a list of objects .* found dict with"),
        (b"PAR1 no, it is not PAR1", "parquet", "cannot be read as Parquet"),
        (workbook(), "xlsx", "the file holds no rows"),
        (workbook()[:-50], "xlsx", "cannot be read as an Excel workbook: .*; save it again"),
        (archive(word=b"document"), "xlsx", "cannot be read as an Excel workbook"),
        (workbook(), "csv", "an Excel workbook, expected .csv: end its name with .xlsx"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_says_why_and_what_to_do(
    tmp_path: Path, content: bytes, suffix: str, message: str
) -> None:
    path = tmp_path / f"answers.{suffix}"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        questions(path)
    assert "\n" not in str(caught.value)


def test_what_takes_more_memory_than_a_row_should_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(row_stream, "MAX_ROW_CHARS", 1000)
    path = tmp_path / "a.csv"
    path.write_text('question,answer\n1,2\n3,"no end\n' + "and so on\n" * 200)
    with pytest.raises(DataError, match=r"goes on in line \d+ has more than 1,000 characters: end its quotes"):
        questions(path)
    path = tmp_path / "a.jsonl"
    path.write_text('{"question": "' + "?" * 1000 + '"}')
    with pytest.raises(DataError, match=r"line 1: has more than 1,000 characters: split it"):
        questions(path)
    monkeypatch.setattr(row_stream, "MAX_WHOLE_BYTES", 100)
    (tmp_path / "a.json").write_text(json.dumps(ROWS[:10]))
    with pytest.raises(DataError, match="larger than 100 bytes, the most that is read as a whole: write it as"):
        questions(tmp_path / "a.json")
    monkeypatch.setattr(opening, "MAX_STREAMED_BYTES", 100)
    with pytest.raises(DataError, match="larger than 100 bytes, the most that is read: split it"):
        questions(f"file://{tmp_path}/a.jsonl")


def test_a_workbook_is_measured_before_it_is_unpacked(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(packed, "_ALWAYS_BYTES", 1000)
    monkeypatch.setattr(packed, "_TIMES", 1)
    path = tmp_path / "a.xlsx"
    path.write_bytes(workbook())
    with pytest.raises(DataError, match=r"the workbook holds more than [\d,]+ bytes, the most that is read of one of"):
        questions(path)


def test_a_text_that_rows_share_is_measured_before_it_is_unfolded(tmp_path: Path, monkeypatch: Any) -> None:
    # One text of 100,000 bytes that 200 rows share: 20,000,000 bytes unfolded, some 100,000 in the file.
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"question": ["?" * 100_000] * 200, "contexts": [["c", "d" * 100_000], []] * 100}), path)
    assert path.stat().st_size < 50_000
    monkeypatch.setattr(parquet_stream, "MAX_BATCH_BYTES", 1_000_000)
    with pq.ParquetFile(path) as parquet, path.open("rb") as file:
        # A row holds 100,000 bytes and, with 300 values in 200 rows, 1.5 times 100,000 in its list: 4 rows.
        assert parquet_stream.rows_at_once(file, parquet, 0, "a.parquet") == 4
    assert len(questions(path)) == 200
    monkeypatch.setattr(parquet_stream, "MAX_BATCH_BYTES", 200_000)
    with pytest.raises(DataError, match="a row may hold more than 200,000 bytes, the most that is read at once: split"):
        questions(path)
    monkeypatch.setattr(parquet_stream, "MAX_VALUES_A_ROW", 1)
    with pytest.raises(DataError, match="`contexts` holds lists of more than 1 values a row"):
        questions(path)
    monkeypatch.setattr(parquet_stream, "MAX_VALUES_A_ROW", 10)
    monkeypatch.setattr(packed, "_ALWAYS_BYTES", 1000)
    monkeypatch.setattr(packed, "_TIMES", 1)
    with pytest.raises(DataError, match=r"`question` holds more than [\d,]+ bytes in a group of rows"):
        questions(path)
