"""`rageval serve`: all deployments from one process, without a work pool."""

from pathlib import Path
from typing import Annotated

import typer

from rageval.telemetry.logs import let_prefect_log_as_wanted


def serve(
    file: Annotated[
        Path,
        typer.Option(
            help="The deployments. Runs work in the folder above its own if the entrypoints are there, else in the "
            "checkout that is installed.",
            metavar="PREFECT.yaml",
        ),
    ] = Path("deployments/prefect.yaml"),
    limit: Annotated[
        int,
        typer.Option(
            help="The most runs at once of each deployment that has no concurrency_limit of its own.", min=1, max=1000
        ),
    ] = 1,
) -> None:
    """Serve every deployment from this process: no work pool and no worker are needed.

    It starts what is scheduled, and what is started in the UI or by `prefect deployment run`, until Ctrl-C, which
    pauses the deployments until they are served, or deployed, again, or until SIGTERM, which does not. Either lets the
    runs under way save what they have. Deployments that lie in a work pool are taken from it; `prefect deploy` puts
    them back. A schedule that was set in the UI stays as it is until its entry in the file changes.

    Example:

    rageval serve --file deployments/prefect.yaml
    """
    let_prefect_log_as_wanted()
    from deployments import serving

    serving.serve_deployments(file, limit)
