"""`rageval dashboard`: the page on its own, its figures, what it says to bad choices, and how it looks in a browser."""

import re
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright
from typer.testing import CliRunner

from rageval.cli.main import app
from rageval.errors import ConfigError
from rageval.monitoring.charts import chart, value
from rageval.monitoring.dashboard import dashboard, figures
from rageval.monitoring.figures import STEPS_S, Figure, last_days
from rageval.monitoring.page import render_dashboard
from rageval.monitoring.store.database import Database, connect
from tests.monitoring.made_traffic import DAYS, END, fill
from tests.processes import PATIENCE_S


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    database = connect(f"sqlite:///{tmp_path_factory.mktemp('dashboard') / 'monitoring.db'}")
    database.migrate()
    fill(database)
    yield database
    database.close()


def page_of(database: Database, days: float = DAYS, **choice: tuple[str, ...]) -> str:
    return render_dashboard(dashboard(database, days, END, **choice))


def test_the_page_shows_the_figures_of_the_panels_and_loads_nothing(filled: Database) -> None:
    page = page_of(filled)

    for figure in figures(filled, last_days(DAYS, END)):
        shown = figure.description
        assert shown.title in page
        if shown.kind == "stat":
            assert f">{value(figure.rows[0]['now'], shown.unit)}<" in page
        else:
            assert f'id="{shown.name}"' in page
            assert figure.rows
    assert "default-src 'none'" in page
    assert re.findall(r"""(?:src|href)=(?!"#|"data:,")\S+|@import|url\(|<script""", page) == []


def test_everything_that_comes_from_data_is_shown_as_text(filled: Database) -> None:
    page = page_of(filled, days=DAYS + 0.5)

    assert "<script>alert" not in page
    page = page_of(filled, filter_values=("it's a course",))
    assert "it&#39;s a course" in page
    assert "Systems: all" in page


def test_a_course_that_nobody_asked_about_is_refused_with_the_ones_there_are(filled: Database) -> None:

    with pytest.raises(ConfigError, match="the filter value 'mlop'; there is it's a course, mlops, no filter"):
        dashboard(filled, DAYS, END, filter_values=("mlop",))
    with pytest.raises(ConfigError, match="the system 'huge'; there is large, small"):
        dashboard(filled, DAYS, END, systems=("small", "huge"))


def test_the_command_writes_the_page_of_an_empty_database_and_says_what_to_do(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONITORING_DATABASE_URL", database_url)
    file = tmp_path / "dashboard.html"

    done = CliRunner().invoke(app, ["dashboard", "--days", "7", "--html", str(file)])

    assert done.exit_code == 0, done.output
    page = file.read_text(encoding="utf-8")
    assert "No conversation in this window." in page
    assert "onlyForThisTest1" not in page + done.output  # the password of the database


@pytest.mark.parametrize(("days", "step"), [(1, "hour"), (3, "hour"), (30, "day"), (100, "day"), (365, "week")])
def test_a_window_has_enough_steps_and_not_too_many(days: float, step: str) -> None:
    window = last_days(days, END)

    assert window.step == step
    assert 7 <= (window.until - window.since) / timedelta(seconds=STEPS_S[step]) <= 101


def test_a_line_ends_where_a_step_has_no_value(filled: Database) -> None:
    window = last_days(DAYS, END)
    [figure] = [figure for figure in figures(filled, window) if figure.description.name == "relevance"]
    gap = Figure(description=figure.description, columns=figure.columns, rows=[*figure.rows[:5], *figure.rows[7:]])

    assert chart(figure, window).count("<polyline") == 1
    assert chart(gap, window).count("<polyline") == 2
    assert chart(gap, window).count("<circle") == len(figure.rows) - 2


@pytest.mark.parametrize("width", [1280, 420])
def test_a_browser_shows_the_page_without_complaint_at_any_width(filled: Database, tmp_path: Path, width: int) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium: install the system's own (on Debian, apt-get install chromium)")
    file = tmp_path / "dashboard.html"
    file.write_text(page_of(filled), encoding="utf-8")
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"], timeout=PATIENCE_S * 1000
        ) as browser,
    ):
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.set_default_timeout(PATIENCE_S * 1000)
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("request", lambda request: complaints.append(request.url) if "file://" not in request.url else None)
        page.goto(file.as_uri())

        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.locator("#relevance svg circle").first.is_visible()
        page.locator("#relevance summary").click()
        assert page.locator("#relevance table").is_visible()
        assert [text for text in complaints if not text.startswith("data:")] == []
