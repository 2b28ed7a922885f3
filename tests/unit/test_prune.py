"""Retention of run folders: what goes, what never does, and that nothing goes unasked."""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from rageval.cli import main as cli
from rageval.embedding.vector_cache import VectorCache
from rageval.errors import ConfigError, DataError
from rageval.pipeline.prune import Retention, plan_prune, prune
from rageval.runs.accepted_runs import accept_run
from rageval.runs.batch_log import BatchLog
from rageval.runs.run import Run

NOW = datetime(2026, 2, 1, tzinfo=UTC)


def stored(folder: Path, age_days: float, *, manifest: str = "run.json", **values: object) -> Run:
    """Write a folder as far as retention looks at it, last used so many days ago."""
    run = Run(str(folder))
    started = (NOW - timedelta(days=age_days)).isoformat()
    run.write_json(
        manifest, {"run_id": folder.name, "status": "complete", "started_at": started, "config": {}} | values
    )
    (folder / "answers.parquet").write_bytes(b"x" * 1000)
    return run


def going(folder: Path, **rules: object) -> list[str]:
    plan = plan_prune(str(folder), Retention(**rules), now=NOW)  # type: ignore[arg-type]
    return [entry.name for entry in plan.going]


def carry_out(folder: Path, **rules: object) -> dict[str, str | None]:
    plan = plan_prune(str(folder), Retention(**rules), now=NOW)  # type: ignore[arg-type]
    return {entry.name: why for entry, why in prune(plan)}


def test_what_goes_has_to_meet_every_rule(tmp_path: Path) -> None:
    for age, status in ((1, "incomplete"), (2, "complete"), (10, "complete"), (20, "incomplete"), (30, "complete")):
        stored(tmp_path / f"d{age}", age, status=status)
    stored(tmp_path / "s40", 40, manifest="sweep.json")

    # Newest first; the only sweep is the newest of its kind.
    assert going(tmp_path, keep=2) == ["d10", "d20", "d30"]
    assert going(tmp_path, older_than_days=15) == ["d20", "d30", "s40"]
    assert going(tmp_path, keep=4, older_than_days=15) == ["d30"]
    assert going(tmp_path, incomplete=True) == ["d1", "d20"]
    assert going(tmp_path, incomplete=True, older_than_days=7) == ["d20"]
    assert going(tmp_path, cache=True) == []
    with pytest.raises(ConfigError, match="nothing says what may go"):
        going(tmp_path)


def test_a_run_is_as_old_as_its_last_start_or_rescoring(tmp_path: Path) -> None:
    recent = (NOW - timedelta(days=1)).isoformat()
    stored(tmp_path / "resumed", 50, starts=[{"started_at": recent, "notes": []}])
    stored(tmp_path / "rescored", 50, rescored=[{"finished_at": recent}])

    assert going(tmp_path, older_than_days=7) == []


def test_some_runs_stay_whatever_the_rules_say(tmp_path: Path) -> None:
    accept_run(stored(tmp_path / "accepted", 50), "nightly", "by hand")
    BatchLog(stored(tmp_path / "paid", 51), "answers of m").note("file-1", ["a"])
    locked = stored(tmp_path / "locked", 52)
    stored(tmp_path / "questions", 53, manifest="generation.json")
    stored(tmp_path / "used", 54, config={"data": {"ground_truth": str(tmp_path / "questions" / "ground-truth.csv")}})
    accept_run(Run(str(tmp_path / "used")), "weekly", "by hand")
    stored(tmp_path / "free", 55)

    with locked.lock():
        plan = plan_prune(str(tmp_path), Retention(keep=0), now=NOW)
        outcome = {entry.name: why for entry, why in prune(plan)}

    assert outcome == {"free": None}
    assert [sentence.partition(" stays: ")[0] for sentence in plan.kept] == [
        "accepted", "paid", "locked", "used", "questions",
    ]  # fmt: skip
    assert "used was started with a file in it" in plan.kept[-1]
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {
        "accepted", "paid", "locked", "used", "questions",
    }  # fmt: skip


def test_a_run_that_was_accepted_or_started_after_the_plan_stays(tmp_path: Path) -> None:
    first, second = stored(tmp_path / "first", 50), stored(tmp_path / "second", 51)
    plan = plan_prune(str(tmp_path), Retention(keep=0), now=NOW)
    accept_run(first, "nightly", "by hand")

    with second.lock():
        outcome = {entry.name: why for entry, why in prune(plan)}

    assert outcome == {
        "first": "it is the accepted run of 'nightly'",
        "second": "another process works on it",
    }
    assert first.has("answers")
    assert second.has("answers")


