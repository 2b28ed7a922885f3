"""What is stored of conversations: once however often it is sent, the latest vote, nothing that was forgotten."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from rageval.errors import DataError
from rageval.monitoring.store.conversations import (
    add_conversations,
    add_evaluations,
    add_votes,
    forget,
    forget_before,
    forgotten_conversations,
    read_conversation,
    without_evaluation,
)
from rageval.monitoring.store.database import Database
from rageval.monitoring.store.schema import CONVERSATIONS, EVALUATIONS, FEEDBACK, METADATA, REVIEWS, TOPICS
from tests.monitoring.made import NOW, conversation, evaluation, id_of, vote
from tests.processes import eventually


def rows(database: Database, table: sa.Table) -> list[dict[str, Any]]:
    with database.reading() as connection:
        return [dict(row) for row in connection.execute(sa.select(table)).mappings()]


def test_a_conversation_comes_back_as_it_was_stored(database: Database) -> None:
    stored = conversation(answer="'; drop table conversations; -- <script>", cost_usd=None, trace_id="f" * 32)

    assert add_conversations(database, [stored, conversation(1, status="failed", answer=None, contexts=())]) == 2
    assert read_conversation(database, id_of(0)) == stored
    assert read_conversation(database, id_of(2)) is None
    # 1.1 s are 1,100 times the first bucket's end: log(1100) / log(1.1) = 73.5, so the 74th.
    assert [(row["top_score"], row["latency_bucket"]) for row in rows(database, CONVERSATIONS)] == [
        (0.75, 74), (None, 74),
    ]  # fmt: skip


def test_a_conversation_that_is_sent_again_changes_nothing(database: Database) -> None:
    add_conversations(database, [conversation()])

    assert add_conversations(database, [conversation(answer="another"), conversation(1), conversation(1)]) == 1
    assert read_conversation(database, id_of(0)) == conversation()


def test_characters_that_no_database_takes_are_replaced(database: Database) -> None:
    add_conversations(database, [conversation(question="a\0b", answer="half \ud83d of a pair, whole \U0001f600")])
    found = read_conversation(database, id_of(0))

    assert found is not None
    assert (found.question, found.answer) == ("a\N{REPLACEMENT CHARACTER}b", "half � of a pair, whole \U0001f600")


def test_the_vote_given_last_counts_whenever_it_comes(database: Database) -> None:
    add_conversations(database, [conversation(0), conversation(1)])

    assert add_votes(database, [vote(thumbs=1), vote(1, thumbs=1), vote(thumbs=1, voter="v2")]) == 3
    assert add_votes(database, [vote(thumbs=-1, minutes=2, comment="wrong"), vote(thumbs=1, minutes=1)]) == 1
    assert add_votes(database, [vote(thumbs=1, minutes=1)]) == 0, "it is older than what is stored"
    assert add_votes(database, [vote(thumbs=-1, minutes=2, comment="wrong")]) == 0, "it is what is stored"
    assert add_votes(database, [vote(7)]) == 0, "there is no such conversation"
    assert {(row["conversation_id"], row["voter"], row["thumbs"]) for row in rows(database, FEEDBACK)} == {
        (id_of(0), "v1", -1), (id_of(0), "v2", 1), (id_of(1), "v1", 1),
    }  # fmt: skip


def test_an_evaluation_is_stored_once_a_version_and_only_one_without_a_verdict_is_replaced(database: Database) -> None:
    add_conversations(database, [conversation()])

    assert add_evaluations(database, [evaluation(status="failed", value=None), evaluation(3)]) == 1
    assert add_evaluations(database, [evaluation(status="unscored", value=None, label="?")]) == 1
    assert add_evaluations(database, [evaluation()]) == 1
    assert add_evaluations(database, [evaluation(status="unscored", value=None)]) == 0
    assert add_evaluations(database, [evaluation(metric_version="2"), evaluation(judge="k")]) == 2
    found = rows(database, EVALUATIONS)
    assert {(row["metric_version"], row["judge"], row["status"]) for row in found} == {
        ("1", "j", "ok"), ("2", "j", "ok"), ("1", "k", "ok"),
    }  # fmt: skip
    assert {(row["asked_at"], row["system"], row["filter_value"]) for row in found} == {(NOW, "s1", "c")}


def test_what_is_left_to_judge_is_answered_recent_and_not_judged_by_this_version(database: Database) -> None:
    failed = conversation(5, status="failed", answer=None)
    add_conversations(database, [*(conversation(number) for number in (4, 3, 2, 1, 0)), failed])
    add_evaluations(database, [evaluation(1), evaluation(2, status="failed"), evaluation(3, metric_version="0")])

    def left(**options: Any) -> list[str]:
        asked = {"since": NOW, "limit": 10, **options}
        return [found.question for found in without_evaluation(database, "relevance", "1", "j", **asked)]

    assert left() == ["What is 0?", "What is 3?", "What is 4?", "What is 2?"], "what has failed comes last"
    assert left(limit=1, since=NOW + timedelta(seconds=1)) == ["What is 3?"]


def test_a_forgotten_conversation_is_gone_from_every_table(database: Database) -> None:
    add_conversations(database, [conversation(0), conversation(1)])
    for number in (0, 1):
        add_votes(database, [vote(number)])
        add_evaluations(database, [evaluation(number)])
        with database.writing() as connection:
            review = {"conversation_id": id_of(number), "decision": "dismissed", "reviewed_at": NOW}
            connection.execute(sa.insert(REVIEWS), review)
    about = [table for table in METADATA.tables.values() if "conversation_id" in table.c and table.name != "forgotten"]

    assert len(about) == 4
    assert [forget(database, id_of(0)), forget(database, id_of(0))] == [True, False]
    for table in about:
        assert {row["conversation_id"] for row in rows(database, table)} == {id_of(1)}, table.name
    assert forget_before(database, NOW + timedelta(seconds=1)) == 0, "one that is as old is kept"
    assert forget_before(database, NOW + timedelta(seconds=1, microseconds=1)) == 1
    assert [rows(database, table) for table in about] == [[]] * 4


def test_what_was_forgotten_does_not_come_back(database: Database) -> None:
    add_conversations(database, [conversation(0), conversation(1)])
    topic = {"version": "1", "centre": [1.0], "embedding_model": "m", "made_at": NOW}
    with database.writing() as connection:
        named = [{"topic": f"1-{n}", "title": f"What is {n}?", **topic} for n in (0, 1)]
        connection.execute(sa.insert(TOPICS), named)

    assert [forget(database, id_of(0)), forget(database, id_of(2))] == [True, False]
    assert add_conversations(database, [conversation(number) for number in range(4)]) == 1
    assert add_votes(database, [vote(number) for number in range(4)]) == 2
    assert add_evaluations(database, [evaluation(number) for number in range(4)]) == 2
    for table in (CONVERSATIONS, FEEDBACK, EVALUATIONS):
        assert {row["conversation_id"] for row in rows(database, table)} == {id_of(1), id_of(3)}, table.name
    assert forgotten_conversations(database, map(id_of, range(4))) == {id_of(0), id_of(2)}
    assert {row["title"] for row in rows(database, TOPICS)} == {"1-0", "What is 1?"}


@pytest.mark.parametrize("first", ["add", "forget"])
def test_forgetting_and_storing_at_once_end_in_nothing_stored(database: Database, first: str) -> None:
    if database.is_postgres:  # where a transaction sees nothing of those that end after its first statement
        with database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            name = database.engine.url.database
            connection.exec_driver_sql(f"alter database {name} set default_transaction_isolation = 'repeatable read'")
        database.close()
    acts: dict[str, Callable[[], object]] = {
        "add": lambda: add_conversations(database, [conversation(0), conversation(1)]),
        "forget": lambda: forget(database, id_of(0)),
    }
    last_words = {"add": "INSERT INTO conversations", "forget": "DELETE FROM conversations"}[first]
    second = threading.Thread(target=acts["forget" if first == "add" else "add"])

    def is_stopped() -> bool:
        if not database.is_postgres:  # it stands still at its first statement, or goes on before it is too late
            return True
        with database.reading() as connection:
            waits = connection.exec_driver_sql("select 1 from pg_locks where locktype = 'advisory' and not granted")
            return waits.first() is not None or not second.is_alive()

    @sa.event.listens_for(database.engine, "before_cursor_execute")
    def begin_second(_: Any, __: Any, statement: str, *___: Any) -> None:
        if statement.startswith(last_words) and not second.ident:
            second.start()
            eventually("the other one", is_stopped)

    acts[first]()
    second.join()

    assert [row["conversation_id"] for row in rows(database, CONVERSATIONS)] == [id_of(1)]


def test_a_row_that_is_refused_says_why_and_takes_the_others_along(database: Database) -> None:
    with pytest.raises(DataError, match="refuses a row"):
        add_conversations(database, [conversation(0), conversation(1, status="odd")])
    with pytest.raises(DataError, match="a time without a zone"):
        add_conversations(database, [conversation(0, asked_at=datetime(2026, 1, 1))])
    assert rows(database, CONVERSATIONS) == []


def test_thousands_are_stored_and_voted_on_in_one_call(database: Database) -> None:
    numbers = range(2_500)

    assert add_conversations(database, map(conversation, numbers)) == 2_500
    assert add_votes(database, map(vote, numbers)) == 2_500
    assert add_evaluations(database, map(evaluation, numbers)) == 2_500
    assert len(without_evaluation(database, "faithfulness", "1", "j", since=NOW, limit=5_000)) == 2_500
