"""`rageval gate`: a run and its baseline -> exit status 1 if it got worse beyond the noise."""

from typing import Annotated

import typer

from rageval.cli.comparison_options import COMPARED, Markdown
from rageval.cli.options import Given, offers
from rageval.cli.rows import print_rows
from rageval.comparison.gate_config import GateSettings
from rageval.config.overrides import validate
from rageval.text.terminal import console, plain

SETTINGS = {
    COMPARED: {
        "--metric NAME": "metrics",
        "--max-drop DROP": "max_drop",
        "--allow-underpowered": "allow_underpowered",
        "--common": "common",
    }
}


@offers(GateSettings, SETTINGS)
def gate(
    given: Given,
    run: Annotated[str, typer.Argument(help="Folder or URL of the candidate.", metavar="RUN")],
    baseline: Annotated[
        str,
        typer.Option(help="Folder or URL of the run to measure it against.", metavar="RUN", rich_help_panel=COMPARED),
    ],
    system: Annotated[
        str | None,
        typer.Option(
            help="System of the candidate.  (default: every system that both have)",
            metavar="NAME",
            rich_help_panel=COMPARED,
        ),
    ] = None,
    retriever: Annotated[
        str | None,
        typer.Option(
            help="Retriever of the candidate.  (default: every one both have)",
            metavar="NAME",
            rich_help_panel=COMPARED,
        ),
    ] = None,
    baseline_system: Annotated[
        str | None,
        typer.Option(
            help="System of the baseline.  (default: that of the candidate)", metavar="NAME", rich_help_panel=COMPARED
        ),
    ] = None,
    baseline_retriever: Annotated[
        str | None,
        typer.Option(
            help="Retriever of the baseline.  (default: that of the candidate)",
            metavar="NAME",
            rich_help_panel=COMPARED,
        ),
    ] = None,
    markdown: Markdown = None,
) -> None:
    """Fail, with exit status 1, if a run got worse than its baseline beyond the noise.

    A metric got worse if its mean dropped by more than --max-drop AND the interval
    of the paired difference, at 95 % for all metrics of the gate together,
    excludes no drop. Where less is better, a rise is the drop.

    A gate also fails, and says why, if a run is not complete, a metric is missing,
    not comparable or has an unfit judge, the candidate lacks clearly more values
    than the baseline, or the questions are too few to see a drop of --max-drop.

    Example:

    rageval gate runs/after --baseline runs/before --metric cosine --max-drop 0.02
    """
    rules = validate(GateSettings, given)
    from rageval.cli.stored_run import existing_run

    measured, accepted = existing_run(run), existing_run(baseline)
    from rageval.comparison import gate as stage
    from rageval.comparison import sentences as words
    from rageval.comparison.pairing import Choice
    from rageval.runs.folders import write_page

    choice = Choice(
        metrics=rules.metrics,
        baseline_system=baseline_system,
        candidate_system=system,
        baseline_retriever=baseline_retriever,
        candidate_retriever=retriever,
    )
    found = stage.gate(
        measured,
        accepted,
        choice,
        max_drop=rules.max_drop,
        allow_underpowered=rules.allow_underpowered,
        common=rules.common,
    )
    print_rows(f"{found.b} against {found.a}", words.gate_rows(found))
    if found.rows:
        console.print(words.gate_reading(found), style="dim", highlight=False)
    if markdown:
        from rageval.comparison.markdown import render_gate

        write_page(markdown, render_gate(found))
    for reason in found.reasons[1:]:
        console.print(f"- {plain(reason)}", highlight=False)
    console.print(plain(words.gate_sentence(found)), style="green" if found.passed else "red", highlight=False)
    if not found.passed:
        raise typer.Exit(1)
