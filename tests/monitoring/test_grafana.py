"""Grafana's dashboards: their files fit code, provisioning and schema; their SQL runs on a real Postgres."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import Any, get_args

import psycopg
import pytest
import yaml

from deployments.dashboards import text
from rageval.monitoring.figures import STEPS_S, Board, PageWindow
from rageval.monitoring.panels.catalogue import panels
from rageval.monitoring.panels.scope import Scope
from rageval.monitoring.store.database import connect
from tests.monitoring.made_traffic import fill
from tests.monitoring.test_panels import CHOSEN, EVERYTHING, same

ROOT = Path(__file__).parents[2]
GRAFANA = ROOT / "deployments" / "grafana"
BOARDS: tuple[Board, ...] = get_args(Board)
DASHBOARDS = {
    board: json.loads((GRAFANA / "dashboards" / f"{board}.json").read_text(encoding="utf-8")) for board in BOARDS
}
GRAFANAS = [
    pytest.param(board, panel, id=f"{board}-{panel['id']}") for board in BOARDS for panel in DASHBOARDS[board]["panels"]
]

each_board = pytest.mark.parametrize("board", BOARDS)
each_panel = pytest.mark.parametrize(("board", "panel"), GRAFANAS)


@pytest.fixture(scope="module")
def filled(postgres: Any) -> Iterator[Any]:
    database = connect(postgres.new_url())
    database.migrate()
    fill(database)
    yield database
    database.close()


@pytest.fixture(scope="module")
def grafana(filled: Any) -> Iterator[psycopg.Connection[Any]]:
    """A connection that may only read, as the user that Grafana has."""
    url = filled.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(
        url, autocommit=True, options="-c default_transaction_read_only=on -c timezone=UTC"
    ) as connection:
        yield connection


def substituted(sql: str, window: PageWindow) -> str:
    """Return the SQL as Grafana sends it: its own text for the macros and for variables of several values."""
    for name, moment in {"From": window.since, "To": window.until}.items():
        sql = sql.replace(f"$__time{name}()", f"'{moment.isoformat().replace('+00:00', 'Z')}'")
    for name, values in {"system": window.systems, "filter_value": window.filter_values}.items():
        quoted = ",".join("'" + value.replace("'", "''") + "'" for value in values)
        sql = sql.replace(f"${{{name}:sqlstring}}", quoted)
    sql = sql.replace("${step}", str(STEPS_S[window.step]))
    assert "$" not in sql
    return sql


def all_chosen(grafana: psycopg.Connection[Any], board: Board, window: PageWindow) -> PageWindow:
    """Return the window as Grafana has it with `All`: every name that the variable's query gives."""
    values = {
        variable["name"]: tuple(row[0] for row in grafana.execute(substituted(variable["query"], window)))
        for variable in DASHBOARDS[board]["templating"]["list"]
        if variable["type"] == "query"
    }
    return PageWindow(
        since=window.since, until=window.until, systems=values["system"], filter_values=values["filter_value"]
    )


@each_board
def test_the_file_is_what_the_code_makes(board: Board) -> None:
    file = GRAFANA / "dashboards" / f"{board}.json"
    assert file.read_text(encoding="utf-8") == text(board), "run: python -m deployments.dashboards"


@each_panel
@pytest.mark.parametrize("window", [EVERYTHING, CHOSEN], ids=["all", "chosen"])
def test_a_panel_shows_what_the_page_shows(
    filled: Any, grafana: psycopg.Connection[Any], board: Board, panel: dict[str, Any], window: PageWindow
) -> None:
    [ours] = [p for p in panels() if p.description.board == board and p.description.title == panel["title"]]
    [target] = panel["targets"]
    sent = window if window.filter_values else all_chosen(grafana, board, window)

    cursor = grafana.execute(substituted(target["rawSql"], sent))
    found, columns = cursor.fetchall(), [column.name for column in cursor.description or ()]

    with filled.reading() as connection:
        expected = [dict(row) for row in connection.execute(ours.select(Scope.of(window))).mappings()]
    assert found
    assert same([dict(zip(columns, row, strict=True)) for row in found], expected)
    if panel["type"] == "timeseries":
        assert target["format"] == "time_series"
        assert columns[0] == "time"
        assert all(isinstance(row[0], datetime) and row[0].tzinfo for row in found)
        assert [row[0] for row in found] == sorted(row[0] for row in found)
        # Grafana takes text for the name of a line if there is nothing but a time and a number beside it.
        assert columns == ["time", "metric", "value"] or all(
            content is None or isinstance(content, int | float | Decimal) for row in found for content in row[1:]
        )
    for override in panel["fieldConfig"]["overrides"]:
        assert override["matcher"]["options"] in columns


@each_panel
def test_a_panel_without_any_choice_is_empty_and_no_error(
    grafana: psycopg.Connection[Any], board: Board, panel: dict[str, Any]
) -> None:
    nothing = PageWindow(since=EVERYTHING.since, until=EVERYTHING.until)

    grafana.execute(substituted(panel["targets"][0]["rawSql"], nothing))


def test_every_panel_of_the_code_is_on_its_dashboard() -> None:
    shown = [(board, panel["title"]) for board in BOARDS for panel in DASHBOARDS[board]["panels"]]

    assert shown == sorted(((p.description.board, p.description.title) for p in panels()), key=shown.index)
    assert len(shown) == len(set(shown)) == len(panels())


@each_board
def test_panels_lie_side_by_side_within_the_grid(board: Board) -> None:
    places = [panel["gridPos"] for panel in DASHBOARDS[board]["panels"]]

    assert all(place["x"] >= 0 and place["x"] + place["w"] <= 24 and place["h"] > 0 for place in places)
    for a, b in combinations(places, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        assert beside or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]


@each_board
def test_a_dashboard_has_what_grafana_reads(board: Board) -> None:
    dashboard = DASHBOARDS[board]
    [source] = yaml.safe_load((GRAFANA / "datasources" / "postgres.yaml").read_text(encoding="utf-8"))["datasources"]

    assert {"uid", "title", "schemaVersion", "panels", "templating", "time", "annotations"} <= dashboard.keys()
    assert "id" not in dashboard  # Grafana gives it
    assert dashboard["schemaVersion"] >= 39
    assert re.fullmatch(r"[\w-]{1,40}", dashboard["uid"])
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    for panel in dashboard["panels"]:
        assert {"id", "type", "title", "gridPos", "datasource", "targets", "fieldConfig", "options"} <= panel.keys()
        assert panel["type"] in {"timeseries", "stat", "table"}
        assert panel["description"]
        for user in (panel, *panel["targets"]):
            assert user["datasource"] == {"type": "grafana-postgresql-datasource", "uid": source["uid"]}
        for target in panel["targets"]:
            assert target["rawQuery"] is True
            assert set(re.findall(r"\$\{(\w+)", target["rawSql"])) <= variables
            assert "$__timeFrom()" in target["rawSql"]


def test_uids_and_titles_are_unique_and_the_provider_reads_this_folder() -> None:
    for key in ("uid", "title"):
        assert len({dashboard[key] for dashboard in DASHBOARDS.values()}) == len(BOARDS)
    [provider] = yaml.safe_load((GRAFANA / "dashboards" / "provider.yaml").read_text(encoding="utf-8"))["providers"]
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    mounts = [mount.split(":") for mount in compose["services"]["grafana"]["volumes"]]
    [mounted] = [inside for outside, inside, *_ in mounts if outside == "./deployments/grafana"]

    assert provider["options"]["path"] == f"{mounted}/dashboards"
    assert provider["type"] == "file"
