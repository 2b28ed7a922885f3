"""`rageval publish`: the figures of runs, for the dashboards."""

from typing import Annotated

import typer


def publish(
    runs: Annotated[
        list[str],
        typer.Argument(help="Folders or URLs of runs, such as runs/demo.", metavar="RUN...", show_default=False),
    ],
) -> None:
    """Store the figures of runs in the monitoring database, where dashboards show how they went.

    The database is named by MONITORING_DATABASE_URL; without it, it is the file
    runs/monitoring.db. Publishing a run once more replaces its figures.
    """
    from rageval.cli.evaluation import existing_run  # noqa: PLC0415 - help must not wait for imports
    from rageval.monitoring import publish as stage  # noqa: PLC0415
    from rageval.monitoring.store.database import database_url, open_database  # noqa: PLC0415
    from rageval.text.terminal import console, plain  # noqa: PLC0415 - help must not wait for imports

    found = [existing_run(run) for run in runs]
    database = open_database(database_url())
    for run in found:
        figures = stage.publish(database, run)
        console.print(plain(f"Published {run.run_id}: {figures} figures in {database.name}"), highlight=False)
