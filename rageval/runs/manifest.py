"""`run.json`: what a run was told, what it worked on, and how it went; the guard against mixing two runs in one."""

import math
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rageval.runs.run import Run
from rageval.config.evaluation import EvaluationConfig
from rageval.config.effects import may_change, sent
from rageval.errors import ConfigError
from rageval.runs.shortfalls import beginnings_compared, shortfalls
from rageval.runs import costs
from rageval.tables import SCHEMA_VERSION

MANIFEST = "run.json"
_PACKAGES = ("rageval", "prefect", "sentence-transformers", "lancedb", "elasticsearch", "openai", "pyarrow", "torch")
_TOKENS = "max_completion_tokens"
_GROUPS = ("data", "index", "retrieval", "retrievers", "prompts", "models", "systems", "metrics", "judge", "run")


def begin(run: Run, config: EvaluationConfig, notes: Sequence[str]) -> dict[str, Any]:
    """Note that the run has been started, once more or for the first time, and return its manifest.

    Raises:
        ConfigError: If the run was started before with settings that would give other results.
    """
    manifest = run.read_json(MANIFEST)
    settings = config.model_dump(mode="json")
    if manifest and run.has("questions"):
        refuse_other_settings(run, config)
    manifest |= {
        "schema_version": SCHEMA_VERSION,
        "run_id": run.run_id,
        "status": "running",
        "config": settings,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
        "git_revision": git_revision(),
    }
    manifest.setdefault("started_at", _now())
    manifest.setdefault("starts", []).append({"started_at": _now(), "notes": list(notes)})
    run.write_json(MANIFEST, manifest)
    return manifest


def describe_data(run: Run, dataset: Mapping[str, Any]) -> None:
    """Keep the identity of documents and questions.

    Raises:
        ConfigError: If the run was started before with other ones.
    """
    manifest = run.read_json(MANIFEST)
    before = manifest.get("dataset")
    for name in ("documents_fingerprint", "questions_fingerprint"):
        if before and before[name] != dataset[name]:
            raise ConfigError(
                f"the {name.split('_')[0]} have changed since the run {run.run_id!r} was started; "
                "restore them to resume it, or give another --run-id"
            )
    run.write_json(MANIFEST, manifest | {"dataset": dict(dataset)})


def describe_index(run: Run, index: Mapping[str, Any]) -> None:
    """Keep the identity of the index that was searched."""
    run.write_json(MANIFEST, run.read_json(MANIFEST) | {"index": dict(index)})


def searched_index(run: Run) -> str:
    """Return the fingerprint of the index that the run searches; empty if none is noted."""
    return str(run.read_json(MANIFEST).get("index", {}).get("fingerprint", ""))


def searched_backend(run: Run) -> str:
    """Return the search engine of the index that the run searches; empty if none is noted."""
    return str(run.read_json(MANIFEST).get("index", {}).get("backend", ""))


def describe_estimate(run: Run, estimate: Sequence[Mapping[str, Any]]) -> None:
    """Keep what the whole run was expected to take, as it was at its first start."""
    manifest = run.read_json(MANIFEST)
    if "estimate" not in manifest:
        run.write_json(MANIFEST, manifest | {"estimate": list(estimate)})


def finish(run: Run, *, status: str, reason: str | None, timings: Mapping[str, float]) -> dict[str, Any]:
    """Note how the run ended, with its totals, and return its manifest."""
    manifest = run.read_json(MANIFEST)
    manifest["starts"][-1] |= {
        "finished_at": _now(),
        "seconds": {stage: round(seconds, 3) for stage, seconds in timings.items()},
    }
    notes = [*manifest["dataset"]["notes"], *(note for start in manifest["starts"] for note in start["notes"])]
    notes += costs.reused(run)
    manifest |= {"status": status, "reason": reason, "finished_at": _now(), "notes": notes}
    manifest |= {"totals": costs.totals(run), "actual": costs.actual(run), "warnings": warnings(run)}
    run.write_json(MANIFEST, manifest)
    return manifest


def stop(run: Run, reason: str) -> None:
    """Note why a run ended early, unless it has got as far as to note it itself."""
    manifest = run.read_json(MANIFEST)
    if manifest["status"] == "running":
        run.write_json(MANIFEST, manifest | {"status": "incomplete", "reason": reason})


def warnings(run: Run) -> list[str]:
    """Return a sentence for everything that looks complete and is not."""
    lost = shortfalls(run.read("answers"), run.read("scores"))
    return [*(found.sentence for found in lost), *costs.unknown(run), *_beginnings(run)]


def _beginnings(run: Run) -> list[str]:
    """Return a sentence for each kind of text of which the embedding model read only the beginning."""
    manifest = run.read_json(MANIFEST)
    by_vectors = {"vector", "hybrid"} & {one["method"] for one in manifest["config"]["retrievers"]}
    said = (manifest.get("index") or {}).get("warning") if by_vectors else None
    cut = beginnings_compared(run.read("scores"))
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
    before, now = run.read_json(MANIFEST)["config"], config.model_dump(mode="json")
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
