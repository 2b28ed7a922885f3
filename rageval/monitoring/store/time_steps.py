"""Moments -> steps of time, as SQL of SQLite and Postgres."""

from datetime import datetime
from typing import Any

from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from rageval.monitoring.store.schema import UtcTime


class Step(FunctionElement[datetime]):
    """The start of the step of time that a moment lies in: of a moment, and the seconds of a step and of the first."""

    type = UtcTime()
    inherit_cache = True


@compiles(Step, "postgresql")
def _step_postgresql(element: Step, compiler: Any, **options: Any) -> str:
    moment, step, first = (compiler.process(clause, **options) for clause in element.clauses)
    return f"date_bin(make_interval(secs => {step}), {moment}, to_timestamp({first}))"


@compiles(Step, "sqlite")
def _step_sqlite(element: Step, compiler: Any, **options: Any) -> str:
    moment, step, first = (compiler.process(clause, **options) for clause in element.clauses)
    # Without its fraction: the last half millisecond of a second is rounded into the next one.
    seconds = f"CAST(strftime('%s', substr({moment}, 1, 19)) AS INTEGER) - {first}"
    return f"datetime(({seconds}) / {step} * {step} + {first}, 'unixepoch')"
