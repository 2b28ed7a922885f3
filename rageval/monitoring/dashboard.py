"""The monitoring database -> the figures of every panel in a window."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from rageval.errors import ConfigError
from rageval.monitoring.figures import Board, Description, Figure, Filter, PageWindow, last_days, shown_name
from rageval.monitoring.page import Dashboard
from rageval.monitoring.panels.catalogue import choices, panels
from rageval.monitoring.panels.scope import Scope
from rageval.monitoring.store.database import Database


def dashboard(
    database: Database, days: float, now: datetime, systems: Sequence[str] = (), filter_values: Sequence[str] = (),
    *, visitors: bool = True,
) -> Dashboard:  # fmt: skip
    """Return what the page of the last days shows.

    Args:
        database: With its tables.
        days: Length of the window, more than 0.
        now: Its end, with its zone.
        systems: Those that count; empty for all.
        filter_values: Those that count; empty for all.
        visitors: Whether votes of visitors count.

    Raises:
        ConfigError: If a system or a filter value does not occur in the window.
        ServiceError: If the database cannot be reached or used.
    """
    window = replace(last_days(days, now, systems, filter_values), visitors=visitors)
    _check(database, window)
    return Dashboard(window=window, database=database.name, made_at=now, figures=figures(database, window))


def figures(database: Database, window: PageWindow) -> list[Figure]:
    """Return every panel's rows, in the order of the dashboards; all of one moment.

    Raises:
        ServiceError: If the database cannot be reached or used.
    """
    with database.reading() as connection:
        found = []
        for panel in panels():
            rows = connection.execute(panel.select(Scope.of(window))).mappings()
            columns = tuple(rows.keys())
            description: Description = panel.description
            found.append(Figure(description=description, columns=columns, rows=[dict(row) for row in rows]))
        return found


def _check(database: Database, window: PageWindow) -> None:
    chosen: dict[Filter, tuple[str, ...]] = {"system": window.systems, "filter_value": window.filter_values}
    with database.reading() as connection:
        for what, names in chosen.items():
            if not names:
                continue
            boards: tuple[Board, ...] = ("operations", "offline-runs")
            known = [
                name
                for board in boards
                for name in connection.execute(choices(Scope.of(window), board, what)).scalars()
            ]
            if unknown := [name for name in names if name not in known]:
                name = shown_name(what)
                there = ", ".join(sorted(set(known))) or f"no {name} at all"
                raise ConfigError(f"no conversation of the window has the {name} {unknown[0]!r}; there is {there}")
