"""Score the answers of a run once more: metrics that it lacks, or verdicts of another judge; nothing is answered."""

from dataclasses import dataclass, replace
from typing import Any

from prefect import get_run_logger
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run

from flows.entrance import flow
from flows.workers import THREADS, workers
from rageval.config.evaluation import EvaluationConfig
from rageval.engine.request_engine import RequestEngine
from rageval.errors import RagevalError, RunStoppedError
from rageval.pipeline import rescore as stage
from rageval.pipeline.batch import refuse_open_batches
from rageval.pipeline.estimate import check_prices
from rageval.records import Chunk
from rageval.report.writing import sentence
from rageval.runs.manifest import Manifest
from rageval.runs.run import Run
from rageval.scoring.scores import verdicts_label
from rageval.telemetry.tracing import step
from tasks.ending import as_stop, end_in_words
from tasks.process import working
from tasks.report import ProgressArtifact, write_rescored_report
from tasks.runs import check_models, serve_models, spent_usd
from tasks.scores import rescore_chunks

_PARTS = 64


@dataclass(frozen=True, kw_only=True)
class RescoringResult:
    """The run that was scored once more, and how that ended."""

    run_id: str
    folder: str
    status: str
    scored: int
    """Scores that were made now."""
    manifest: Manifest


def _run_name() -> str:
    given = flow_run.parameters  # without what the deployment leaves out
    return f"{given['folder']}: {', '.join(given.get('metrics', ())) or 'all metrics that ask no model'}"


@flow(name="rescore", flow_run_name=_run_name, task_runner=THREADS)
def rescore(folder: str, metrics: tuple[str, ...] = (), config: EvaluationConfig | None = None) -> RescoringResult:
    """Add scores to a run, or have its answers judged again; its answers are not asked for again.

    Args:
        folder: The run's folder.
        metrics: What to score; empty for those of the configuration and the usual ones, as far as they ask no model.
        config: The run's settings with other judges or metrics; empty for the run's own.
    """
    return end_in_words(lambda: _rescore(Run(folder), metrics, config))


def _rescore(run: Run, metrics: tuple[str, ...], config: EvaluationConfig | None) -> tuple[RescoringResult, str]:
    config = config or stage.settings_of(run)
    with run.lock(), step("rescore", run_id=run.run_id):
        for note in run.repair():
            get_run_logger().warning("Repaired: %s", note)
        wanted = stage.rescoring(run, config, metrics)
        chunks = stage.chunks_of(run, wanted.config)
        if wanted.plan.judges:
            check_prices(wanted.config)
            refuse_open_batches(run)
        spent = spent_usd(run, wanted.config, wanted.systems, chunks)
        with (
            RequestEngine(max_cost_usd=wanted.config.run.max_cost_usd, spent_usd=spent) as engine,
            working(engine, run),
        ):
            if wanted.plan.judges:
                check_models(wanted.plan.judges)
            engine.spending.check()
            stage.begin(run, wanted)
            scored, stopped = _score(run, wanted, chunks, engine)
        ended = write_rescored_report(run, wanted, scored, str(stopped) if stopped else None)
    if stopped:
        raise stopped
    if ended.rescored[-1].status != "complete":
        raise RunStoppedError(
            f"the run {run.run_id!r} is incomplete: {ended.reason}. Every score that was made is saved; the same "
            "command goes on"
        )
    result = RescoringResult(run_id=run.run_id, folder=run.folder, status=ended.status, scored=scored, manifest=ended)
    return result, f"{scored:,} scores made now; the run is {sentence(run)}"


def _score(
    run: Run, wanted: stage.Rescoring, chunks: list[Chunk], engine: RequestEngine
) -> tuple[int, RagevalError | None]:
    """Score all chunks; returns how many scores were made now, and the error that ended it early, or None."""
    scored = 0
    with serve_models((), wanted.plan.judges) as models, workers(run, wanted.config.run, engine) as worker_pool:
        plan = replace(wanted.plan, judges=models.judges)
        verdicts = stage.verdicts(run, wanted)
        for judge in models.judges:
            engine.expect(verdicts_label(judge), verdicts[judge.name])
        size = -(-len(chunks) * len(wanted.systems) // _PARTS) or 1
        # A few task runs, and not one for every chunk: most of them only compute.
        parts = [chunks[start : start + size] for start in range(0, len(chunks), size)]
        futures: list[PrefectFuture[Any]] = [
            rescore_chunks.submit(run, part, number, system, plan, wanted.config.run, return_state=False)
            for system in wanted.systems
            for number, part in enumerate(parts, start=1)
        ]
        try:
            with ProgressArtifact(total=len(futures), description="Parts scored") as progress:
                for future in futures:
                    scored += future.result()
                    progress.advance()
        except BaseException as raised:
            # Ctrl-C or a cancellation too: whatever it is, what runs has to end first.
            error = as_stop(raised)
            worker_pool.stop(error)
            for future in futures:
                future.wait()
            ended = worker_pool.explained(error)
            if isinstance(ended, RagevalError):
                return scored, ended
            raise
    return scored, None
