"""`rageval ground-truth generate`: questions from documents."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rageval.cli.options import (
    DATA,
    MODELS,
    RUN,
    ApiKeyEnv,
    BaseUrl,
    Debug,
    Documents,
    MaxConcurrency,
    Output,
    Rpm,
    RunId,
    Seed,
    Tpm,
)

if TYPE_CHECKING:
    from rageval.ground_truth.config import GenerationConfig

ground_truth_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="rich", help="Generate ground truth from documents."
)


@ground_truth_app.callback()
def _group() -> None:
    """Generate ground truth from documents."""


@ground_truth_app.command()
def generate(
    documents: Documents = None,
    course: Annotated[str | None, typer.Option(help="Only documents of this course.", rich_help_panel=DATA)] = None,
    sample: Annotated[int | None, typer.Option(help="Only so many documents.", rich_help_panel=DATA)] = None,
    seed: Seed = None,
    per_document: Annotated[
        int | None, typer.Option(help="Questions a document.  (default: 5)", rich_help_panel=DATA)
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Writes the questions.  (default: local, the embedded one, whose questions are poor)",
            metavar="NAME",
            rich_help_panel=MODELS,
        ),
    ] = None,
    checker: Annotated[
        str | None,
        typer.Option(
            help="Judges whether the document answers a question.  (default: the model that writes)",
            metavar="NAME",
            rich_help_panel=MODELS,
        ),
    ] = None,
    no_check: Annotated[
        bool, typer.Option("--no-check", help="Do not let a model judge the questions.", rich_help_panel=MODELS)
    ] = False,
    base_url: BaseUrl = None,
    api_key_env: ApiKeyEnv = None,
    rpm: Rpm = None,
    tpm: Tpm = None,
    max_concurrency: MaxConcurrency = None,
    output: Output = None,
    out: Annotated[
        str | None,
        typer.Option(
            help="CSV file for the kept questions; it must not exist.  (always: ground-truth.csv in the run's folder)",
            metavar="FILE",
            rich_help_panel=RUN,
        ),
    ] = None,
    run_id: RunId = None,
    max_cost_usd: Annotated[
        float | None,
        typer.Option(
            help="Stop, resumable, once the run has spent so many dollars.", metavar="USD", rich_help_panel=RUN
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say how many calls, tokens and dollars it takes.", rich_help_panel=RUN),
    ] = False,
    set_: Annotated[
        list[str],
        typer.Option("--set", help="Any other setting, such as --set near_threshold=0.95.", rich_help_panel=RUN),
    ] = [],  # noqa: B006
    debug: Debug = False,
) -> None:
    """Let a model write questions that the documents answer, and keep those that can be measured with.

    Repeats, questions copied from their document, questions that fit another document as well, and questions that
    their document does not answer are dropped. All of them, with the reason, are in generated.parquet. A run is
    resumed by giving its --run-id again; no reply is asked for twice.
    """
    from rageval.config.overrides import put, put_text, validate  # noqa: PLC0415
    from rageval.ground_truth.config import GenerationConfig  # noqa: PLC0415 - help must not wait for imports

    limits = {"rpm": rpm, "tpm": tpm, "max_concurrency": max_concurrency}
    endpoint = {"base_url": base_url, "api_key_env": api_key_env} | limits
    settings: dict[str, Any] = {}
    given = {
        "documents": documents, "course": course, "sample": sample, "seed": seed, "per_document": per_document,
        "model": _model(model, endpoint), "checker": _model(checker, endpoint) if checker else None,
        "check": False if no_check else None, "output": output, "out": out, "run_id": run_id,
        "max_cost_usd": max_cost_usd,
    }  # fmt: skip
    for path, value in given.items():
        if value is not None:
            put(settings, path, value)
    for assignment in set_:
        put_text(settings, assignment)
    configuration = validate(GenerationConfig, settings)
    if dry_run:
        _show_estimate(configuration)
    else:
        _run_generation(configuration, debug=debug)


def _model(name: str | None, endpoint: dict[str, Any]) -> dict[str, Any]:
    from rageval.config.models import LOCAL  # noqa: PLC0415

    given = {key: value for key, value in endpoint.items() if value is not None}
    return {"name": name, **given} if name and name != LOCAL else {"name": LOCAL}


def _show_estimate(config: "GenerationConfig") -> None:
    from rich.table import Table  # noqa: PLC0415

    from rageval.ground_truth.estimate import estimate_generation  # noqa: PLC0415
    from rageval.pages.formats import usd  # noqa: PLC0415
    from rageval.text.terminal import console, plain  # noqa: PLC0415

    table = Table(title="Dry run: nothing was sent", title_justify="left")
    for heading in ("step", "model", "calls", "prompt tokens", "completion tokens", "US dollars"):
        table.add_column(heading, justify="left" if heading in ("step", "model") else "right")
    rows = estimate_generation(config)
    for row in rows:
        tokens = (f"{row.prompt_tokens:,}", f"{row.completion_tokens:,}")
        table.add_row(row.role, plain(row.model), f"{row.calls:,}", *tokens, usd(row.cost_usd))
    costs = [row.cost_usd for row in rows]
    table.add_section()
    table.add_row("total", "", f"{sum(row.calls for row in rows):,}", "", "", _total(costs))
    console.print(table)
    console.print(
        "Estimated from text lengths, 20 tokens a question and 60 a check, with a check for every question; retries "
        "come on top.",
        highlight=False,
    )


def _total(costs: "list[float | None]") -> str:
    from rageval.pages.formats import usd  # noqa: PLC0415

    known = [cost for cost in costs if cost is not None]
    return usd(sum(known) if len(known) == len(costs) else None)


def _run_generation(config: "GenerationConfig", *, debug: bool) -> None:
    """Run the flow in this process, and show how it goes and what came out.

    Raises:
        RagevalError: Whatever ended the run; if it can be resumed, the command that does it has been printed.
    """
    import shlex  # noqa: PLC0415
    import sys  # noqa: PLC0415

    from rageval.cli.evaluation import prefect_running, stop_on_ctrl_c  # noqa: PLC0415
    from rageval.config.evaluation import RunOptions  # noqa: PLC0415
    from rageval.engine.served_models import check_cache  # noqa: PLC0415
    from rageval.errors import RunStoppedError  # noqa: PLC0415
    from rageval.ground_truth.generation import choose_documents  # noqa: PLC0415
    from rageval.ground_truth.sentences import generation_rows, generation_sentence  # noqa: PLC0415
    from rageval.runs.folders import open_run  # noqa: PLC0415
    from rageval.text.terminal import console, plain  # noqa: PLC0415

    choose_documents(config)  # what is wrong with the documents shows before Prefect starts
    check_cache(config.models)
    run = open_run(RunOptions(output=config.output, run_id=config.run_id))
    config = config.model_copy(update={"run_id": run.run_id})
    with prefect_running(run.folder, debug=debug), stop_on_ctrl_c(run):
        from flows.generate_ground_truth import generate_ground_truth  # noqa: PLC0415 - imports Prefect

        try:
            generate_ground_truth(config)
        except RunStoppedError:
            words = ["rageval", *sys.argv[1:]]
            again = words if "--run-id" in words else [*words, "--run-id", run.run_id]
            console.print(f"Go on with:\n  {plain(shlex.join(again))}", highlight=False, soft_wrap=True)
            raise
    manifest = run.read_json("generation.json")
    for row in generation_rows(manifest):
        console.print(f"  {row['questions']:<24} {row['outcome']}", highlight=False)
    console.print(generation_sentence(manifest), highlight=False)
    console.print(f"Questions {plain(config.out or f'{run.folder}/ground-truth.csv')}", highlight=False, soft_wrap=True)
    console.print(f"All, with reasons  {plain(run.folder)}/generated.parquet", highlight=False, soft_wrap=True)
