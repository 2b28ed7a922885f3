"""`rageval evaluate`: settings of a file and of the command line -> a run, or what it would take."""

from rageval.cli.arguments import Assignments, Debug, DryRun, EvaluationFile, evaluation_settings
from rageval.cli.options import DATA, ENDPOINT, LIMITS, MODELS, RUN, Given, offers
from rageval.config.evaluation import EvaluationConfig
from rageval.config.overrides import choose_judge, choose_models, override, validate

SETTINGS = {
    DATA: {
        "--documents PATH|URL": "data.documents",
        "--ground-truth PATH|URL": "data.ground_truth",
        "--filter-by COLUMN": "data.filter_by",
        "--only VALUE": "data.only",
        "--sample N": "data.sample",
        "--seed N": "data.seed",
    },
    MODELS: {
        "--retriever text|vector|hybrid": "retrievers",
        "--prompt FILE": "prompts",
        "--model NAME": "models",
        "--system pipeline|closed_book|oracle": "systems",
        "--judge NAME": "judge.model",
        "--metric NAME": "metrics",
        "--no-judge": "judge.enabled",
        **ENDPOINT,
        **LIMITS,
        "--shared-limit NAME": "*.shared_limit",
    },
    RUN: {
        "--output DIR|URL": "run.output",
        "--run-id NAME": "run.run_id",
        "--max-cost-usd USD": "run.max_cost_usd",
        "--batch": "run.batch",
        "--retry-failed": "run.retry_failed",
        "--reuse": "run.reuse",
        "--dask tcp://HOST:PORT": "run.dask_scheduler",
    },
}


@offers(EvaluationConfig, SETTINGS)
def evaluate(
    given: Given,
    config: EvaluationFile = None,
    assignments: Assignments = [],  # noqa: B006 - typer copies it
    dry_run: DryRun = False,
    debug: Debug = False,
) -> None:
    """Run the whole evaluation and write Parquet tables and a report.

    Options override the file. With neither, and no rageval.yaml here, the sample corpus is evaluated with the embedded
    model. A run is resumed by giving its --run-id again; it then asks only for what is missing or failed.

    Examples:

    rageval evaluate examples/configs/demo.yaml --sample 25

    rageval evaluate --prompt prompts/strict.md --prompt prompts/short.md --model gpt-5-mini

    rageval evaluate --model gpt-5-mini --model gpt-5-nano --judge gpt-5 --max-cost-usd 5 --dry-run
    """
    settings = evaluation_settings(config)
    choose_models(settings, given.pop("models", []))
    choose_judge(settings, given.pop("judge.model", None), disabled="judge.enabled" in given)
    if given.get("run.dask_scheduler"):
        given["run.task_runner"] = "dask"
    override(settings, given, assignments)
    configuration = validate(EvaluationConfig, settings)
    from rageval.cli.evaluation import run_evaluation, show_estimate

    if dry_run:
        show_estimate(configuration)
    else:
        run_evaluation(configuration, debug=debug)
