"""`rageval accept`: make a run the one that the next night is measured against."""

from typing import Annotated

import typer


def accept(
    run: Annotated[str, typer.Argument(help="Folder or URL of a complete run, such as runs/demo.", metavar="RUN")],
    label: Annotated[
        str, typer.Option(help="Label of the nightly flow: its gate.label, else its deployment's name.", metavar="NAME")
    ] = "nightly",
) -> None:
    """Accept a run by hand: the next nightly run of the same label is measured against it.

    For a run that the gate refused but that is as it should be: other questions,
    another judge, or a drop that is wanted. Other labels keep their runs.
    """
    from rageval.cli.evaluation import existing_run  # noqa: PLC0415 - help must not wait for imports
    from rageval.comparison import nightly  # noqa: PLC0415
    from rageval.text.terminal import console, plain  # noqa: PLC0415 - help must not wait for imports

    accepted = existing_run(run)
    before = nightly.accept(accepted, label, "accepted by hand")
    in_place = f" in place of {before}" if before else ""
    console.print(plain(f"{accepted.run_id} is the accepted run of {label!r} now{in_place}."), highlight=False)
