"""A run that has its answers -> scores that it lacks, or verdicts of another judge or prompt; answers stay as they are.

A score counts as missing if it is not stored, if its metric has another version now, or if another judge gave it. What
verdicts it replaces is kept in `replaced/` of the run's folder. While a rescoring is under way the run counts as
incomplete, because the same metric may then hold verdicts of two judges.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rageval.config.evaluation import EvaluationConfig
from rageval.engine.chunks import plan_chunks
from rageval.errors import ConfigError, DataError
from rageval.judging.calls import JudgeCall
from rageval.judging.plan import ScorePlan
from rageval.metrics import catalogue
from rageval.metrics.names import split_detail
from rageval.pipeline import completeness as runs
from rageval.pipeline.estimate import VERDICTS, Estimate, ExpectedCalls, estimate_calls, expected_verdicts
from rageval.records import Chunk
from rageval.runs import life
from rageval.runs.inputs import question_ids
from rageval.runs.manifest import Ending, Manifest, ReplacedVerdicts, RescoringNote, read_manifest, write_manifest
from rageval.runs.run import Run
from rageval.scoring.computing import count_computed
from rageval.scoring.scores import pending_calls
from rageval.storage.files import write_parquet
from rageval.systems.kinds import stored_systems
from rageval.systems.system import System
from rageval.tables import SCORES


@dataclass(frozen=True, kw_only=True)
class Rescoring:
    """What is to be scored."""

    config: EvaluationConfig
    """The run's, with the metrics and judges that it will have."""
    systems: tuple[System, ...]
    """Whose answers are scored."""
    plan: ScorePlan

    @property
    def metrics(self) -> dict[str, str]:
        """The version of each metric that is scored."""
        return {metric.name: metric.version for metric in self.plan.metrics}


def settings_of(run: Run) -> EvaluationConfig:
    """Return the settings that the run was started with.

    Raises:
        DataError: If the run has not got as far as its answers.
    """
    if not run.has("questions") or not (run.has("answers") or run.has_unmerged("answers")):
        raise DataError(f"the run {run.run_id!r} in {run.path.parent} has no answers yet; start it again to get them")
    return read_manifest(run).config


def rescoring(run: Run, config: EvaluationConfig, metrics: Sequence[str]) -> Rescoring:
    """Return what has to be scored.

    Args:
        run: The run.
        config: Its settings, with the judges and metrics that are wanted now.
        metrics: Names of metrics; empty for those of the configuration and the usual ones, as far as they ask no model.

    Raises:
        ConfigError: If a metric is unknown, a setting differs that answers depend on, or another rescoring has to be
            finished first.
    """
    life.refuse_other_settings(
        run, config, ("data", "index", "retrieval", "retrievers", "prompts", "models", "systems", "run")
    )
    free = catalogue.computed([*config.metrics, *catalogue.chosen(())])
    names = _named(metrics) or [metric.name for metric in free]
    computed, judged = catalogue.computed(names), catalogue.judged(names)
    _refuse_second_rescoring(run, [metric.name for metric in judged])
    config = _with_metrics(run, config, names)
    plan = ScorePlan(
        index=config.index, computed=computed, judged=judged, judges=config.judges if judged else (),
        again_share=config.judge.again_share, combine=config.judge.combine, seed=config.data.seed, renew=True,
    )  # fmt: skip
    return Rescoring(config=config, systems=tuple(stored_systems(run, config)), plan=plan)


def chunks_of(run: Run, config: EvaluationConfig) -> list[Chunk]:
    """Return the chunks in which the run's rows are stored."""
    return plan_chunks(run.count("questions"), config.chunk_size, config.run.repeats)


def verdicts(run: Run, wanted: Rescoring) -> dict[str, int]:
    """Return how many calls of each judge the run is to have, by name, stored ones included."""
    counts: Counter[str] = Counter()
    for (judge, _), n in wanted.plan.calls(question_ids(run)).items():
        counts[judge] += wanted.config.run.repeats * len(wanted.systems) * n
    return counts


def estimate(run: Run, wanted: Rescoring) -> tuple[int, list[Estimate]]:
    """Return how many scores would be computed without a model, and what each judge would be asked."""
    work = [(system, chunk) for system in wanted.systems for chunk in chunks_of(run, wanted.config)]
    pending = [call for system, chunk in work for call in pending_calls(run, chunk, system, wanted.plan)]
    computed = sum(count_computed(run, chunk, system, wanted.plan) for system, chunk in work)
    asked = [(judge, [call for call in pending if call.judge == judge]) for judge in wanted.plan.judges]
    return computed, [estimate_calls(wanted.config, judge, VERDICTS, _expected(calls)) for judge, calls in asked]


def _expected(calls: Sequence[JudgeCall]) -> list[ExpectedCalls]:
    return [expected_verdicts(1, call.request.messages, len(call.request.verdicts) or 1) for call in calls]


def begin(run: Run, wanted: Rescoring) -> None:
    """Note what is about to be scored, and keep the verdicts that it will replace."""
    manifest = read_manifest(run)
    last = _unfinished(manifest)
    note = RescoringNote(
        started_at=_now(),
        status="running",
        metrics=wanted.metrics,
        judges=tuple(judge.name for judge in wanted.plan.judges),
        before=last.before if last else Ending(status=manifest.status, reason=manifest.reason),
        replaced=_keep_replaced(run, wanted.plan),
    )
    groups = ("metrics", "judge") if wanted.plan.judged else ("metrics",)
    config = manifest.config.model_copy(update={group: getattr(wanted.config, group) for group in groups})
    reason = "it is being scored once more; if that has stopped, start `rageval rescore` again"
    changes = {"status": "incomplete", "reason": reason, "config": config, "rescored": (*manifest.rescored, note)}
    write_manifest(run, manifest.model_copy(update=changes))


