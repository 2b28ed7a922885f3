"""`rageval report`: the tables of a run -> its summary and its page anew."""

from typing import Annotated

import typer

from rageval.cli.arguments import RunFolder
from rageval.errors import ConfigError
from rageval.safety.urls import REFUSAL, holds_secret
from rageval.text.terminal import console, plain


def report(
    run: RunFolder,
    human_labels: Annotated[
        str | None,
        typer.Option(
            help="Labels of people, in place of any that the run has: CSV with question_id, model, label. "
            "`rageval labels` makes one to fill in.",
            metavar="PATH|URL",
        ),
    ] = None,
) -> None:
    """Compute summary and report page of a run anew from its Parquet tables.

    Example:

    rageval report runs/demo --human-labels labels.csv
    """
    if human_labels and holds_secret(human_labels):
        raise ConfigError(f"--human-labels: {REFUSAL}")
    from rageval.cli.stored_run import existing_run

    store = existing_run(run)
    from rageval.cli.run_summary import show_run
    from rageval.judging.label_files import give_labels
    from rageval.report.writing import write_report
    from rageval.runs.manifest import read_manifest

    for note in give_labels(store, human_labels) if human_labels else ():
        console.print(plain(note), highlight=False, soft_wrap=True)
    write_report(store)
    show_run(store)
    if reason := read_manifest(store).reason:
        console.print(f"{'':<8} {plain(reason)}", highlight=False, soft_wrap=True)
