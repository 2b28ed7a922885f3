"""The monitoring database: SQLite in the output folder, or Postgres where MONITORING_DATABASE_URL says so."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import exc
from sqlalchemy.engine import Connection, Engine, make_url

from rageval.errors import ConfigError, DataError, ServiceError
from rageval.safety.urls import shown
from rageval.storage.writable import check_writable

VARIABLE = "MONITORING_DATABASE_URL"
"""The environment variable that names the database."""
DEFAULT_URL = "sqlite:///runs/monitoring.db"
_DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg", "sqlite": "sqlite"}
_BUSY_S = 30
_CONNECT_S = 5
_MIGRATING = 7261
_CACHE_KIB = 64 * 1024
"""Of SQLite: with its own 2 MiB, weeks of traffic are read from the file again for every index that they stand in."""
_WRITES = {"writes": True}


def database_url() -> str:
    """Return where the environment says the database is; may hold a password, so it is never shown."""
    return os.environ.get(VARIABLE, "").strip() or DEFAULT_URL


def is_configured() -> bool:
    """Return whether the environment names a database."""
    return bool(os.environ.get(VARIABLE, "").strip())


@cache
def open_database(url: str) -> "Database":
    """Return the process's pool of connections to a database, its schema brought up to date first.

    Args:
        url: Such as `sqlite:///runs/monitoring.db` or `postgresql://user:password@host/monitoring`.

    Raises:
        ConfigError: If the URL is none, of another kind of database, or the schema is newer than this version.
        ServiceError: If the database cannot be reached or used.
    """
    database = connect(url)
    database.migrate()
    return database


def connect(url: str) -> "Database":
    """Return a pool of connections without looking at the schema, and without reaching the server yet.

    Raises:
        ConfigError: If the URL is none, or of another kind of database.
    """
    try:
        parsed = make_url(url)
    except (exc.ArgumentError, ValueError):
        raise ConfigError(f"{VARIABLE} is not the URL of a database; {_EXAMPLES}") from None
    driver = _DRIVERS.get(parsed.drivername.partition("+")[0])
    if driver is None:
        raise ConfigError(f"{VARIABLE} names a database of the kind {parsed.drivername!r}; {_EXAMPLES}")
    parsed = parsed.set(drivername=driver)
    if driver == "sqlite":
        if parsed.database and parsed.database != ":memory:":
            folder = Path(parsed.database).parent
            check_writable(folder, "the folder of the monitoring database", f"name another database in {VARIABLE}")
            folder.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(parsed, connect_args={"timeout": _BUSY_S})
        sa.event.listen(engine, "connect", _set_up_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
        return Database(engine)
    try:
        return Database(
            sa.create_engine(
                parsed,
                pool_pre_ping=True,
                isolation_level="READ COMMITTED",  # whoever has waited for a lock sees what was changed meanwhile
                connect_args={"connect_timeout": _CONNECT_S},
                pool_timeout=10,
            )
        )
    except (ImportError, exc.NoSuchModuleError):
        raise ConfigError("Postgres needs its driver; install it with: pip install 'rageval[postgres]'") from None


_EXAMPLES = "expected sqlite:///path/to/file.db or postgresql://user:password@host/database"


class Database:
    """A pool of connections; threads may share it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @property
    def name(self) -> str:
        """Kind and place of the database, without user, password and parameters."""
        return shown(self.engine.url.render_as_string(hide_password=True))

    @property
    def is_postgres(self) -> bool:
        """Whether it is Postgres, and SQLite otherwise."""
        return self.engine.dialect.name == "postgresql"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection for questions.

        Raises:
            ServiceError: If the database cannot be reached or used.
        """
        with self._translated(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a connection whose changes are kept as a whole, or not at all if the block fails.

        Raises:
            ServiceError: If the database cannot be reached or used.
            DataError: If it refuses a row; others may be fine.
        """
        engine = self.engine.execution_options(**_WRITES)
        with self._translated(), engine.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self.engine.dispose()

    def migrate(self) -> None:
        """Bring the schema up to date.

        Raises:
            ConfigError: If it is newer than this version knows.
            ServiceError: If the database cannot be reached or used.
        """
        try:
            with self.writing() as connection:
                if self.is_postgres:  # two processes that start at once must not both create the tables
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATING)))
                command.upgrade(self.migrations(connection), "head")
        except CommandError as error:
            raise ConfigError(
                f"the schema of {self.name} is not known to this version ({error}); install the version that wrote it"
            ) from error

    def migrations(self, connection: Connection) -> Config:
        """Return what Alembic's commands take to work in the transaction of a connection."""
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
        config.attributes["connection"] = connection
        return config

    @contextmanager
    def _translated(self) -> Iterator[None]:
        # The driver's first line names hosts and columns. Values and passwords stand in the lines after it and in the
        # statement, which are left out, as is the error itself.
        try:
            yield
        except (exc.DataError, exc.IntegrityError) as error:
            raise DataError(f"the monitoring database {self.name} refuses a row: {_first_line(error.orig)}") from None
        except exc.DBAPIError as error:
            raise ServiceError(
                f"the monitoring database {self.name} cannot be used: {_first_line(error.orig)}; check {VARIABLE}, "
                "and that the server runs"
            ) from None
        except exc.StatementError as error:  # before the driver was asked: a value that is none for its column
            raise DataError(f"a row cannot be stored in {self.name}: {_first_line(error.orig)}") from None
        except exc.SQLAlchemyError as error:
            raise ServiceError(f"the monitoring database {self.name} cannot be used: {_first_line(error)}") from None


def _first_line(error: BaseException | None) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _set_up_sqlite(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # the driver begins no transactions of its own: see _begin_sqlite
    for pragma in ("foreign_keys=on", "journal_mode=wal", "synchronous=normal", f"cache_size=-{_CACHE_KIB}"):
        connection.execute(f"pragma {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    """Take the lock of a change at its start: one that has read first could not wait for it any more."""
    connection.exec_driver_sql("begin immediate" if connection.get_execution_options().get("writes") else "begin")
