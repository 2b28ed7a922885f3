"""A run begins and ends: its lock, its manifest, the embedded model. Context managers and steps for flows."""

from contextlib import AbstractContextManager

from prefect import get_run_logger, task

from rageval.adapters.run_store import RunStore
from rageval.config import EvaluationConfig
from rageval.errors import RagevalError
from rageval.stages import manifest, models


@task(task_run_name="begin-{run.run_id}")
def begin_run(run: RunStore, config: EvaluationConfig) -> None:
    """Repair what a kill may have left, and write `run.json`."""
    logger = get_run_logger()
    notes = run.repair()
    for note in notes:
        logger.warning("Repaired: %s", note)
    manifest.begin(run, config, notes)
    logger.info("Run %s in %s", run.run_id, run.folder)


@task
def check_models(config: EvaluationConfig) -> None:
    """Reach every endpoint with its key before anything is spent."""
    names = models.check_models(config)
    get_run_logger().info("Models can be asked: %s", ", ".join(dict.fromkeys(names)))


def note_stop(run: RunStore, error: RagevalError) -> None:
    """Keep in `run.json` why a run ended before its report was written."""
    manifest.stop(run, str(error))


def serve_models(config: EvaluationConfig) -> AbstractContextManager[models.ServedModels]:
    """Keep the embedded model running while the block runs, if the run uses it."""
    return models.serve_models(config)
