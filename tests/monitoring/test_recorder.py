"""What a process records is stored: through a database that dies, a process that does, and a disk that is full."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from rageval.monitoring.store.conversations import add_conversations, forget, read_conversation
from rageval.monitoring.store.database import Database, connect
from rageval.monitoring.store.recorder import Recorder
from rageval.monitoring.store.schema import CONVERSATIONS, FEEDBACK
from rageval.monitoring.store.spool import REFUSED, Spool, forget_records, read_records
from tests.monitoring.made import conversation, id_of, vote
from tests.postgres import new_postgres
from tests.processes import eventually

NOBODY = "postgresql://user:word@127.0.0.1:1/monitoring"
"""Nobody listens there."""


def stored(database: Database) -> Counter[str]:
    with database.reading() as connection:
        return Counter(connection.execute(sa.select(CONVERSATIONS.c.conversation_id)).scalars())


def thumbs(database: Database) -> dict[str, int]:
    with database.reading() as connection:
        return dict(connection.execute(sa.select(FEEDBACK.c.conversation_id, FEEDBACK.c.thumbs)).tuples().all())


def ids(numbers: range) -> Counter[str]:
    return Counter(map(id_of, numbers))


def test_what_is_recorded_is_stored_by_the_end_and_redacted(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    with Recorder(database_url, tmp_path / "spool") as recorder:
        recorder.record(conversation(0, question="I am ada@example.org", answer="Use sk-abcdefghijklmnop1234"))
        recorder.vote(vote(0, -1, comment="mail ada@example.org"))
        for number in range(1, 500):
            recorder.record(conversation(number))

    assert (recorder.state.stored, recorder.state.spooled, recorder.state.waiting) == (501, 0, 0)
    assert stored(database) == ids(range(500))
    found = read_conversation(database, id_of(0))
    assert found is not None
    assert (found.question, found.answer) == ("I am [e-mail]", "Use [key]")
    with database.reading() as connection:
        assert connection.execute(sa.select(FEEDBACK.c.comment)).scalars().all() == ["mail [e-mail]"]
    assert list((tmp_path / "spool").iterdir()) == []
    with pytest.raises(RuntimeError, match="the recorder is closed"):
        recorder.record(conversation(1))


def test_a_database_that_is_killed_and_comes_back_loses_and_doubles_nothing(tmp_path: Path) -> None:
    with new_postgres() as server:
        with server.running() as process:
            url = server.new_url()
            recorder = Recorder(url, tmp_path)
            for number in range(300):
                recorder.record(conversation(number))
            eventually("the first ones", lambda: recorder.state.stored > 0)
            os.killpg(process.pid, signal.SIGKILL)
            for number in range(300, 600):  # with whatever of the first ones is on its way
                recorder.record(conversation(number))
                recorder.vote(vote(number))
        eventually("the spool", lambda: recorder.state.waiting == 0)
        assert recorder.state.spooled > 0
        assert recorder.state.stored + recorder.state.spooled >= 900
        assert not recorder.state.reachable
        with server.running():
            recorder.vote(vote(0, -1))
            eventually("the database", lambda: recorder.state.reachable)
            recorder.record(conversation(600))
            recorder.close()
            database = connect(url)
            assert stored(database) == ids(range(601))
            assert thumbs(database) == {id_of(0): -1, **{id_of(number): 1 for number in range(300, 600)}}
            database.close()
    assert (recorder.state.lost, recorder.state.refused) == (0, 0)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_stored_by_the_next_one_but_not_what_a_living_one_keeps(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    spool_path = tmp_path / "spool"
    code = (
        "import os, signal\n"
        "from rageval.monitoring.store.spool import Spool\n"
        "from tests.monitoring.made import conversation, vote\n"
        f"spool = Spool({str(spool_path)!r})\n"
        "spool.add([vote(3)])\n"
        "for number in range(5): spool.add([conversation(number)])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    [left] = spool_path.glob("*.jsonl")
    with left.open("a") as file:
        file.write('{"Conversation": {"conversation_id": "torn')  # as by a kill within a write
    living = Spool(spool_path)
    living.add([conversation(9)])

    Recorder(database_url, spool_path).close()
    assert stored(database) == ids(range(5))
    assert thumbs(database) == {id_of(3): 1}, "though the vote stands before its conversation"
    assert not left.exists()

    living.close()
    Recorder(database_url, spool_path).close()
    assert stored(database) == ids(range(5)) + ids(range(9, 10))
    assert list(spool_path.iterdir()) == []


def test_a_vote_waits_for_its_conversation_but_not_for_ever(
    database: Database, database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = datetime.now(UTC)
    with Recorder(database_url, tmp_path) as recorder:
        recorder.vote(replace(vote(0), given_at=now))
        recorder.vote(replace(vote(1), given_at=now - timedelta(hours=2)))
    assert "Votes on conversations that do not exist were dropped: 1" in caplog.text
    assert len(list(tmp_path.glob("*.jsonl"))) == 1

    add_conversations(database, [conversation(0), conversation(1)])  # as another process would
    Recorder(database_url, tmp_path).close()
    assert thumbs(database) == {id_of(0): 1}


def test_a_record_that_the_database_refuses_is_put_aside_and_holds_up_no_other(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    with Recorder(database_url, tmp_path) as recorder:
        for number in range(150):
            recorder.record(conversation(number, status="odd" if number == 70 else "ok"))
        recorder.record(conversation(150, prompt_tokens=2**80))

    assert stored(database) == ids(range(150)) - ids(range(70, 71))
    assert (recorder.state.refused, recorder.state.stored) == (2, 149)
    lines = [json.loads(line) for line in (tmp_path / REFUSED).read_text().split("\n") if line]
    assert [line["Conversation"]["conversation_id"] for line in lines] == [id_of(70), id_of(150)]


def test_what_waits_for_a_forgotten_conversation_is_dropped_and_counted(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    spool_path = tmp_path / "spool"
    left = Spool(spool_path)  # of another machine, where nobody can remove anything from it
    left.add([conversation(0), vote(0, comment="mine"), conversation(1), vote(1)])
    left.add([replace(vote(2), given_at=datetime.now(UTC))])
    left.close()
    forget(database, id_of(0))
    forget(database, id_of(2))

    with Recorder(database_url, spool_path) as recorder:
        recorder.record(conversation(0, status="odd"))  # it would be refused, and kept in a file
        recorder.record(conversation(3))
    assert (recorder.state.forgotten, recorder.state.stored, recorder.state.refused) == (4, 3, 0)
    assert stored(database) == Counter([id_of(1), id_of(3)])
    assert thumbs(database) == {id_of(1): 1}
    assert list(spool_path.iterdir()) == [], "a vote on a forgotten conversation waits for nothing"


def test_a_conversation_is_forgotten_while_the_spool_is_emptied_after_a_stop(tmp_path: Path) -> None:
    with new_postgres() as server:
        with server.running():
            url = server.new_url()
            database = connect(url)
            database.migrate()
            database.close()
        with Recorder(url, tmp_path) as recorder:
            for number in range(300):
                recorder.record(conversation(number))
                recorder.vote(vote(number))
            eventually("the spool", lambda: recorder.state.waiting == 0)
            with server.running():
                for number in range(0, 300, 50):
                    forget(database, id_of(number))
                recorder.close()
                kept = ids(range(300)) - ids(range(0, 300, 50))
                assert stored(database) == kept
                assert thumbs(database) == dict.fromkeys(kept, 1)
                database.close()
    assert list(tmp_path.iterdir()) == []


def test_what_was_put_aside_or_waits_is_removed_from_the_files_and_nothing_else(tmp_path: Path) -> None:
    evil = f'{{"conversation_id": "{id_of(0)}"}} "conversation_id": "{id_of(0)}"'
    kept = [conversation(1, question=evil), vote(1, comment=evil)]
    spool = Spool(tmp_path)
    spool.add([conversation(0, question="secret \u2028 one"), kept[0], vote(0, comment="secret two")])
    spool.refuse([kept[1], conversation(0, status="odd", question="secret three")])
    with (tmp_path / REFUSED).open("a") as file:
        file.write(f'{{"Vote": {{"conversation_id": "{id_of(0)}", "comment": "secret four')  # as by a kill

    assert [forget_records(tmp_path, id_of(0)), forget_records(tmp_path, id_of(0))] == [4, 0]
    spool.add([vote(2)])
    [waiting] = spool.files()
    assert list(read_records(waiting)) == [kept[0], vote(2)]
    assert list(read_records(tmp_path / REFUSED)) == [kept[1]]
    assert "secret" not in waiting.read_text() + (tmp_path / REFUSED).read_text()
    assert forget_records(tmp_path / "nowhere", id_of(0)) == 0


def test_a_queue_that_is_full_makes_nobody_wait_and_loses_nothing(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    with Recorder(database_url, tmp_path, queue_size=5) as recorder:
        writers = [
            threading.Thread(target=lambda first=first: [recorder.record(conversation(first + n)) for n in range(200)])
            for first in (0, 200, 400)
        ]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()

    assert recorder.state.spooled > 0
    assert stored(database) == ids(range(600))


def test_without_database_and_disk_the_loss_is_counted_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(NOBODY, tmp_path / "spool")
    (tmp_path / "spool").rename(tmp_path / "away")
    recorder.record(conversation())
    eventually("the loss", lambda: recorder.state.lost == 1)
    (tmp_path / "away").rename(tmp_path / "spool")
    recorder.record(conversation(1))
    recorder.close()

    assert "neither database nor disk takes them: 1" in caplog.text
    assert "word" not in caplog.text, "the password"
    [file] = (tmp_path / "spool").glob("*.jsonl")
    assert list(read_records(file)) == [conversation(1)]


def test_what_the_spool_keeps_comes_back_as_it_was(tmp_path: Path) -> None:
    records = [
        conversation(0, answer=None, cost_usd=None, contexts=(), question="a\0 \ud83d \n {\"Vote\": 1}"),
        vote(0, comment="line\u2028end"),
        conversation(1),
    ]  # fmt: skip
    spool = Spool(tmp_path)
    spool.add(records[:1])
    spool.add(records[1:])
    [file] = spool.files()

    assert list(read_records(file)) == records
    assert not spool.is_empty()
