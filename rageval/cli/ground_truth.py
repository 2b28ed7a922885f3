"""`rageval ground-truth generate`: documents -> questions that a model wrote."""

from typing import Any

import typer

from rageval.cli.arguments import Assignments, Debug, DryRun
from rageval.cli.options import DATA, ENDPOINT, LIMITS, MODELS, RUN, Given, offers
from rageval.config.models import LOCAL
from rageval.config.overrides import override, validate
from rageval.ground_truth.config import GenerationConfig

SETTINGS = {
    DATA: {
        "--documents PATH|URL": "documents",
        "--filter-by COLUMN": "filter_by",
        "--only VALUE": "only",
        "--sample-documents N": "sample",
        "--seed N": "seed",
        "--per-document N": "per_document",
    },
    MODELS: {
        "--writer NAME": "model",
        "--judge NAME": "checker",
        "--no-judge": "check",
        **ENDPOINT,
        **LIMITS,
    },
    RUN: {
        "--output DIR|URL": "output",
        "--file FILE": "out",
        "--run-id NAME": "run_id",
        "--max-cost-usd USD": "max_cost_usd",
    },
}

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode="rich")


@app.callback()
def ground_truth() -> None:
    """Generate ground truth from documents."""


@app.command()
@offers(GenerationConfig, SETTINGS)
def generate(
    given: Given,
    assignments: Assignments = [],  # noqa: B006 - typer copies it
    dry_run: DryRun = False,
    debug: Debug = False,
) -> None:
    """Let a model write questions that the documents answer, and keep those that can be measured with.

    Repeats, questions copied from their document, questions that fit another document as well, and questions that
    their document does not answer are dropped. All of them, with the reason, are in generated.parquet. A run is
    resumed by giving its --run-id again; no reply is asked for twice.

    Example:

    rageval ground-truth generate --documents examples/faq/documents.json --writer gpt-5-mini --dry-run
    """
    settings: dict[str, Any] = {}
    endpoint = {path: given.pop(path) for path in list(given) if path.startswith("*.")}
    given["model"] = _described(given.get("model", LOCAL), endpoint)
    if "checker" in given:
        given["checker"] = _described(given["checker"], endpoint)
    override(settings, given, assignments)
    configuration = validate(GenerationConfig, settings)
    from rageval.cli.generation import run_generation, show_estimate

    if dry_run:
        show_estimate(configuration)
    else:
        run_generation(configuration, debug=debug)


def _described(name: str, endpoint: Given) -> dict[str, Any]:
    settings = {path.removeprefix("*."): value for path, value in endpoint.items()}
    return {"name": name, **({} if name == LOCAL else settings)}
