"""Documents -> ground truth: one task run per step; the request engine holds limits and progress."""

from typing import Any

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from rageval.config.models import ModelConfig
from rageval.engine import served_models as models
from rageval.ground_truth import generation as ground_truth
from rageval.ground_truth import manifest as generation_manifest
from rageval.ground_truth.config import GenerationConfig
from rageval.ground_truth.sentences import generation_rows, render_generation
from rageval.runs.run import Run
from tasks import process
from tasks.limits import LimitSlots, check_limits
from tasks.report import follow_model


@task(task_run_name="begin-{run.run_id}")
def begin_generation(run: Run, config: GenerationConfig) -> int:
    """Write `generation.json` and store the documents; returns how many there are."""
    logger = get_run_logger()
    for note in run.repair():
        logger.warning("Repaired: %s", note)
    generation_manifest.begin(run, config)
    documents = ground_truth.store_documents(run, config)
    logger.info("Run %s in %s: %d documents", run.run_id, run.folder, documents)
    return documents


@task
def check_writers(config: GenerationConfig) -> None:
    """Reach every endpoint with its key before anything is spent."""
    check_limits(config.models)
    names = models.check_models(config.models, process.engine())
    get_run_logger().info("Models can be asked: %s", ", ".join(dict.fromkeys(names)))


@task(task_run_name="ask-{writer.name}")
def ask_questions(run: Run, config: GenerationConfig, writer: ModelConfig) -> None:
    """Ask for questions about every document; documents that have a reply are not asked about again."""
    label = ground_truth.questions_label(config)
    with LimitSlots([writer], process.engine()) as places, follow_model(label, "Documents asked about"):
        places.take()
        asked = ground_truth.ask_questions(run, config, writer, process.engine())
    get_run_logger().info("%d documents asked about now", asked)


@task(task_run_name="check-{checker.name}")
def check_questions(run: Run, config: GenerationConfig, checker: ModelConfig) -> None:
    """Let a model judge whether each question is answered by its document; verdicts that are there stay."""
    with (
        LimitSlots([checker], process.engine()) as places,
        follow_model(ground_truth.checks_label(config), "Questions checked"),
    ):
        places.take()
        checked = ground_truth.check_questions(run, config, checker, process.engine())
    get_run_logger().info("%d questions checked now", checked)


@task
def write_ground_truth(run: Run, config: GenerationConfig) -> dict[str, Any]:
    """Write the table of all questions and the CSV of the kept ones; returns the manifest."""
    ended = ground_truth.write_ground_truth(run, config)
    create_markdown_artifact(
        key="rageval-ground-truth", markdown=render_generation(ended), description=f"Questions of {run.run_id}"
    )
    table = generation_rows(ended)
    create_table_artifact(key="rageval-ground-truth-table", table=table, description=f"Questions of {run.run_id}")
    get_run_logger().info("Run %s is %s", run.run_id, ended["status"])
    return ended
