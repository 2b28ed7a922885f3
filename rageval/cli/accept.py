"""`rageval accept`: make a run the baseline of the next nightly run."""

from typing import Annotated

import typer

from rageval.cli.arguments import RunFolder
from rageval.text.terminal import console, plain


def accept(
    run: RunFolder,
    label: Annotated[
        str, typer.Option(help="Label of the nightly flow: its gate.label, else its deployment's name.", metavar="NAME")
    ] = "nightly",
) -> None:
    """Accept a run by hand: the next nightly run of the same label is measured against it.

    For a run that the gate refused but that is as it should be: other questions,
    another judge, or a drop that is wanted. Other labels keep their runs.

    Example:

    rageval accept runs/after --label nightly
    """
    from rageval.cli.stored_run import existing_run

    accepted = existing_run(run)
    from rageval.comparison import nightly

    before = nightly.accept(accepted, label, "accepted by hand")
    in_place = f" in place of {before}" if before else ""
    console.print(plain(f"{accepted.run_id} is the accepted run of {label!r} now{in_place}."), highlight=False)