def test_nothing_outside_of_the_output_folder_and_nothing_foreign_goes(tmp_path: Path) -> None:
    output = tmp_path / "runs"
    outside = stored(tmp_path / "elsewhere" / "precious", 99)
    with_link = stored(output / "with-link", 99)
    (with_link.path / "link").symlink_to(outside.path)
    (output / "linked-run").symlink_to(outside.path)
    (output / ".cache").symlink_to(tmp_path / "elsewhere")
    (output / "notes").mkdir()
    (output / "other-tool").mkdir()
    (output / "other-tool" / "run.json").write_text(json.dumps({"run_id": "x", "status": "failed"}))
    (output / "damaged").mkdir()
    (output / "damaged" / "run.json").write_text("{")

    assert carry_out(output, keep=0, cache=True) == {"with-link": None}
    assert outside.has("answers")
    assert sorted(path.name for path in output.iterdir()) == [".cache", "damaged", "linked-run", "notes", "other-tool"]


def test_what_an_interrupted_removal_left_goes_with_the_next_one(tmp_path: Path) -> None:
    stored(tmp_path / ".pruned-old-a1b2c3", 99)

    assert carry_out(tmp_path, keep=5) == {".pruned-old-a1b2c3": None}


def test_a_damaged_list_of_accepted_runs_stops_everything(tmp_path: Path) -> None:
    stored(tmp_path / "old", 99)
    (tmp_path / "accepted.json").write_text("{")

    with pytest.raises(DataError, match=r"accepted\.json cannot be read"):
        going(tmp_path, keep=0)


def test_the_cache_loses_what_no_run_that_stays_has_used(tmp_path: Path) -> None:
    cache = tmp_path / ".cache"
    for model in ("minilm@1", "bge@2", "sweep-model@3"):
        VectorCache(cache / f"{model.replace('@', '-')}.vectors", model).add(
            np.ones((1, 2), np.uint64), np.ones((1, 2), np.float32)
        )
    for index in ("docs-a", "docs-b", "mine-sweep-00000000"):
        Run(str(cache / index)).write_json("index.json", {})
    (cache / "foreign.parquet").write_bytes(b"no table")
    stored(tmp_path / "old", 50, index={"name": "docs-b", "embedding_model": "bge@2"})
    new = stored(tmp_path / "new", 1, index={"name": "docs-a", "embedding_model": "minilm@1"})
    sweep = {"data": {"documents": "d.csv"}, "index": {"name": "mine"}, "grid": {"embedding_models": ["sweep-model"]}}
    stored(tmp_path / "sweep", 1, manifest="sweep.json", config=sweep)

    with new.lock():
        plan = plan_prune(str(tmp_path), Retention(keep=1, cache=True), now=datetime.now(UTC))
        assert [entry.name for entry in plan.going] == ["old"]
        assert plan.kept == (".cache stays: another process works on new",)

    plan = plan_prune(str(tmp_path), Retention(keep=1, cache=True), now=datetime.now(UTC))
    assert [(entry.kind, entry.name) for entry in plan.going] == [
        ("run", "old"), ("embeddings", "bge-2.vectors"), ("index", "docs-b"),
    ]  # fmt: skip
    list(prune(plan))
    assert sorted(path.name for path in cache.iterdir()) == [
        "docs-a", "foreign.parquet", "mine-sweep-00000000", "minilm-1.vectors",
        "sweep-model-3.vectors",
    ]  # fmt: skip


def test_the_command_removes_nothing_until_it_is_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(tmp_path / "old", 50)

    def call(*options: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["rageval", "prune", "--output", str(tmp_path), *options])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out + err

    status, said = call("--keep", "0")
    assert status == 0
    assert "old" in said
    assert "Dry run: nothing was removed. With --yes: 1 entries, 0.0 MB" in said
    assert (tmp_path / "old").exists()
    assert call("--keep", "0", "--yes")[1].endswith("Removed: 1 entries, 0.0 MB\n")
    assert not (tmp_path / "old").exists()
    assert call()[0] == 2
    assert "object store" in call("--output", "s3://bucket/runs", "--keep", "1")[1]
