"""`rageval dashboard`: the dashboards of monitoring as one page, for those without Grafana."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from rageval.cli.options import DATA
from rageval.monitoring.page import render_dashboard
from rageval.text.terminal import console, plain


def dashboard(
    days: Annotated[
        float, typer.Option(min=0.04, max=3660, help="Look at so many days, up to now.", rich_help_panel=DATA)
    ] = 30,
    system: Annotated[
        list[str],
        typer.Option(
            help="Only answers of this system; repeat the option for several.", metavar="NAME", rich_help_panel=DATA
        ),
    ] = [],  # noqa: B006
    filter_value: Annotated[
        list[str],
        typer.Option(
            help="Only questions with this value of data.filter_by; repeat the option for several. `no filter` is "
            "those with none.",
            metavar="VALUE",
            rich_help_panel=DATA,
        ),
    ] = [],  # noqa: B006
    no_visitors: Annotated[
        bool,
        typer.Option(
            "--no-visitors",
            help="Leave out votes of chat apps that ask for no key, where one person may be several voters.",
            rich_help_panel=DATA,
        ),
    ] = False,
    html: Annotated[
        str, typer.Option(help="Write the page to this file.", metavar="FILE", rich_help_panel="Output")
    ] = "runs/dashboard.html",
) -> None:
    """Write the dashboards as one HTML page: quality, operations, offline runs.

    It reads the database that MONITORING_DATABASE_URL names, runs/monitoring.db
    by default. It shows what the Grafana dashboards show, from the same SQL.

    Example:

    rageval dashboard --days 7 --html runs/dashboard.html
    """
    from rageval.monitoring import dashboard as stage
    from rageval.monitoring.store.database import database_url, open_database
    from rageval.runs.folders import write_page

    database, now = open_database(database_url()), datetime.now(UTC)
    found = stage.dashboard(database, days, now, system, filter_value, visitors=not no_visitors)
    write_page(html, render_dashboard(found))
    console.print(f"Page: {plain(html)}", highlight=False, soft_wrap=True)
