"""The run's folder: what a kill, a full disk, a damaged file or a second process can do to it."""

import errno
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest

from rageval.errors import ConfigError, DataError, RunLockedError, RunStoppedError
from rageval.records import Chunk, Question, Score, StoredAnswer, Usage
from rageval.runs.journals import Journal
from rageval.runs.run import Run
from rageval.storage.files import readable, replacing
from rageval.storage.places import Place
from rageval.tables import ANSWERS, QUESTIONS, to_row, to_table

MODEL = "org/model: a"
CHUNKS = [
    Chunk(number=0, start=0, stop=3),
    Chunk(number=1, start=3, stop=5),
]
ORDER = [(MODEL, chunk) for chunk in CHUNKS]


def answer(number: int, text: str = "first", **values: Any) -> StoredAnswer:
    record = StoredAnswer(
        question_id=f"q{number}", system=MODEL, context_ids=("e", "d"), status="ok", answer=text, error=None,
        attempts=1,
        finish_reason="stop", usage=Usage(prompt_tokens=3), request_fingerprint="f",
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    return replace(record, **values)


def keys(chunk: Chunk) -> list[tuple[str, ...]]:
    return [(f"q{number}",) for number in range(chunk.start, chunk.stop)]


def add(run: Run, chunk: Chunk, *answers: StoredAnswer) -> None:
    journal = run.journal("answers", MODEL, chunk)
    for record in answers:
        journal.append(record)
    journal.close()


def files(run: Run) -> dict[Place, bytes]:
    return {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}


def words(run: Run, chunk: Chunk = CHUNKS[0]) -> dict[str, str]:
    return {key[0]: row["answer"] for key, row in run.stored("answers", MODEL, chunk).items()}


@pytest.fixture(params=["disk", "store"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """A run of five questions in two chunks, in a folder and on an object store."""
    folder = str(tmp_path) if request.param == "disk" else request.getfixturevalue("bucket")
    store = Run(f"{folder}/runs/r1")
    questions = [
        Question(question_id=f"q{n}", question="?", relevant_ids=("d",), relevant_grades=(1,)) for n in range(5)
    ]
    store.write("questions", to_table(questions, QUESTIONS))
    return store


@pytest.fixture
def finished(run: Run) -> Run:
    """The same with every answer in a part."""
    for chunk in CHUNKS:
        add(run, chunk, *(answer(number) for number in range(chunk.start, chunk.stop)))
        run.finish_chunk("answers", MODEL, chunk, keys(chunk))
    return run


on_disk = pytest.mark.parametrize("run", ["disk"], indirect=True)
"""For what only a disk does, or needs a thousand requests."""


@on_disk
def test_a_journal_cut_anywhere_keeps_its_whole_records_and_goes_on(run: Run) -> None:
    add(run, CHUNKS[0], answer(0, "a\nb\r\u2028{}"), answer(1, "ü"), answer(2))
    (path,) = run.path.glob("journal/answers/*.jsonl")
    whole = path.read_bytes()
    ends = [position for position, byte in enumerate(whole) if byte == ord("\n")]
    assert len(ends) == 3
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        # A record is whole from its last brace on, with or without the line's end.
        expected = {f"q{number}" for number, end in enumerate(ends) if cut >= end}
        assert set(words(run)) == expected
        add(run, CHUNKS[0], answer(2, "again"))
        assert set(words(run)) == expected | {"q2"}
        assert words(run)["q2"] == "again"


def test_journal_beats_part_beats_table_and_later_beats_earlier(finished: Run) -> None:
    finished.merge_chunks("answers", ORDER)
    add(finished, CHUNKS[0], answer(0, "part"), answer(1, "part"))
    finished.finish_chunk("answers", MODEL, CHUNKS[0], keys(CHUNKS[0]))
    add(finished, CHUNKS[0], answer(0, "journal"), answer(0, "later"))
    assert words(finished) == {"q0": "later", "q1": "part", "q2": "first"}
    finished.merge_chunks("answers", ORDER)
    assert finished.read("answers")["answer"].to_pylist() == ["later", "part", "first", "first", "first"]


def test_a_finished_chunk_is_one_part_in_the_given_order_and_no_journal(run: Run) -> None:
    add(run, CHUNKS[0], answer(2), answer(0, cost_usd=0.5), answer(1))
    run.finish_chunk("answers", MODEL, CHUNKS[0], keys(CHUNKS[0]))
    (part,) = (path for path in run.path.rglob("*") if path.is_file() and path.name != "questions.parquet")
    table = pq.read_table(readable(part))
    assert table.schema == ANSWERS
    rows = [row | {"context_ids": tuple(row["context_ids"])} for row in table.to_pylist()]  # Arrow has lists
    assert rows == [to_row(answer(0, cost_usd=0.5)), to_row(answer(1)), to_row(answer(2))]


def test_a_part_that_cannot_be_written_leaves_journal_and_earlier_part_as_they_are(run: Run) -> None:
    add(run, CHUNKS[0], answer(0))
    run.finish_chunk("answers", MODEL, CHUNKS[0], keys(CHUNKS[0]))
    add(run, CHUNKS[0], answer(1), answer(2, attempts=None))  # null where the table allows none
    before = files(run)
    with pytest.raises(ValueError, match="attempts"):
        run.finish_chunk("answers", MODEL, CHUNKS[0], keys(CHUNKS[0]))
    assert files(run) == before


@on_disk
def test_the_merged_table_is_one_file_for_every_reader_and_nothing_else_is_left(finished: Run) -> None:
    assert finished.has_unmerged("answers")
    finished.merge_chunks("answers", ORDER)
    assert not finished.has_unmerged("answers")
    assert sorted(path.name for path in finished.path.iterdir()) == ["answers.parquet", "questions.parquet"]
    path = finished.path / "answers.parquet"
    ids = [f"q{number}" for number in range(5)]
    assert pq.read_table(path)["question_id"].to_pylist() == ids
    assert pd.read_parquet(path)["question_id"].tolist() == ids
    with duckdb.connect() as connection:
        found = connection.execute("select question_id, started_at is null from read_parquet(?)", [str(path)])
        assert found.fetchall() == [(question_id, False) for question_id in ids]
    written = path.stat().st_mtime_ns
    finished.merge_chunks("answers", ORDER)
    assert path.stat().st_mtime_ns == written


def test_a_kill_between_writing_the_table_and_cleaning_up_does_no_harm(finished: Run) -> None:
    leftovers = {path: path.read_bytes() for path in finished.path.glob("parts/answers/*")}
    finished.merge_chunks("answers", ORDER)
    merged = finished.read("answers")
    for path, content in leftovers.items():
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    finished.merge_chunks("answers", ORDER)
    assert finished.read("answers") == merged
    assert not (finished.path / "parts").exists()


def test_scores_of_one_question_are_kept_apart_by_metric(run: Run) -> None:
    journal = run.journal("scores", MODEL, CHUNKS[0])
    for metric, value in (("cosine", 0.1), ("judge", 1.0), ("cosine", 0.2)):
        journal.append(
            Score(
                question_id="q0", system=MODEL, metric=metric, status="ok", value=value,
                metric_version="1",
            )
        )  # fmt: skip
    journal.close()
    stored = run.stored("scores", MODEL, CHUNKS[0])
    assert {key: row["value"] for key, row in stored.items()} == {("q0", "cosine"): 0.2, ("q0", "judge"): 1.0}


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"not parquet at all"])
def test_a_damaged_part_is_set_aside_and_counts_as_missing(finished: Run, damage: bytes) -> None:
    part = min(finished.path.glob("parts/answers/*.parquet"))
    part.write_bytes(damage)
    (part.parent / f".{part.name}.1.tmp").write_bytes(b"half")
    notes = finished.repair()
    assert len(notes) == 2
    assert "removed the half-written file parts/answers/." in notes[0]
    assert f"set the damaged file parts/answers/{part.name} aside as *.damaged" in notes[1]
    assert words(finished) == {}
    assert len(words(finished, CHUNKS[1])) == 2
    assert finished.repair() == []
    add(finished, CHUNKS[0], answer(0), answer(1), answer(2))
    finished.merge_chunks("answers", ORDER)
    # What was set aside stays for people to look at, and must not count as work that is left.
    assert not finished.has_unmerged("answers")
    assert finished.read("answers").num_rows == 5


def test_a_damaged_table_is_an_error_for_readers_until_it_is_set_aside(finished: Run) -> None:
    finished.merge_chunks("answers", ORDER)
    table = finished.path / "answers.parquet"
    table.write_bytes(table.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"answers\.parquet cannot be read .* move it away and start the run again"):
        finished.read("answers")
    assert ["answers.parquet aside" in note for note in finished.repair()] == [True]
    assert words(finished) == {}
    with pytest.raises(DataError, match="does not exist"):
        finished.read("answers")


def test_a_damaged_json_file_says_what_to_do_and_a_missing_one_is_empty(run: Run) -> None:
    assert run.read_json("run.json") == {}
    run.write_json("run.json", {"a": "\ud800ü"})
    assert run.read_json("run.json")["a"].endswith("ü")
    (run.path / "run.json").write_text("{")
    with pytest.raises(DataError, match=r"not valid JSON .* move it away to start afresh"):
        run.read_json("run.json")


def test_two_processes_cannot_work_on_the_same_run(run: Run) -> None:
    attempt = f"from rageval.runs.run import Run\nwith Run({run.folder!r}).lock(): print('got it')"
    command = [sys.executable, "-c", attempt]
    with run.lock():
        second = subprocess.run(command, capture_output=True, text=True, check=False)
        assert second.stdout == ""
        assert "RunLockedError: the run 'r1'" in second.stderr
        assert "give another --run-id" in second.stderr
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "got it\n"


def test_an_error_inside_the_lock_is_not_taken_for_one_of_the_lock(run: Run) -> None:
    for error in (PermissionError(13, "documents.json"), TimeoutError("search"), RunLockedError("other")):
        with pytest.raises(type(error)) as raised, run.lock():
            raise error
        assert raised.value is error
    with run.lock():
        pass


def test_an_output_folder_that_cannot_be_written_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Run(str(tmp_path / "file" / "runs" / "r1"))
    with pytest.raises(ConfigError, match=r"cannot be written .*; give a writable one with --output"), store.lock():
        pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_full_disk_is_an_error_and_not_a_lost_record() -> None:
    journal = Journal(Path("/dev/full"))
    with pytest.raises(RunStoppedError, match=r"/dev cannot be written: No space left .*ENOSPC"):
        journal.append(answer(0))
    journal.close()


def _full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@on_disk
@pytest.mark.parametrize("where", ["os.fsync", "pyarrow.parquet.ParquetWriter"])
def test_a_disk_that_is_full_while_a_part_is_written_loses_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    add(run, CHUNKS[0], answer(0))
    run.finish_chunk("answers", MODEL, CHUNKS[0], keys(CHUNKS[0]))
    add(run, CHUNKS[0], answer(1), answer(2))
    before = files(run)

    with monkeypatch.context() as patch:
        patch.setattr(where, _full)
        with pytest.raises(RunStoppedError, match=rf"{run.path}/parts/answers cannot be written: .*ENOSPC"):
            run.finish_chunk("answers", MODEL, CHUNKS[0], keys(CHUNKS[0]))

    assert files(run) == before
    run.finish_chunk("answers", MODEL, CHUNKS[0], keys(CHUNKS[0]))
    assert words(run) == {"q0": "first", "q1": "first", "q2": "first"}


@on_disk
def test_bytes_flipped_anywhere_in_a_part_are_found_or_change_nothing(run: Run) -> None:
    add(run, CHUNKS[0], *(answer(number, f"words {number} " * 20, cost_usd=0.1) for number in range(3)))
    run.finish_chunk("answers", MODEL, CHUNKS[0], keys(CHUNKS[0]))
    part = min(run.path.glob("parts/answers/*.parquet"))
    whole, rows = part.read_bytes(), run.stored("answers", MODEL, CHUNKS[0])
    found = []
    for start in range(0, len(whole), 16):
        part.write_bytes(whole[:start] + bytes(byte ^ 0xFF for byte in whole[start : start + 16]) + whole[start + 16 :])
        notes = run.repair()
        found.append(bool(notes))
        if notes:
            assert f"set the damaged file parts/answers/{part.name} aside as *.damaged, and " in notes[0]
            assert "asked for again" in notes[0]
            assert run.stored("answers", MODEL, CHUNKS[0]) == {}
        else:
            assert run.stored("answers", MODEL, CHUNKS[0]) == rows
    # What is not found changed nothing: the pages are under their checksums, but their headers repeat the least and
    # the greatest value, which no reader of all rows looks at.
    pages = (len(whole) - int.from_bytes(whole[-8:-4], "little") - 8) // 16
    assert sum(found[:pages]) > 0.75 * pages


def test_flipped_bytes_in_a_merged_table_are_found_and_counted(finished: Run) -> None:
    finished.merge_chunks("answers", ORDER)
    table = finished.path / "answers.parquet"
    content = bytearray(table.read_bytes())
    middle = (len(content) - int.from_bytes(content[-8:-4], "little")) // 2
    content[middle] ^= 0xFF
    table.write_bytes(content)
    (note,) = finished.repair()
    assert "answers.parquet aside as *.damaged, and its 5 answers will be asked for again" in note
    assert words(finished) == {}


def test_torn_journals_are_counted_and_end_with_a_whole_record(run: Run) -> None:
    for chunk in CHUNKS:
        add(run, chunk, *(answer(number) for number in range(chunk.start, chunk.stop)))
    for path in run.path.glob("journal/answers/*.jsonl"):
        path.write_bytes(path.read_bytes()[:-5])
    assert run.repair() == ["the last record of 2 journals was cut short and is asked again"]
    assert set(words(run)) == {"q0", "q1"}
    assert run.repair() == []
    add(run, CHUNKS[0], answer(2, "again"))
    assert words(run)["q2"] == "again"


def test_a_damaged_record_inside_a_journal_is_reported_once_and_the_others_stay(run: Run) -> None:
    add(run, CHUNKS[0], answer(0), answer(1), answer(2))
    (path,) = run.path.glob("journal/answers/*.jsonl")
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([lines[0], b'{"question_id": 1}', *lines[2:]]))
    assert run.repair() == ["1 record of journals could not be read and are asked again"]
    assert set(words(run)) == {"q0", "q2"}
    assert run.repair() == []


def test_a_store_travels_between_processes(run: Run) -> None:
    assert pickle.loads(pickle.dumps(run)) == run
