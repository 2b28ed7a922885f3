"""The life of a run in its `run.json`: begun, described, ended; and the guard against mixing two runs in one."""

import math
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rageval.config.effects import may_change, sent
from rageval.config.evaluation import EvaluationConfig
from rageval.errors import ConfigError
from rageval.metrics import catalogue
from rageval.runs import costs
from rageval.runs.manifest import (
    Dataset,
    Manifest,
    ModelUsage,
    RunStart,
    SearchedIndex,
    find_manifest,
    read_manifest,
    write_manifest,
)
from rageval.runs.run import Run
from rageval.runs.shortfalls import ANSWER_COLUMNS, VERDICT_COLUMNS, beginnings_compared, shortfalls

_PACKAGES = (
    "rageval", "prefect", "sentence-transformers", "onnxruntime", "tantivy", "elasticsearch", "openai", "pyarrow",
    "torch",
)  # fmt: skip
_TOKENS = "max_completion_tokens"
_GROUPS = ("data", "index", "retrieval", "retrievers", "prompts", "models", "systems", "metrics", "judge", "run")


def begin(run: Run, config: EvaluationConfig, notes: Sequence[str]) -> Manifest:
    """Note that the run has been started, once more or for the first time, and return its manifest.

    Raises:
        ConfigError: If the run was started before with settings that would give other results.
    """
    before = find_manifest(run)
    if before and run.has("questions"):
        refuse_other_settings(run, config)
    start = RunStart(started_at=_now(), notes=tuple(notes))
    begun = before or Manifest(run_id=run.run_id, status="running", config=config, started_at=start.started_at)
    changes = {
        "status": "running",
        "config": config,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
        "git_revision": git_revision(),
        "starts": (*begun.starts, start),
    }
    return write_manifest(run, begun.model_copy(update=changes))


def describe_data(run: Run, dataset: Dataset) -> None:
    """Keep the identity of documents and questions.

    Raises:
        ConfigError: If the run was started before with other ones.
    """
    manifest = read_manifest(run)
    for name in ("documents_fingerprint", "questions_fingerprint"):
        if manifest.dataset and getattr(manifest.dataset, name) != getattr(dataset, name):
            raise ConfigError(
                f"the {name.split('_')[0]} have changed since the run {run.run_id!r} was started; "
                "restore them to resume it, or give another --run-id"
            )
    write_manifest(run, manifest.model_copy(update={"dataset": dataset}))


def describe_index(run: Run, index: SearchedIndex) -> None:
    """Keep the identity of the index that was searched."""
    write_manifest(run, read_manifest(run).model_copy(update={"index": index}))


def searched_index(run: Run) -> SearchedIndex | None:
    """Return the index that the run searches; None if none is noted."""
    manifest = find_manifest(run)
    return manifest.index if manifest else None


def describe_estimate(run: Run, estimate: Sequence[ModelUsage]) -> None:
    """Keep what the whole run was expected to take, as it was at its first start."""
    manifest = read_manifest(run)
    if manifest.estimate is None:
        write_manifest(run, manifest.model_copy(update={"estimate": tuple(estimate)}))


def finish(run: Run, *, reason: str | None, timings: Mapping[str, float]) -> Manifest:
    """Note how the run ended, with its totals, and return its manifest.

    Args:
        run: The run, its tables merged.
        reason: Why it is not complete; None if it is.
        timings: Seconds of each stage of this start.
    """
    manifest = read_manifest(run)
    seconds = {stage: round(value, 3) for stage, value in timings.items()}
    last = manifest.starts[-1].model_copy(update={"finished_at": _now(), "seconds": seconds})
    starts = (*manifest.starts[:-1], last)
    loaded = manifest.dataset.notes if manifest.dataset else ()
    changes = {
        "status": "incomplete" if reason else "complete",
        "reason": reason,
        "finished_at": last.finished_at,
        "starts": starts,
        "notes": (*loaded, *(note for start in starts for note in start.notes), *costs.reused(run)),
        **measured(run),
    }
    return write_manifest(run, manifest.model_copy(update=changes))


