"""`rageval rescore`: metrics that an old run lacks, or its answers judged again."""

from typing import Annotated

import typer

from rageval.cli.options import Debug, RunFolder, without_secret

_SCORES, _JUDGES, _RUN = "Scores", "Judges", "Run"


def rescore(
    run: RunFolder,
    metric: Annotated[
        list[str],
        typer.Option(
            "--metric",
            help="cosine, rouge_l, exact_match, fuzzy_match, refusal, answer_words, judge_with_reference, "
            "judge_without_reference or judge_faithfulness; repeat it for several.  "
            "(default: all of the configuration that ask no model)",
            metavar="NAME",
            rich_help_panel=_SCORES,
        ),
    ] = [],  # noqa: B006
    judge: Annotated[
        list[str],
        typer.Option(
            "--judge",
            help="Who judges in place of the run's judges; repeat it for a panel.",
            metavar="MODEL",
            rich_help_panel=_JUDGES,
        ),
    ] = [],  # noqa: B006
    base_url: Annotated[
        str | None,
        typer.Option(
            help="OpenAI-compatible endpoint of all judges.",
            metavar="URL",
            callback=without_secret,
            rich_help_panel=_JUDGES,
        ),
    ] = None,
    set_: Annotated[
        list[str],
        typer.Option(
            "--set",
            help="Any other setting of scores, judge or run, such as --set judge.again_share=0.",
            metavar="KEY.PATH=VALUE",
            rich_help_panel=_RUN,
        ),
    ] = [],  # noqa: B006
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would take, and send nothing.", rich_help_panel=_RUN)
    ] = False,
    debug: Debug = False,
) -> None:
    """Add scores to a run, or judge its answers again; its answers are never asked for again.

    Without options nothing is asked and nothing costs. A score is computed, or asked for, where there is none, where
    its metric has a new version, or where another judge is named; what is replaced is kept in RUN/replaced. When it
    was stopped, the same command goes on.
    """
    from rageval.cli import evaluation as console  # noqa: PLC0415 - help must not wait for imports
    from rageval.cli import rescoring  # noqa: PLC0415 - help must not wait for imports

    folder = console.existing_run(run)
    config = rescoring.settings(folder, metric, judge, base_url, set_)
    if dry_run:
        rescoring.show_estimate(folder, config, metric)
    else:
        rescoring.run_rescoring(folder, config, metric, debug=debug)
