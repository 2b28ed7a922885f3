"""Bytes of a file -> its rows: compressed, in other encodings, and not what the name says."""

import bz2
import codecs
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from functools import partial

import pyarrow as pa
import pytest

from rageval.corpus import packed
from rageval.corpus.rows import parse_rows
from rageval.errors import DataError
from tests.adapters.test_corpus import TRUTH, WRITERS, as_csv, as_parquet

COLUMNS = ("question", "course", "document")


def read(content: bytes, suffix: str) -> list[dict[str, str]]:
    return [dict(row.values) for row in parse_rows(content, f"truth.{suffix}", COLUMNS).rows]


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
@pytest.mark.parametrize("inner", WRITERS)
def test_compressed_files_are_read(inner: str, suffix: str) -> None:
    plain = WRITERS[inner](TRUTH)
    assert read(COMPRESSIONS[suffix](plain), f"{inner}.{suffix}") == TRUTH
    # A browser or a server may have unpacked it, or left the suffix out.
    assert read(plain, f"{inner}.{suffix}") == TRUTH
    assert read(COMPRESSIONS[suffix](plain), inner) == TRUTH


@pytest.mark.parametrize("suffix", COMPRESSIONS)
def test_a_compressed_file_that_is_cut_off_or_too_large_is_one_sentence(
    suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = COMPRESSIONS[suffix](as_csv(TRUTH * 50))
    for length in (len(whole) // 2, len(whole) - 1):
        with pytest.raises(DataError, match=r"truth.csv.\w+: the compressed file is damaged or cut off .*download it"):
            read(whole[:length], f"csv.{suffix}")
    monkeypatch.setattr(packed, "MAX_BYTES", 1000)
    with pytest.raises(DataError, match=r"truth.csv.\w+: the compressed file holds more than 1,000 bytes"):
        read(whole, f"csv.{suffix}")


def test_a_text_may_begin_like_a_compressed_file() -> None:
    assert read(b"BZh9,question\n1,2\n", "csv") == [{"BZh9": "1", "question": "2"}]


@pytest.mark.parametrize("mark", [codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE])
def test_utf_16_is_read_by_its_mark(mark: bytes) -> None:
    encoding = "utf-16-le" if mark == codecs.BOM_UTF16_LE else "utf-16-be"
    rows = [{**TRUTH[0], "question": "Où?"}]
    content = as_csv(rows).decode().encode(encoding)
    assert read(mark + content, "csv") == rows
    with pytest.raises(DataError, match=r"begins with a zero byte: UTF-16 without a mark"):
        read(content, "csv")


def as_xlsx() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "suffix", "message"),
    [
        (as_xlsx(), "csv", r"an Excel workbook, expected .csv: end its name with .xlsx"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "csv", r"an Excel workbook of the old kind"),
        (b"PK\x03\x04 some other archive", "json", "a zip archive, expected .json: unpack it"),
        (b"%PDF-1.7 ...", "csv", "a PDF"),
        (b"SQLite format 3\x00...", "parquet", "an SQLite database"),
        (b"\n<!DOCTYPE html><html>", "csv", "an HTML page, such as one to sign in"),
        (b"<html><body>503", "jsonl", "an HTML page"),
        (b"<?xml version='1.0'?>", "json", "XML"),
        (b"version https://git-lfs.github.com/spec/v1\n", "csv", "a pointer of Git LFS"),
        (gzip.compress(gzip.compress(b"a")), "csv", "gzip within gzip"),
        (as_parquet(TRUTH), "csv", "Parquet, expected .csv: end its name with .parquet"),
        (WRITERS["json"](TRUTH), "csv", "a JSON list, expected .csv: end its name with .json"),
        (WRITERS["jsonl"](TRUTH), "csv", "JSON Lines, expected .csv"),
        (json.dumps(TRUTH, indent=1).encode(), "jsonl", "a JSON list, not one object a line"),
        (json.dumps(TRUTH[0], indent=1).encode(), "jsonl", "JSON whose objects stand on several lines"),
        (as_csv(TRUTH), "json", "CSV, expected .json: end its name with .csv"),
        (b'{"data": [], "next": 2}', "json", "found dict with the keys data, next"),
    ],
)
def test_other_bytes_are_named_for_what_they_are(content: bytes, suffix: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(content, suffix)
    assert "\n" not in str(caught.value)
