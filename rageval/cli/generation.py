"""Settings of generated ground truth -> the questions, with how it goes and what was kept in the terminal."""

from rich.table import Table

from rageval.cli.resuming import show_resume_command
from rageval.cli.running import prefect_running, stop_on_ctrl_c
from rageval.config.evaluation import RunOptions
from rageval.engine.served_models import check_cache
from rageval.errors import RunStoppedError
from rageval.ground_truth.config import GenerationConfig
from rageval.ground_truth.estimate import estimate_generation
from rageval.ground_truth.generation import choose_documents
from rageval.ground_truth.sentences import generation_rows, generation_sentence
from rageval.pages.formats import usd
from rageval.runs.folders import open_run
from rageval.text.terminal import console, plain


def show_estimate(config: GenerationConfig) -> None:
    """Print calls, tokens and dollars of the questions; nothing is sent."""

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


def _total(costs: list[float | None]) -> str:
    known = [cost for cost in costs if cost is not None]
    return usd(sum(known) if len(known) == len(costs) else None)


def run_generation(config: GenerationConfig, *, debug: bool) -> None:
    """Run the flow in this process, and show how it goes and what came out.

    Raises:
        RagevalError: Whatever ended the run; if it can be resumed, the command that does it has been printed.
    """

    choose_documents(config)  # what is wrong with the documents shows before Prefect starts
    check_cache(config.models)
    run = open_run(RunOptions(output=config.output, run_id=config.run_id))
    config = config.model_copy(update={"run_id": run.run_id})
    with prefect_running(run.folder, debug=debug), stop_on_ctrl_c(run):
        from flows.generate_ground_truth import generate_ground_truth

        try:
            generate_ground_truth(config)
        except RunStoppedError:
            show_resume_command(run.run_id)
            raise
    manifest = run.read_json("generation.json")
    for row in generation_rows(manifest):
        console.print(f"  {row['questions']:<24} {row['outcome']}", highlight=False)
    console.print(generation_sentence(manifest), highlight=False)
    console.print(f"Questions {plain(config.out or f'{run.folder}/ground-truth.csv')}", highlight=False, soft_wrap=True)
    console.print(f"All, with reasons  {plain(run.folder)}/generated.parquet", highlight=False, soft_wrap=True)
