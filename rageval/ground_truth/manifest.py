"""`generation.json`: what a generation of questions was told, what it worked on, and how it went."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rageval.config.effects import SENT
from rageval.engine.prices import cost_usd
from rageval.errors import ConfigError
from rageval.ground_truth.config import GenerationConfig
from rageval.ground_truth.prompts import CHECK_PROMPT_VERSION, QUESTIONS_PROMPT_VERSION
from rageval.records import Usage
from rageval.runs.life import git_revision
from rageval.runs.run import Run

MANIFEST = "generation.json"
_RESULTS = (
    "filter_by", "only", "sample", "seed", "per_document", "check", "near_threshold", "fewest_words", "embedding_model",
)  # fmt: skip
_MODEL_RESULTS = ("name", *SENT)


def begin(run: Run, config: GenerationConfig) -> None:
    """Note that the run has been started, once more or for the first time.

    Raises:
        ConfigError: If it was started before with settings that would give other questions, or is no generation.
    """
    if run.read_json("run.json"):
        raise ConfigError(f"{run.folder} holds an evaluation, not a generation; give another --run-id")
    manifest = run.read_json(MANIFEST)
    if manifest:
        changed = _changed(manifest["config"], config.model_dump(mode="json"))
        if changed:
            raise ConfigError(
                f"the run {run.run_id!r} was started with other settings ({', '.join(changed)} differ); resume it with "
                "its own settings, or give another --run-id"
            )
    refuse_to_overwrite(manifest, config)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    manifest |= {
        "run_id": run.run_id,
        "status": "running",
        "reason": None,
        "config": config.model_dump(mode="json"),
        "prompt_versions": {"questions": QUESTIONS_PROMPT_VERSION, "check": CHECK_PROMPT_VERSION},
        "git_revision": git_revision(),
    }
    manifest.setdefault("started_at", now)
    run.write_json(MANIFEST, manifest)


def refuse_to_overwrite(manifest: Mapping[str, Any], config: GenerationConfig) -> None:
    """Make sure that `out` is no file that somebody else has written.

    Raises:
        ConfigError: If it is.
    """
    if config.out and Path(config.out).exists() and manifest.get("written_to") != config.out:
        raise ConfigError(f"{config.out} exists already; give another --file, or move it away")


def describe_documents(run: Run, count: int, fingerprint: str) -> None:
    """Keep the identity of the documents.

    Raises:
        ConfigError: If the run was started before with other ones.
    """
    manifest = run.read_json(MANIFEST)
    if manifest.get("documents_fingerprint", fingerprint) != fingerprint:
        raise ConfigError(
            f"the documents have changed since the run {run.run_id!r} was started; restore them to resume it, or give "
            "another --run-id"
        )
    run.write_json(MANIFEST, manifest | {"documents": count, "documents_fingerprint": fingerprint})


def finish(run: Run, *, reason: str | None, totals: Mapping[str, Any]) -> dict[str, Any]:
    """Note how the run ended, and return its manifest."""
    manifest = run.read_json(MANIFEST) | dict(totals)
    manifest |= {
        "status": "incomplete" if reason else "complete",
        "reason": reason,
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    run.write_json(MANIFEST, manifest)
    return manifest


def stop(run: Run, reason: str) -> None:
    """Note why a run ended early, unless it has got as far as to note it itself."""
    manifest = run.read_json(MANIFEST)
    if manifest.get("status") == "running":
        run.write_json(MANIFEST, manifest | {"status": "incomplete", "reason": reason})


def check_prices(config: GenerationConfig) -> None:
    """Make sure that what a run with a ceiling spends can be known.

    Raises:
        ConfigError: If it has a ceiling, and the price of any of its models is unknown.
    """
    if config.max_cost_usd is None:
        return
    for model in config.models:
        if cost_usd(model, Usage(prompt_tokens=1, completion_tokens=1)) is None:
            raise ConfigError(
                f"max_cost_usd needs the price of every model, and that of {model.name!r} is unknown; give its "
                "input_usd_per_mtok and output_usd_per_mtok, or leave --max-cost-usd out"
            )


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    changed = [name for name in _RESULTS if before.get(name) != now[name]]
    for role in ("model", "checker"):
        old, new = before.get(role) or {}, now[role] or {}
        changed += [f"{role}.{name}" for name in _MODEL_RESULTS if old.get(name) != new.get(name)]
    return changed
