"""What is stored of a run -> its tables, and in `run.json` how it ended."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from rageval.config.evaluation import EvaluationConfig
from rageval.errors import RagevalError, RunStoppedError
from rageval.pipeline import completeness, rescore
from rageval.records import Chunk
from rageval.runs import life
from rageval.runs.manifest import Manifest
from rageval.runs.run import Run
from rageval.systems.brought_contexts import store_brought
from rageval.systems.system import System


def end_run(
    run: Run,
    config: EvaluationConfig,
    systems: Sequence[System],
    chunks: Sequence[Chunk],
    timings: Mapping[str, float],
    stopped: str | None,
) -> Manifest:
    """Merge what is stored into the tables and note how the run ended; returns its manifest.

    Args:
        run: The run.
        config: Its settings.
        systems: Its systems.
        chunks: Its chunks.
        timings: Seconds of each stage of this start.
        stopped: Why it ended early, or None.
    """
    completeness.merge(run, systems, chunks)
    store_brought(run, config, systems)
    reason = stopped or completeness.too_many_failures(run, config)
    if config.run.retry_failed:
        reason = reason or completeness.what_is_missing(run, config, run.count("questions"))
    reason = reason or rescore.unfinished(run)
    return life.finish(run, reason=reason, timings=timings)


def note_stop(run: Run, error: BaseException) -> None:
    """Keep in `run.json` why a run ended before its report was written, unless the disk takes nothing more."""
    with suppress(RunStoppedError):
        life.stop(run, end_of(error))


def end_of(error: BaseException) -> str:
    """Return as text what has ended a run; what an error says that nobody expected may hold anything."""
    if isinstance(error, RagevalError):
        return str(error)
    if isinstance(error, Exception):
        return f"it ended with an unexpected {type(error).__name__}"
    return "it was cancelled or interrupted"
