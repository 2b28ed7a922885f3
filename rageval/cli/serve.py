"""`rageval serve`: all deployments from one process, without a work pool."""

from pathlib import Path
from typing import Annotated

import typer

from rageval.telemetry.logs import let_prefect_log_as_wanted


def serve(
    file: Annotated[
        Path | None,
        typer.Option(
            help="The deployments. Runs of installed flows work in its own folder, those of files in the folder above "
            "if the entrypoints are there, else in the checkout that is installed.  (default: prefect.yaml, or "
            "deployments/prefect.yaml)",
            metavar="PREFECT.yaml",
        ),
    ] = None,
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

    here = Path("prefect.yaml")
    serving.serve_deployments(file or (here if here.exists() else Path("deployments") / here), limit)
