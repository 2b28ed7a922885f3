"""The figures of a window -> one self-contained HTML page that loads nothing and runs nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from rageval.monitoring.charts import COLOURS, chart, series, value
from rageval.monitoring.figures import COLUMN_UNITS, Board, Figure, PageWindow, Unit
from rageval.pages.templates import environment

_TITLES: Final[Mapping[Board, str]] = {
    "quality": "Answer quality",
    "operations": "Operations",
    "offline-runs": "Offline runs",
}
_EMPTY: Final[Mapping[Board, str]] = {
    "quality": "No conversation in this window.",
    "operations": "No conversation and no alert in this window.",
    "offline-runs": "No published run in this window: `rageval publish` brings runs here.",
}
_TEXT_CHARS: Final = 600


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """What a page shows."""

    window: PageWindow
    database: str
    """Kind and place, without a password."""
    made_at: datetime
    figures: Sequence[Figure]


def render_dashboard(dashboard: Dashboard) -> str:
    """Return the page: numbers now and before, then each figure with its drawing, its words and its counts."""
    boards = [_board(board, title, dashboard) for board, title in _TITLES.items()]
    stats = [_stat(figure) for figure in dashboard.figures if figure.description.kind == "stat"]
    asked = next((f.rows for f in dashboard.figures if f.description.name == "conversations-now"), ())
    return (
        environment()
        .get_template("monitoring/page.html.j2")
        .render(
            since=_time(dashboard.window.since),
            until=_time(dashboard.window.until),
            made_at=_time(dashboard.made_at),
            step=dashboard.window.step,
            database=dashboard.database,
            systems=", ".join(dashboard.window.systems) or "all",
            filter_values=", ".join(dashboard.window.filter_values) or "all",
            votes="all" if dashboard.window.visitors else "without those of visitors",
            empty=not any(row["now"] for row in asked),
            stats=stats,
            boards=boards,
        )
    )


def _board(board: Board, title: str, dashboard: Dashboard) -> dict[str, Any]:
    figures = [f for f in dashboard.figures if f.description.board == board and f.description.kind != "stat"]
    return {
        "id": board,
        "title": title,
        "empty": "" if any(figure.rows for figure in figures) else _EMPTY[board],
        "figures": [_shown(figure, dashboard.window) for figure in figures],
    }


def _stat(figure: Figure) -> dict[str, Any]:
    shown, row = figure.description, next(iter(figure.rows), {})
    interval = row.get("low") is not None and row.get("high") is not None
    return {
        "title": shown.title,
        "text": shown.text,
        "now": value(row.get("now"), shown.unit),
        "interval": f"{value(row['low'], shown.unit)} to {value(row['high'], shown.unit)}" if interval else "",
        "n": value(row["n"], "count") if row.get("n") is not None else "",
        "before": value(row.get("before"), shown.unit),
    }


def _shown(figure: Figure, window: PageWindow) -> dict[str, Any]:
    shown = figure.description
    drawn = shown.kind != "table"
    names = [line.name for line in series(figure)] if drawn else []
    return {
        "id": shown.name,
        "title": shown.title,
        "text": shown.text,
        "drawn": drawn,
        "chart": chart(figure, window) if drawn else "",
        "legend": list(enumerate(names)) if len(names) > 1 else [],
        "colours": COLOURS,
        "cases": [_case(row) for row in figure.rows] if "question" in figure.columns else [],
        "columns": [(column, _is_number(column, figure)) for column in figure.columns],
        "rows": [
            [(_cell(row[column], _unit(column, figure)), _is_number(column, figure)) for column in figure.columns]
            for row in figure.rows
        ],
    }


def _case(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a conversation as a card: what was said, what is known about it, and the rest in pairs."""
    words = ("question", "answer", "answer or error", "judge's reason", "users' comment")
    facts = {name: row[name] for name in row if name not in (*words, "conversation")}
    return {
        "question": row["question"],
        "answer": row.get("answer", row.get("answer or error")) or "(no answer)",
        "facts": [(name, _cell(fact, COLUMN_UNITS.get(name))) for name, fact in facts.items() if fact not in (None, 0)],
        "remarks": [(name, row[name]) for name in words[3:] if row.get(name)],
        "conversation": row["conversation"],
    }


def _unit(column: str, figure: Figure) -> Unit | None:
    if column in ("n", "unscored") or figure.description.kind == "table" or column in ("low", "high"):
        return COLUMN_UNITS.get(column)
    return None if column in ("time", "metric") else figure.description.unit


def _is_number(column: str, figure: Figure) -> bool:
    return _unit(column, figure) is not None


def _cell(content: Any, unit: Unit | None) -> str:
    if content is None:
        return "–"
    if isinstance(content, datetime):
        return _time(content)
    if unit is not None:
        return value(float(content), unit)
    text = str(content)
    return text if len(text) <= _TEXT_CHARS else f"{text[:_TEXT_CHARS]}…"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
