"""What a dashboard shows: the words around a figure, and the rows that it is drawn from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from rageval.errors import ConfigError

Board = Literal["quality", "operations", "offline-runs"]
Kind = Literal["stat", "timeseries", "bars", "table"]
Unit = Literal["share", "usd", "s", "count", "score"]
Filter = Literal["system", "filter_value"]

NO_FILTER: Final = "no filter"
"""What a conversation without a filter value counts as, where filter values are chosen or listed."""
STEPS_S: Final[Mapping[str, int]] = {"hour": 3600, "day": 86_400, "week": 604_800}
"""Seconds of the steps of time that figures may have; days begin at midnight UTC, weeks on Monday."""
COLUMN_UNITS: Final[Mapping[str, Unit]] = {
    **dict.fromkeys(("share", "low", "high", "before", "failed", "relevant", "liked"), "share"),
    **dict.fromkeys(("n", "n before", "asked", "judged", "votes", "tokens", "against it", "thumbs up"), "count"),
    **dict.fromkeys(("thumbs down", "questions", "scored", "unscored"), "count"),
    **dict.fromkeys(("p95", "took"), "s"),
    **dict.fromkeys(("cost", "cost of 1,000"), "usd"),
    **dict.fromkeys(("mean", "ci low", "ci high", "kappa", "value", "bound"), "score"),
}
"""Units of the columns that hold numbers, in every table; the others hold text or times."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a panel shows, in words."""

    name: str
    """Unique among all panels."""
    board: Board
    title: str
    text: str
    """What is counted, how, and how to read it."""
    kind: Kind
    """What the rows are drawn as.

    A `stat` has one row: `now`, `low` and `high` (if it has an interval), `n`, and `before`, its value in the window of
    the same length before. A `timeseries` has `time` and either `share`, `low`, `high`, `n`, or several numbers, or
    `metric` and `value` for as many lines as there are metrics. `bars` has `time`, `metric` and `value`.
    """
    unit: Unit
    """Of the numbers that are drawn; the columns of a table have those of `COLUMN_UNITS`."""
    filters: frozenset[Filter] = frozenset({"system", "filter_value"})
    """Which choices change the figure; the text says why where one does not."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A panel with its rows."""

    description: Description
    columns: Sequence[str]
    rows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class PageWindow:
    """What is looked at: a stretch of time, and which conversations in it."""

    since: datetime
    """With its zone."""
    until: datetime
    """Exclusive."""
    systems: tuple[str, ...] = ()
    """Empty for all."""
    filter_values: tuple[str, ...] = ()
    """Empty for all; `NO_FILTER` for conversations without one."""
    step: str = "day"
    """One of `STEPS_S`."""
    visitors: bool = True
    """Whether votes of visitors count, who may be anybody."""

    def __post_init__(self) -> None:
        if self.since >= self.until:
            raise ConfigError(f"a dashboard ends after it begins; got {self.since} to {self.until}")

    @property
    def before(self) -> datetime:
        """Where the window of the same length before this one begins."""
        return self.since - (self.until - self.since)


def shown_name(what: str) -> str:
    """Return a column as it is shown to people: `filter value` for `filter_value`."""
    return what.replace("_", " ")


def last_days(
    days: float, until: datetime, systems: Sequence[str] = (), filter_values: Sequence[str] = ()
) -> PageWindow:
    """Return the window of the last days, in steps that give 7 to 100 points where possible."""
    step = "hour" if days <= 3 else "day" if days <= 100 else "week"
    since = until - timedelta(days=days)
    return PageWindow(since=since, until=until, systems=tuple(systems), filter_values=tuple(filter_values), step=step)