def finish(run: Run, wanted: Rescoring, *, scored: int, stopped: str | None) -> Manifest:
    """Merge what was scored, note how it ended, and return the manifest."""
    runs.merge(run, wanted.systems, chunks_of(run, wanted.config))
    if not stopped:
        _drop_outdated(run, wanted.plan)
    manifest = read_manifest(run)
    note = manifest.rescored[-1]
    reason = stopped
    if not reason and note.before.status == "complete":
        reason = runs.too_many_failures(run, wanted.config)
    ended = {"finished_at": _now(), "scored": scored, "status": "incomplete" if reason else "complete"}
    if not reason and note.before.status != "complete":
        reason = _left_over(run, wanted.config, note.before.reason)
    changes = {
        "status": "incomplete" if reason else "complete",
        "reason": reason,
        "rescored": (*manifest.rescored[:-1], note.model_copy(update=ended)),
        **life.measured(run),
    }
    return write_manifest(run, manifest.model_copy(update=changes))


def _left_over(run: Run, config: EvaluationConfig, before: str | None) -> str | None:
    """Return why a run that was not complete before still is not, or None: other verdicts may have made it so."""
    if runs.what_is_missing(run, config, run.count("questions")):
        return before or "it had not ended when it was scored once more; start it again"
    return runs.too_many_failures(run, config)


def unfinished(run: Run) -> str | None:
    """Return why a run counts as incomplete because of a rescoring that has not ended, or None."""
    entry = _unfinished(read_manifest(run))
    if entry is None:
        return None
    return f"a rescoring of {', '.join(entry.metrics)} has not ended; go on with {_command(run, entry)}"


def _named(metrics: Sequence[str]) -> Sequence[str]:
    try:
        return catalogue.chosen(metrics) if metrics else ()
    except ValueError as error:
        raise ConfigError(f"--metric {error}") from None


def _unfinished(manifest: Manifest) -> RescoringNote | None:
    last = manifest.rescored[-1] if manifest.rescored else None
    return last if last and last.status != "complete" else None


def _command(run: Run, entry: RescoringNote) -> str:
    words = [*(f"--metric {name}" for name in entry.metrics), *(f"--judge {name}" for name in entry.judges)]
    return " ".join(["rageval rescore", run.folder, *words])


def _refuse_second_rescoring(run: Run, judged: Sequence[str]) -> None:
    entry = _unfinished(read_manifest(run))
    if entry and not {metric.name for metric in catalogue.judged(entry.metrics)} <= set(judged):
        raise ConfigError(
            f"the rescoring of the run {run.run_id!r} that was started at {entry.started_at} has not ended, so its "
            f"verdicts are of two kinds; go on with it first, by any judge: {_command(run, entry)}"
        )


def _with_metrics(run: Run, config: EvaluationConfig, names: Sequence[str]) -> EvaluationConfig:
    """Return the configuration of the run with these metrics added."""
    has = settings_of(run)
    if not catalogue.judged(names):
        return config.model_copy(update={"metrics": catalogue.chosen([*has.metrics, *names])})
    # What a run names for judges that it never asked is not added along with what is wanted now.
    kept = has.metrics if has.judge.enabled else [metric.name for metric in catalogue.computed(has.metrics)]
    judge = config.judge.model_copy(update={"enabled": True})
    return config.model_copy(update={"metrics": catalogue.chosen([*kept, *names]), "judge": judge})


def _is_outdated(plan: ScorePlan, row: Mapping[str, Any]) -> bool:
    """Return whether a stored row is a verdict on a metric of the plan that is not, or no longer, in the plan."""
    metric, _ = split_detail(row["metric"])
    if metric not in [judged.name for judged in plan.judged]:
        return False
    planned = next((s for s in plan.scores(row["question_id"]) if s.name == row["metric"]), None)
    if planned is None or row["metric_version"] != planned.version:
        return True
    judge = planned.judge.name if planned.judge else " + ".join(judge.name for judge in plan.judges)
    return bool(row["judge_model"] != judge)


def _outdated(run: Run, plan: ScorePlan) -> pa.Array:
    rows = run.read("scores", ["question_id", "metric", "metric_version", "judge_model"])
    return pa.array([_is_outdated(plan, row) for row in rows.to_pylist()], pa.bool_())


def _keep_replaced(run: Run, plan: ScorePlan) -> ReplacedVerdicts:
    """Copy the verdicts that will be replaced to a file of their own; they were paid for."""
    if not plan.judged or not run.has("scores"):
        return ReplacedVerdicts(rows=0)
    rows = run.read("scores").filter(_outdated(run, plan))
    if not rows.num_rows:
        return ReplacedVerdicts(rows=0)
    name = f"replaced/scores-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}.parquet"
    write_parquet(run.path / name, [rows], SCORES)
    return ReplacedVerdicts(rows=rows.num_rows, cost_usd=pc.sum(rows["cost_usd"]).as_py(), file=name)


def _drop_outdated(run: Run, plan: ScorePlan) -> None:
    """Remove second verdicts and panel verdicts that belong to the judges of before."""
    outdated = _outdated(run, plan) if plan.judged else None
    if outdated is not None and pc.any(outdated).as_py():
        run.write("scores", run.read("scores").filter(pc.invert(outdated)))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
