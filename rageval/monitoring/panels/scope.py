"""What a panel looks at, as SQL: bound values for a window, or Grafana's macros and variables."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from rageval.monitoring.figures import NO_FILTER, STEPS_S, Filter, PageWindow
from rageval.monitoring.records import VISITOR
from rageval.monitoring.store.schema import UtcTime
from rageval.monitoring.store.time_steps import Step
from rageval.monitoring.windows import FIRST_MONDAY

Condition = sa.ColumnElement[bool]
Text = sa.ColumnElement[str]
FIRST_MONDAY_S: Final = int(FIRST_MONDAY.timestamp())
"""Steps of time are counted from it."""


@dataclass(frozen=True, kw_only=True)
class Scope:
    """A window of time and the chosen systems and filter values, in the words of SQL."""

    since: sa.ColumnElement[Any]
    until: sa.ColumnElement[Any]
    before: sa.ColumnElement[Any]
    """Where the window of the same length before this one begins."""
    step: sa.ColumnElement[int]
    """Seconds."""
    chosen: Callable[[Filter, Text], list[Condition]]
    """The condition that a system's name, or a filter value's, is one of those chosen; none if all are."""
    visitors: bool = True
    """Whether votes of visitors count, who may be anybody."""

    @classmethod
    def of(cls, window: PageWindow) -> "Scope":
        """Return the scope of a window, its values bound."""
        choices = {"system": window.systems, "filter_value": window.filter_values}
        return cls(
            since=sa.literal(window.since, UtcTime()),
            until=sa.literal(window.until, UtcTime()),
            before=sa.literal(window.before, UtcTime()),
            step=sa.literal(STEPS_S[window.step], sa.Integer, literal_execute=True),
            chosen=lambda what, name: [name.in_(choices[what])] if choices[what] else [],
            visitors=window.visitors,
        )

    @classmethod
    def grafana(cls) -> "Scope":
        """Return the scope of a Grafana dashboard with the variables `system`, `filter_value` and `step`."""
        since, until = (_macro(f"$__time{end}()") for end in ("From", "To"))
        return cls(
            since=since,
            until=until,
            before=since - (until - since),
            step=sa.literal_column("${step}", sa.Integer),
            # An array may be empty, which a list after IN may not.
            chosen=lambda what, name: [
                name == sa.any_(sa.literal_column(f"CAST(ARRAY[${{{what}:sqlstring}}] AS TEXT[])", ARRAY(sa.Text)))
            ],
        )

    def within(self, table: Any, time: str = "asked_at", *, before: bool = False) -> list[Condition]:
        """Return the conditions on a table's time, and on its system, filter value and voter if it has such columns.

        Args:
            table: A table or subquery.
            time: Name of the column of the time.
            before: Whether the window before counts, too.
        """
        moment = table.c[time]
        conditions = [moment >= (self.before if before else self.since), moment < self.until]
        if "filter_value" in table.c:
            conditions += self.chosen("filter_value", filter_value_name(table))
        if "system" in table.c:
            conditions += self.chosen("system", table.c.system)
        if "voter" in table.c and not self.visitors:
            conditions.append(~table.c.voter.startswith(VISITOR))
        return conditions

    def time(self, moment: sa.ColumnElement[datetime]) -> sa.Label[datetime]:
        """Return the start of the step that a moment lies in, as the column `time`."""
        return Step(moment, self.step, sa.literal_column(str(FIRST_MONDAY_S), sa.Integer)).label("time")


def filter_value_name(table: Any) -> Text:
    """Return a filter value as it is chosen and listed: the empty one has a name, too."""
    name: Text = sa.func.coalesce(
        sa.func.nullif(table.c.filter_value, sa.literal_column("''")), sa.literal_column(f"'{NO_FILTER}'")
    )
    return name


def kind_of_error(error: sa.ColumnElement[str | None]) -> Text:
    """Return the words before the first colon, such as `HTTP 429`."""
    return _BeforeColon(error)


class _BeforeColon(FunctionElement[str]):
    type = sa.Text()
    inherit_cache = True


@compiles(_BeforeColon, "postgresql")
def _before_colon_postgresql(element: _BeforeColon, compiler: Any, **options: Any) -> str:
    return f"split_part({compiler.process(element.clauses, **options)}, ':', 1)"


@compiles(_BeforeColon, "sqlite")
def _before_colon_sqlite(element: _BeforeColon, compiler: Any, **options: Any) -> str:
    error = compiler.process(element.clauses, **options)
    return f"substr({error}, 1, instr({error} || ':', ':') - 1)"


def _macro(name: str) -> sa.ColumnElement[Any]:
    return sa.cast(sa.literal_column(name), sa.DateTime(timezone=True))
