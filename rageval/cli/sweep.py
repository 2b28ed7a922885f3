"""`rageval sweep`: ways to search and questions -> which way is best."""

from rageval.cli.arguments import Assignments, ConfigFile, Debug
from rageval.cli.options import DATA, RUN, Given, offers
from rageval.config.file import read_settings
from rageval.config.overrides import override, validate
from rageval.sweep.config import SweepConfig

SETTINGS = {
    DATA: {
        "--documents PATH|URL": "data.documents",
        "--ground-truth PATH|URL": "data.ground_truth",
        "--filter-by COLUMN": "data.filter_by",
        "--only VALUE": "data.only",
        "--sample N": "data.sample",
        "--seed N": "data.seed",
    },
    "Settings that are compared": {"--method text|vector|hybrid": "grid.methods", "--metric NAME@K": "tuning.metric"},
    RUN: {"--output DIR|URL": "run.output", "--run-id NAME": "run.run_id"},
}


@offers(SweepConfig, SETTINGS)
def sweep(
    given: Given,
    config: ConfigFile = None,
    assignments: Assignments = [],  # noqa: B006 - typer copies it
    debug: Debug = False,
) -> None:
    """Compare search methods, boosts, embedding models, vector indexes and depths; no model is asked for an answer.

    The best setting is chosen on one part of the questions and reported on the other; no document has questions in
    both. Every search is made once and stored, so a sweep that is started again, or with a larger grid, searches only
    for what is missing.

    Examples:

    rageval sweep examples/configs/sweep.yaml

    rageval sweep --method hybrid --method vector --set 'grid.question_boosts=[1,3]'
    """
    settings = read_settings(config) if config else {}
    override(settings, given, assignments)
    configuration = validate(SweepConfig, settings)
    from rageval.cli.sweep_run import run_sweep

    run_sweep(configuration, debug=debug)
