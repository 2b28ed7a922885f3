"""The schema from nothing to today's and back, two processes that make it at once, and what a wrong URL is told."""

import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from rageval.errors import ConfigError, DataError, ServiceError
from rageval.monitoring.store.database import Database, connect, open_database
from rageval.monitoring.store.schema import METADATA

PASSWORD = "hunter2hunter2"


def test_the_migrations_end_in_the_schema_that_the_code_knows(database: Database) -> None:
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
        checks = {
            (table, check["name"])
            for table in METADATA.tables
            for check in sa.inspect(connection).get_check_constraints(table)
        }

    assert checks == {
        (table.name, str(check.name))
        for table in METADATA.tables.values()
        for check in table.constraints
        if isinstance(check, sa.CheckConstraint)
    }


def test_the_migrations_lead_back_to_an_empty_database(database: Database) -> None:
    with database.writing() as connection:
        command.downgrade(database.migrations(connection), "base")

    with database.reading() as connection:
        assert set(sa.inspect(connection).get_table_names()) == {"alembic_version"}
    database.migrate()
    with database.reading() as connection:
        assert set(METADATA.tables) < set(sa.inspect(connection).get_table_names())


def test_processes_that_start_at_once_make_the_tables_once(database_url: str) -> None:
    code = f"from rageval.monitoring.store.database import open_database; open_database({database_url!r})"
    starting = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) for _ in range(3)]

    assert [(process.communicate()[1], process.returncode) for process in starting] == [("", 0)] * 3
    database = connect(database_url)
    with database.reading() as connection:
        assert connection.execute(sa.text("select count(*) from alembic_version")).scalar_one() == 1
    database.close()


def test_a_schema_of_a_later_version_is_left_alone(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(sa.text("update alembic_version set version_num = '9999'"))

    with pytest.raises(ConfigError, match=r"not known to this version .*install the version that wrote it"):
        database.migrate()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (f"not a url {PASSWORD}", "is not the URL of a database; expected sqlite:///"),
        (f"mysql://user:{PASSWORD}@host/db", "of the kind 'mysql'; expected sqlite:///"),
        (f"postgresql://user:{PASSWORD}@host:port/db", "is not the URL of a database"),
    ],
)
def test_a_wrong_url_is_told_what_a_right_one_looks_like_and_never_shown(url: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as raised:
        open_database(url)
    assert PASSWORD not in str(raised.value)


@pytest.mark.parametrize("host", ["127.0.0.1:1", "nowhere.invalid"])
def test_a_server_that_is_not_there_is_named_without_its_password(host: str) -> None:
    with pytest.raises(ServiceError, match=r"cannot be used: .*check MONITORING_DATABASE_URL") as raised:
        open_database(f"postgresql://user:{PASSWORD}@{host}/db")
    assert host.partition(":")[0] in str(raised.value)
    assert PASSWORD not in str(raised.value)
    assert raised.value.__suppress_context__, "the driver's own error holds the URL"


def test_a_password_that_the_server_refuses_is_not_shown(request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("postgres").new_url().replace("onlyForThisTest1", PASSWORD)

    with pytest.raises(ServiceError, match="password authentication failed") as raised:
        open_database(url)
    assert PASSWORD not in str(raised.value)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("These are notes, and no database at all. " * 100)

    with pytest.raises(ServiceError, match=r"notes.db cannot be used: file is not a database"):
        open_database(f"sqlite:///{tmp_path / 'notes.db'}")


def test_what_fails_within_a_change_leaves_nothing_behind(database: Database) -> None:
    topic = {"topic": "t", "version": "1", "title": "T", "centre": [1.0], "embedding_model": "m"}
    statement = "insert into topics (topic, version, title, centre, embedding_model, made_at) values " + (
        "(:topic, :version, :title, '[]', :embedding_model, '2026-01-01')"
    )

    def store_twice() -> None:
        with database.writing() as connection:
            connection.execute(sa.text(statement), topic)
            connection.execute(sa.text(statement), topic)

    with pytest.raises(DataError, match="refuses a row"):
        store_twice()

    with database.reading() as connection:
        assert connection.execute(sa.text("select count(*) from topics")).scalar_one() == 0
