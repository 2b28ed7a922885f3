"""Vectors on a disk: nothing is lost that was written, nothing wrong is read, and no more is kept than may be."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rageval.embedding.vector_cache import VectorCache, embedding_model
from rageval.errors import ConfigError

WRITER = """
import sys
import numpy as np
from pathlib import Path
from rageval.embedding.vector_cache import VectorCache
cache, writer = VectorCache(Path(sys.argv[1]), "m@1"), int(sys.argv[2])
for number in range(50):
    cache.add(np.array([[1000 * writer + number, 7]], np.uint64), np.full((1, 8), 1000 * writer + number, np.float32))
"""


def keys(*first: int) -> np.ndarray:
    return np.array([(one, 7) for one in first], np.uint64)


def add(folder: Path, *first: int, bound: int | None = None) -> None:
    vectors = np.repeat(np.array(first, np.float32)[:, None], 8, axis=1)
    VectorCache(folder, "m@1", most_bytes=bound).add(keys(*first), vectors)


def stored(folder: Path, *first: int) -> list[float | None]:
    into = np.full((len(first), 8), -1, np.float32)
    found = VectorCache(folder, "m@1").read(keys(*first), into)
    return [float(row[0]) if there and (row == row[0]).all() else None for row, there in zip(into, found, strict=True)]


def test_processes_that_write_at_once_lose_nothing_and_few_files_are_left(tmp_path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, tmp_path, str(writer)]) for writer in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    written = keys(*(1000 * writer + number for writer in range(3) for number in range(50)))
    into = np.empty((150, 8), np.float32)
    assert VectorCache(tmp_path, "m@1").read(written, into).all()
    assert into[:, 3].tolist() == [1000 * writer + number for writer in range(3) for number in range(50)]
    add(tmp_path, 99)
    assert len(list(tmp_path.iterdir())) <= 16 + 3


def test_what_is_not_stored_is_not_found_though_a_part_of_its_key_is(tmp_path: Path) -> None:
    add(tmp_path, 3, 1, 2)
    assert stored(tmp_path, 2, 9, 1, 0) == [2, None, 1, None]
    other = np.array([[2, 8]], np.uint64)
    assert not VectorCache(tmp_path, "m@1").has(other).any()
    assert not VectorCache(tmp_path, "m@1").read(other, np.empty((1, 8), np.float32)).any()
    assert not VectorCache(tmp_path, "m@2").has(keys(2)).any()
    assert embedding_model(tmp_path) == "m@1"


@pytest.mark.parametrize("damage", ["truncated", "garbage", "header", "key", "empty"])
def test_a_damaged_file_is_named_and_goes_with_the_next_one_and_the_others_stay(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    add(tmp_path, 1, 2)
    [file] = tmp_path.iterdir()
    add(tmp_path, 3)
    data = file.read_bytes()
    file.write_bytes(
        {
            "truncated": data[:-5],
            "garbage": b"\xff" * len(data),
            "header": data.replace(b'"rows": 2', b'"rows": 3'),
            "key": data[:1024] + bytes([data[1024] ^ 1]) + data[1025:],
            "empty": b"",
        }[damage]
    )
    cache = VectorCache(tmp_path, "m@1")
    with caplog.at_level(logging.WARNING):
        assert cache.has(keys(1, 2, 3)).tolist() == [False, False, True]
    assert str(file) in caplog.text
    cache.add(keys(1), np.ones((1, 8), np.float32))
    assert not file.exists()
    assert stored(tmp_path, 1, 2, 3) == [1, None, 3]


def test_one_damaged_vector_is_missing_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    add(tmp_path, 1, 2, 3)
    [file] = tmp_path.iterdir()
    data = bytearray(file.read_bytes())
    data[1024 + 3 * 20 + 32 + 5] ^= 1  # a byte of the second vector of eight numbers
    file.write_bytes(data)
    with caplog.at_level(logging.WARNING):
        assert stored(tmp_path, 1, 2, 3) == [1, None, 3]
    assert f"{file} is damaged: 1 of its vectors" in caplog.text
    add(tmp_path, 2)
    assert stored(tmp_path, 1, 2, 3) == [1, 2, 3]


def test_beyond_the_bound_those_go_that_nobody_has_used_for_longest(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for n, first in enumerate((1, 2, 3)):
        add(tmp_path, first)
        [new] = [path for path in tmp_path.iterdir() if path.stat().st_mtime > 1000]
        os.utime(new, (n, n))
    assert stored(tmp_path, 1) == [1]  # it is used now
    each = new.stat().st_size
    add(tmp_path, 4, bound=3 * each)
    assert stored(tmp_path, 1, 2, 3, 4) == [1, None, 3, 4]
    assert not caplog.messages
    add(tmp_path, 5, bound=0)  # what was written last stays, whatever the bound
    assert "loses vectors that were used today" in caplog.text
    assert stored(tmp_path, 1, 3, 4, 5) == [None, None, None, 5]


def test_a_bound_that_is_no_number_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGEVAL_VECTORS_GB", "much")
    with pytest.raises(ConfigError, match=r"RAGEVAL_VECTORS_GB is 'much', expected a number of gigabytes"):
        VectorCache(tmp_path, "m@1")
