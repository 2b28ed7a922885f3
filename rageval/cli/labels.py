"""`rageval labels`: a CSV of a run's answers for people to label."""

from pathlib import Path
from typing import Annotated

import typer

from rageval.cli.arguments import RunFolder
from rageval.text.terminal import console, plain


def labels(
    run: RunFolder,
    file: Annotated[Path, typer.Argument(help="CSV file to write; it must not be there yet.", metavar="FILE.csv")],
    answers: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Answers to draw, over all models.", metavar="N")
    ] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other answers.")] = 42,
) -> None:
    """Write a random sample of a run's answers to a CSV, to be labelled by people.

    It holds as many answers of each system. Fill in the column `label` with RELEVANT,
    PARTLY_RELEVANT or NON_RELEVANT, without looking at the judge's verdicts. Then give it back with
    `rageval report RUN --human-labels FILE.csv`.

    Example:

    rageval labels runs/demo labels.csv --answers 100
    """
    from rageval.cli.stored_run import existing_run

    store = existing_run(run)
    from rageval.judging.label_files import make_template

    written = make_template(store, file, answers, seed)
    fewer = f" (all that the run has, fewer than the {answers:,} asked for)" if written < answers else ""
    console.print(
        f"{plain(str(file))} holds {written:,} answers{fewer}. Fill in its column label with RELEVANT, PARTLY_RELEVANT "
        f"or NON_RELEVANT, then:\n  rageval report {plain(str(run))} --human-labels {plain(str(file))}",
        highlight=False,
        soft_wrap=True,
    )
