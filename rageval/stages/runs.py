"""Which folder a run has, and whether everything in it is done."""

import secrets
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from rageval.adapters.run_store import ChunkTable, RunStore
from rageval.config import EvaluationConfig, RunOptions
from rageval.errors import ConfigError, RunStoppedError
from rageval.records import Chunk
from rageval.stages.scores import judge_metrics


def open_run(options: RunOptions) -> RunStore:
    """Return the store of the run that is named, or of a new one named after the time."""
    run_id = options.run_id or f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    return RunStore(str(Path(options.output) / run_id))


def check_retry(run: RunStore, options: RunOptions) -> None:
    """Make sure that there is something to ask again for.

    Raises:
        ConfigError: If only failed requests are wanted, of a run that has not been started.
    """
    if options.retry_failed and not run.has("questions"):
        raise ConfigError(
            f"there is no run {run.run_id!r} in {run.path.parent} whose failed requests could be asked again; name "
            "one with --run-id, or leave --retry-failed out"
        )


def is_finished(run: RunStore, config: EvaluationConfig, questions: int) -> bool:
    """Return whether every answer and every score of the run is stored and none has failed."""
    groups = len(config.answers.models) * len(config.answer_search) * questions
    scores = groups * (1 + len(judge_metrics(config.judge)))
    return _count(run, "answers", ["ok"]) == groups and _count(run, "scores", ["ok", "unscored"]) == scores


def merge(run: RunStore, config: EvaluationConfig, chunks: Iterable[Chunk]) -> None:
    """Write the parts of all chunks into the run's tables."""
    order = [(model.name, chunk) for model in config.answers.models for chunk in chunks]
    run.merge_chunks("answers", order)
    run.merge_chunks("scores", order)


def too_many_failures(run: RunStore, config: EvaluationConfig) -> str | None:
    """Return why the run counts as incomplete, or None: the shares of failed answers and of failed verdicts."""
    limit = config.run.max_failed_share
    scores = run.read("scores")
    verdicts = scores.filter(pc.is_valid(scores["judge_model"]))
    for name, rows in (("answers", run.read("answers")), ("verdicts", verdicts)):
        failed = pc.sum(pc.equal(rows["status"], "failed")).as_py() or 0
        if failed > limit * rows.num_rows:
            return (
                f"{failed} of {rows.num_rows} {name} failed, more than run.max_failed_share = {limit:g} allows "
                f"(most often: {_most_frequent(rows.filter(pc.equal(rows['status'], 'failed'))['error'])})"
            )
    return None


def what_is_missing(run: RunStore, config: EvaluationConfig, questions: int) -> str | None:
    """Return why a run that asked only for what had failed is incomplete, or None."""
    answers = len(config.answers.models) * len(config.answer_search) * questions
    for name, expected in (("answers", answers), ("scores", answers * (1 + len(judge_metrics(config.judge))))):
        missing = expected - run.read(name).num_rows
        if missing > 0:
            return f"{missing} of {expected} {name} are missing, and run.retry_failed asks only for what has failed"
    return None


def raise_if_incomplete(run: RunStore, reason: str | None) -> None:
    """End a run that is not complete, saying how to go on.

    Raises:
        RunStoppedError: If there is a reason.
    """
    if reason:
        raise RunStoppedError(
            f"the run {run.run_id!r} is incomplete: {reason}. Everything finished is saved in {run.folder}; start it "
            f"again with --run-id {run.run_id}, and it asks only for what is missing or failed"
        )


def _most_frequent(values: pa.ChunkedArray) -> str:
    counts = pc.value_counts(values).to_pylist()
    return str(max(counts, key=lambda item: item["counts"])["values"])


def _count(run: RunStore, table: ChunkTable, statuses: list[str]) -> int:
    if run.has_unmerged(table) or not run.has(table):
        return -1
    return int(pc.sum(pc.is_in(run.read(table)["status"], value_set=pa.array(statuses))).as_py() or 0)
