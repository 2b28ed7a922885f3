"""Write Grafana's dashboards from the panels of the code: `python -m deployments.dashboards`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, get_args

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from rageval.monitoring.figures import COLUMN_UNITS, STEPS_S, Board, Filter, Kind, Unit, shown_name
from rageval.monitoring.panels.catalogue import Panel, choices, panels
from rageval.monitoring.panels.scope import Scope

FOLDER: Final = Path(__file__).parent / "grafana" / "dashboards"
TITLES: Final[Mapping[Board, str]] = {
    "quality": "Answer quality",
    "operations": "Operations",
    "offline-runs": "Offline runs",
}
_SOURCE: Final = {"type": "grafana-postgresql-datasource", "uid": "monitoring"}
_COLUMNS: Final = 24
_SIZES: Final[Mapping[Kind, tuple[int, int]]] = {
    "stat": (4, 5),
    "timeseries": (12, 8),
    "bars": (12, 8),
    "table": (24, 9),
}
_UNITS: Final[Mapping[Unit, Mapping[str, Any]]] = {
    "share": {"unit": "percentunit", "decimals": 1},
    "usd": {"unit": "currencyUSD"},
    "s": {"unit": "s"},
    "count": {"unit": "short"},
    "score": {"unit": "none", "decimals": 3},
}
_LEGEND: Final = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}


def dashboard(board: Board) -> dict[str, Any]:
    """Return a dashboard as Grafana 12 reads it from a file."""
    shown = [panel for panel in panels() if panel.description.board == board]
    return {
        "uid": f"rageval-{board}",
        "title": TITLES[board],
        "tags": ["rageval"],
        "schemaVersion": 41,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "utc",
        "refresh": "" if board == "offline-runs" else "5m",
        "time": {"from": "now-180d" if board == "offline-runs" else "now-30d", "to": "now"},
        "timepicker": {},
        "annotations": {"list": []},
        "links": [_links_to_the_others()],
        "templating": {"list": [_variable(board, "system"), _variable(board, "filter_value"), _step()]},
        "panels": [
            _panel(number, panel, position)
            for number, (panel, position) in enumerate(zip(shown, _positions(shown), strict=True), start=1)
        ],
    }


def sql(select: sa.Select[Any]) -> str:
    """Return the SQL that Grafana sends to Postgres, its macros and variables still in them."""
    # With another style of parameters, every % would be there twice.
    dialect = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
    return str(select.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


def text(board: Board) -> str:
    """Return the content of a dashboard's file."""
    return json.dumps(dashboard(board), indent=1, ensure_ascii=False) + "\n"


