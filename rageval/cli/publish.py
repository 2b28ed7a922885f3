"""`rageval publish`: the metrics of runs, for the dashboards."""

from typing import Annotated

import typer

from rageval.text.terminal import console, plain


def publish(
    runs: Annotated[
        list[str],
        typer.Argument(help="Folders or URLs of runs, such as runs/demo.", metavar="RUN...", show_default=False),
    ],
) -> None:
    """Store the metrics of runs in the monitoring database, where dashboards show how they went.

    The database is named by MONITORING_DATABASE_URL; without it, it is the file
    runs/monitoring.db. Publishing a run once more replaces them.

    Example:

    rageval publish runs/before runs/after
    """
    from rageval.cli.stored_run import existing_run

    found = [existing_run(run) for run in runs]
    from rageval.monitoring import publish as stage
    from rageval.monitoring.store.database import database_url, open_database

    database = open_database(database_url())
    for run in found:
        metrics = stage.publish(database, run)
        console.print(plain(f"Published {run.run_id}: {metrics} metrics in {database.name}"), highlight=False)
