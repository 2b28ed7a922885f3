"""`rageval inspect`: a run -> its summary, its failures, and one question from its contexts to its verdicts."""

from typing import Annotated

import typer

from rageval.cli.arguments import RunFolder


def inspect(
    run: RunFolder,
    question: Annotated[
        str | None,
        typer.Option(
            help="Id, or part of the text, of the question to show end to end.  (default: the worst answered one)",
            metavar="ID|TEXT",
        ),
    ] = None,
) -> None:
    """Print a run's summary, its failures, and one question end to end.

    Example:

    rageval inspect runs/demo --question certificate
    """
    from rageval.cli.stored_run import existing_run

    store = existing_run(run)
    from rageval.cli.run_details import show_details

    show_details(store, question)