def _panel(number: int, panel: Panel, position: Mapping[str, int]) -> dict[str, Any]:
    shown = panel.description
    select = panel.select(Scope.grafana())
    columns = [column.name for column in select.selected_columns]
    kind = "timeseries" if shown.kind == "bars" else shown.kind
    return {
        "id": number,
        "type": kind,
        "title": shown.title,
        "description": shown.text,
        "datasource": _SOURCE,
        "gridPos": position,
        "targets": [
            {
                "refId": "A",
                "datasource": _SOURCE,
                "editorMode": "code",
                "format": "time_series" if kind == "timeseries" else "table",
                "rawQuery": True,
                "rawSql": sql(select),
            }
        ],
        "fieldConfig": {
            "defaults": {**_defaults(panel), "custom": _drawn_as(shown.kind)},
            "overrides": list(_overrides(shown.kind, columns)),
        },
        "options": _options(shown.kind),
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    shown = panel.description
    if shown.kind == "table":
        return {}
    limits = {"min": 0} if shown.unit != "score" and shown.kind != "stat" else {}
    return {**_UNITS[shown.unit], **limits, "color": {"mode": "palette-classic"}}


def _drawn_as(kind: Kind) -> dict[str, Any]:
    if kind == "bars":
        return {"drawStyle": "bars", "fillOpacity": 80, "lineWidth": 0, "stacking": {"mode": "normal", "group": "A"}}
    if kind == "timeseries":
        return {"drawStyle": "line", "lineWidth": 2, "showPoints": "auto", "spanNulls": True}
    return {"filterable": True, "cellOptions": {"type": "auto", "wrapText": True}} if kind == "table" else {}


def _overrides(kind: Kind, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield what single columns need: units in tables, the band of an interval, counts that only the tooltip shows."""
    if kind == "table":
        for column in columns:
            if column in COLUMN_UNITS:
                yield _override(column, **_UNITS[COLUMN_UNITS[column]])
    if kind == "timeseries":
        if "low" in columns:
            hidden = {"legend": True, "tooltip": False, "viz": False}
            yield _override("low", **{"custom.lineWidth": 0, "custom.showPoints": "never", "custom.hideFrom": hidden})
            yield _override(
                "high",
                **{
                    "custom.lineWidth": 0,
                    "custom.showPoints": "never",
                    "custom.fillBelowTo": "low",
                    "custom.fillOpacity": 15,
                    "custom.hideFrom": hidden,
                },
            )
        for column in ("n", "unscored"):
            if column in columns:
                only_in_tooltip = {"legend": True, "tooltip": False, "viz": True}
                yield _override(column, **_UNITS["count"], decimals=0, **{"custom.hideFrom": only_in_tooltip})


def _override(column: str, **properties: Any) -> dict[str, Any]:
    return {
        "matcher": {"id": "byName", "options": column},
        "properties": [{"id": name, "value": value} for name, value in properties.items()],
    }


def _options(kind: Kind) -> dict[str, Any]:
    if kind == "table":
        return {"showHeader": True, "cellHeight": "sm", "footer": {"show": False, "reducer": [], "fields": ""}}
    if kind == "stat":
        return {
            "reduceOptions": {"values": False, "calcs": ["lastNotNull"], "fields": "/^(now|before)$/"},
            "textMode": "value_and_name",
            "colorMode": "none",
            "graphMode": "none",
            "justifyMode": "auto",
            "orientation": "horizontal",
            "wideLayout": True,
        }
    return {"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "none"}}


def _positions(panels: Sequence[Panel]) -> Iterator[dict[str, int]]:
    """Yield the position of each panel: in rows from left to right, none beside one of another height."""
    x = y = height = 0
    for panel in panels:
        w, h = _SIZES[panel.description.kind]
        if x + w > _COLUMNS or (x and h != height):
            x, y = 0, y + height
        yield {"x": x, "y": y, "w": w, "h": h}
        x, height = x + w, h


def _variable(board: Board, what: Filter) -> dict[str, Any]:
    query = sql(choices(Scope.grafana(), board, what))
    return {
        "name": what,
        "label": shown_name(what).capitalize(),
        "type": "query",
        "datasource": _SOURCE,
        "query": query,
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": None,
        "current": {"text": ["All"], "value": ["$__all"]},
        "hide": 0,
        "regex": "",
        "options": [],
    }


def _step() -> dict[str, Any]:
    options = [{"text": name, "value": str(s), "selected": name == "day"} for name, s in STEPS_S.items()]
    return {
        "name": "step",
        "label": "Step",
        "type": "custom",
        "query": ",".join(f"{option['text']} : {option['value']}" for option in options),
        "multi": False,
        "includeAll": False,
        "current": {"text": "day", "value": str(STEPS_S["day"])},
        "hide": 0,
        "options": options,
    }


def _links_to_the_others() -> dict[str, Any]:
    return {
        "type": "dashboards",
        "title": "RAG evaluation",
        "tags": ["rageval"],
        "asDropdown": False,
        "includeVars": False,
        "keepTime": True,
        "targetBlank": False,
        "icon": "external link",
        "tooltip": "",
        "url": "",
    }


def main() -> None:
    """Write the files anew."""
    for board in get_args(Board):
        (FOLDER / f"{board}.json").write_text(text(board), encoding="utf-8")


if __name__ == "__main__":
    main()
