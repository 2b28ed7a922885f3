"""A run begins and ends: its lock, its manifest, the embedded model. Context managers and steps for flows."""

from collections.abc import Sequence
from contextlib import AbstractContextManager

from prefect import get_run_logger, task

from rageval.config.evaluation import EvaluationConfig
from rageval.config.models import ModelConfig
from rageval.engine import served_models as models
from rageval.pipeline import estimate
from rageval.records import Chunk
from rageval.runs import costs, life
from rageval.runs.run import Run
from rageval.search.backends import settled
from rageval.systems.system import System
from tasks import process
from tasks.limits import check_limits


@task(task_run_name="begin-{run.run_id}")
def begin_run(run: Run, config: EvaluationConfig) -> EvaluationConfig:
    """Repair what a kill may have left, and write `run.json`; returns the settings that this start goes by."""
    logger = get_run_logger()
    notes = run.repair()
    for note in notes:
        logger.warning("Repaired: %s", note)
    config = settled(config, life.searched_index(run))
    life.begin(run, config, notes)
    logger.info("Run %s in %s", run.run_id, run.folder)
    return config


@task
def check_models(asked: Sequence[ModelConfig]) -> None:
    """Reach every endpoint with its key before anything is spent."""
    check_limits(asked)
    if names := models.check_models(asked, process.engine()):
        get_run_logger().info("Models can be asked: %s", ", ".join(dict.fromkeys(names)))


@task
def note_estimate(run: Run, config: EvaluationConfig) -> None:
    """Keep in `run.json` what the whole run is expected to take, to be compared with what it took."""
    life.describe_estimate(run, estimate.estimate_whole(run, config))


def spent_usd(run: Run, config: EvaluationConfig, systems: Sequence[System], chunks: Sequence[Chunk]) -> float | None:
    """Return the dollars that earlier starts have spent, None if unknown; only a run with a ceiling has to know."""
    return costs.spent_usd(run, [system.name for system in systems], chunks) if config.run.max_cost_usd else 0.0


def serve_models(
    answering: Sequence[ModelConfig], judges: Sequence[ModelConfig]
) -> AbstractContextManager[models.ServedModels]:
    """Keep the embedded model running while the block runs, if any of the models is it."""
    return models.serve_models(answering, judges)
