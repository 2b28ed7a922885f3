"""An empty monitoring database on SQLite and on Postgres, so that each test holds for both."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rageval.monitoring.store.database import Database, connect


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'monitoring.db'}"
    return str(request.getfixturevalue("postgres").new_url())


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database with its tables, and nothing in them."""
    database = connect(database_url)
    database.migrate()
    yield database
    database.close()
