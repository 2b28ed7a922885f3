"""Generate ground truth: documents -> questions, filtered and checked -> CSV."""

from dataclasses import dataclass
from typing import Any

from prefect.runtime import flow_run

from flows.entrance import flow
from rageval.config.evaluation import RunOptions
from rageval.engine.request_engine import RequestEngine
from rageval.errors import RunStoppedError
from rageval.ground_truth import manifest as generation_manifest
from rageval.ground_truth.config import GenerationConfig
from rageval.ground_truth.generation import GROUND_TRUTH, serve_writers, spent_usd
from rageval.ground_truth.sentences import generation_sentence
from rageval.pipeline.ending import end_of
from rageval.runs.folders import open_run
from rageval.runs.run import Run
from rageval.safety.urls import shown
from rageval.telemetry.tracing import step
from tasks.ending import as_stop, end_in_words
from tasks.ground_truth import ask_questions, begin_generation, check_questions, check_writers, write_ground_truth
from tasks.process import working


@dataclass(frozen=True, kw_only=True)
class GenerationResult:
    """Where the questions lie, and how the run ended."""

    run_id: str
    ground_truth: str
    status: str
    manifest: dict[str, Any]


def _run_name() -> str:
    config: GenerationConfig = flow_run.parameters.get("config", GenerationConfig())
    return f"questions from {shown(config.documents)}"


@flow(name="generate_ground_truth", flow_run_name=_run_name)
def generate_ground_truth(config: GenerationConfig = GenerationConfig()) -> GenerationResult:  # noqa: B008 - it is frozen
    """Let a model write the questions that documents answer, and keep those that can be measured with.

    With nothing set, the sample corpus is asked about with the embedded model, whose questions are poor.

    Args:
        config: Everything that can be set.
    """
    return end_in_words(lambda: _alone(config))


def _alone(config: GenerationConfig) -> tuple[GenerationResult, str]:
    """Generate as the only process that works on the run; returns the result and what it says."""
    run = open_run(RunOptions(output=config.output, run_id=config.run_id))
    generation_manifest.check_prices(config)
    with run.lock(), step("generate_ground_truth", run_id=run.run_id):
        begin_generation(run, config)
        try:
            result = _generate(run, config)
        except BaseException as error:
            # Whatever has ended it, the folder says so, or it would be at work for ever.
            generation_manifest.stop(run, end_of(as_stop(error)))
            raise
    return result, f"{generation_sentence(result.manifest)} They are in {result.ground_truth}"


def _generate(run: Run, config: GenerationConfig) -> GenerationResult:
    # Whatever ends it, Ctrl-C or a cancellation too: what is in flight ends with the engine.
    with RequestEngine(max_cost_usd=config.max_cost_usd, spent_usd=spent_usd(run)) as engine, working(engine):
        engine.spending.check()
        check_writers(config)
        with serve_writers(config) as models:
            ask_questions(run, config, models.writer)
            if models.checker:
                check_questions(run, config, models.checker)
    manifest = write_ground_truth(run, config)
    if manifest["reason"]:
        raise RunStoppedError(
            f"the run {run.run_id!r} is incomplete: {manifest['reason']}. Everything finished is saved in "
            f"{run.folder}; start it again with --run-id {run.run_id}, and it asks only for what has no reply "
            "that can be read"
        )
    return GenerationResult(
        run_id=run.run_id,
        ground_truth=str(run.path / GROUND_TRUTH),
        status=manifest["status"],
        manifest=manifest,
    )