def measured(run: Run) -> dict[str, Any]:
    """Return what a manifest says of the tables: `totals`, `actual`, `warnings`."""
    return {"totals": costs.totals(run), "actual": costs.actual(run), "warnings": warnings(run)}


def stop(run: Run, reason: str) -> None:
    """Note why a run ended early, unless it has got as far as to note it itself."""
    manifest = read_manifest(run)
    if manifest.status == "running":
        write_manifest(run, manifest.model_copy(update={"status": "incomplete", "reason": reason}))


def warnings(run: Run) -> tuple[str, ...]:
    """Return a sentence for everything that looks complete and is not."""
    lost = shortfalls(run.read("answers", ANSWER_COLUMNS), run.read("scores", VERDICT_COLUMNS))
    return (*(found.sentence for found in lost), *costs.unknown(run), *_beginnings(run), *_unjudged(run))


def _unjudged(run: Run) -> list[str]:
    """Return a sentence where metrics are wanted that a judge is asked for, and none is named nor any model there."""
    config = read_manifest(run).config
    judged = [metric.name for metric in catalogue.judged(config.metrics)]
    if not judged or not config.judge.enabled or not config.plans or config.judge_model:
        return []
    return [f"no judge is named (judge.model, or --judge), so nothing was measured of {', '.join(judged)}"]


def _beginnings(run: Run) -> list[str]:
    """Return a sentence for each kind of text of which the embedding model read only the beginning."""
    manifest = read_manifest(run)
    by_vectors = {"vector", "hybrid"} & {retriever.method for retriever in manifest.config.searched}
    said = manifest.index.warning if manifest.index and by_vectors else None
    cut = beginnings_compared(run.read("scores", ["metric", "status", "reason"]))
    return [*([said] if said else []), *([cut] if cut else [])]


def git_revision() -> str | None:
    """Return the revision of the checkout this package runs from, or None outside of one."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"],  # noqa: S607 - whichever git the user has
            cwd=Path(__file__).parent, capture_output=True, text=True, timeout=5, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def refuse_other_settings(run: Run, config: EvaluationConfig, groups: Sequence[str] = _GROUPS) -> None:
    """Keep a run from being continued with settings that would give other results.

    Raises:
        ConfigError: If any setting of these groups differs from what the run was started with.
    """
    before, now = read_manifest(run).config.model_dump(mode="json"), config.model_dump(mode="json")
    lists = [group for group in groups if isinstance(now[group], list)]
    changed = [group for group in lists if not _gives_the_same(before.get(group), now[group])]
    changed += [
        f"{group}.{key}"
        for group in groups
        if group not in lists
        for key in now[group]
        if key not in may_change(group) and not _gives_the_same(before[group].get(key), now[group][key])
    ]
    if changed:
        raise ConfigError(
            f"the run {run.run_id!r} was started with other settings ({', '.join(changed)} differ); "
            "resume it with its own settings, or give another --run-id"
        )


def _gives_the_same(before: Any, now: Any) -> bool:
    """Return whether a setting gives the same results as before.

    A higher limit of tokens does: what it changes was cut for its length, and is asked for again.
    """
    if _essence(before) != _essence(now):
        return False
    pairs = zip(_token_limits(before), _token_limits(now), strict=True)
    return all(after >= limit for limit, after in pairs)


def _token_limits(value: Any) -> list[float]:
    """Return the limit of tokens of each model in a setting, in its order; infinity where there is none."""
    if isinstance(value, list):
        return [limit for item in value for limit in _token_limits(item)]
    if isinstance(value, dict) and "api_key_env" in value:
        limit = value.get(_TOKENS)
        return [math.inf if limit is None else limit]
    return []


def _essence(value: Any) -> Any:
    """Return a setting with what can change a result of each model in it."""
    if isinstance(value, list):
        return [_essence(item) for item in value]
    if isinstance(value, dict) and "api_key_env" in value:
        return {key: item for key, item in sent(value).items() if key != _TOKENS}
    return value
