"""`rageval rescore`: a run -> metrics that it lacks, or its answers judged again."""

from typing import Annotated

import typer

from rageval.cli.arguments import Assignments, Debug, DryRun, RunFolder
from rageval.cli.options import MODELS, Given, offers
from rageval.config.evaluation import EvaluationConfig
from rageval.metrics import catalogue

SETTINGS = {MODELS: {"--base-url URL": "*.base_url"}}


@offers(EvaluationConfig, SETTINGS)
def rescore(
    given: Given,
    run: RunFolder,
    metric: Annotated[
        list[str],
        typer.Option(
            help=f"What to score: {', '.join(catalogue.choices())}; repeat the option for several.  (default: the "
            "usual ones and those of the run, as far as they ask no model)",
            metavar="NAME",
            rich_help_panel="Scores",
        ),
    ] = [],  # noqa: B006 - typer copies it
    judge: Annotated[
        list[str],
        typer.Option(
            help="Who judges in place of the run's judges; repeat the option for a panel.",
            metavar="NAME",
            rich_help_panel=MODELS,
        ),
    ] = [],  # noqa: B006
    assignments: Assignments = [],  # noqa: B006
    dry_run: DryRun = False,
    debug: Debug = False,
) -> None:
    """Add scores to a run, or judge its answers again; its answers are never asked for again.

    Without options nothing is asked and nothing costs. A score is computed, or asked for, where there is none, where
    its metric has a new version, or where another judge is named; what is replaced is kept in RUN/replaced. When it
    was stopped, the same command goes on. Settings of scores, judge and run can be given with --set.

    Examples:

    rageval rescore runs/demo

    rageval rescore runs/demo --metric correctness --judge gpt-5 --set judge.again_share=0
    """
    from rageval.cli.stored_run import existing_run

    store = existing_run(run)
    from rageval.cli.rescoring import rescoring_settings, run_rescoring, show_estimate

    config = rescoring_settings(store, metric, judge, given, assignments)
    if dry_run:
        show_estimate(store, config, metric)
    else:
        run_rescoring(store, config, metric, debug=debug)
