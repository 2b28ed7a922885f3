"""A run's figures in the monitoring database: once, however often it is published, and as its summary has them."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from rageval.cli import main as cli
from rageval.comparison.summary import summarize
from rageval.errors import DataError
from rageval.monitoring.publish import publish
from rageval.monitoring.store.database import Database
from rageval.monitoring.store.schema import RUN_METRICS, RUNS
from rageval.runs.run import Run
from tests.made_runs import write_run

STARTS = [
    {"started_at": "2026-01-01T00:00:00+00:00", "finished_at": "2026-01-01T00:01:00+00:00"},
    {"started_at": "2026-01-02T00:00:00+00:00"},  # killed
    {"started_at": "2026-01-03T00:00:00+00:00", "finished_at": "2026-01-03T00:00:30+00:00"},
]


def made(folder: Path, **scores: list[float | None]) -> Run:
    manifest = {"starts": STARTS, "totals": {"requests": 2, "cost_usd": 0.5}}
    run = write_run(
        folder, scores={"m1": scores}, manifest=manifest, config={"data": {"filter_by": "course", "only": "c"}}
    )
    run.write("summary", summarize(*(run.read(n) for n in ("questions", "retrieval", "answers", "scores")), top_k=5))
    return run


def rows(database: Database, table: sa.Table) -> list[dict[str, Any]]:
    with database.reading() as connection:
        return [dict(row) for row in connection.execute(sa.select(table)).mappings()]


def test_a_run_is_published_as_its_summary_says_and_once_however_often(database: Database, tmp_path: Path) -> None:
    run = made(tmp_path / "r1", cosine=[0.8, None])
    figures = publish(database, run)
    first = rows(database, RUN_METRICS)

    assert publish(database, run) == figures == len(first) == run.read("summary").num_rows
    assert rows(database, RUN_METRICS) == first
    [published] = rows(database, RUNS)
    assert published.pop("published_at") > datetime(2026, 1, 1, tzinfo=UTC)
    assert published == {
        "run_id": "r1", "started_at": datetime(2026, 1, 1, tzinfo=UTC), "status": "complete", "filter_value": "c",
        "questions": 2, "cost_usd": 0.5, "wall_s": 90.0, "folder": run.folder,  # a minute and half a minute
    }  # fmt: skip
    [cosine] = [row for row in first if row["metric"] == "cosine"]
    assert (cosine["system"], cosine["n"], cosine["n_scored"], cosine["mean"]) == ("m1", 2, 1, 0.8)
    assert "" in {row["system"] for row in first}, "retrieval has no system"


def test_a_run_that_was_scored_anew_loses_the_figures_that_it_has_no_more(database: Database, tmp_path: Path) -> None:
    publish(database, made(tmp_path / "r1", cosine=[0.8, 0.6], rouge_l=[0.1, 0.3]))
    publish(database, made(tmp_path / "r2", cosine=[0.5, 0.5]))
    publish(database, made(tmp_path / "r1", cosine=[0.2, 0.4]))

    found = {
        (row["run_id"], row["metric"]): row["mean"] for row in rows(database, RUN_METRICS) if row["system"] == "m1"
    }
    assert found["r1", "cosine"] == pytest.approx(0.3)
    assert found["r2", "cosine"] == 0.5
    assert ("r1", "rouge_l") not in found


def test_a_folder_without_a_summary_is_refused_and_nothing_is_stored(database: Database, tmp_path: Path) -> None:
    unfinished = write_run(tmp_path / "r1", scores={"m1": {"cosine": [0.8]}}, status="incomplete")
    with pytest.raises(DataError, match=r"r1 has no summary \(status: incomplete\); `rageval report .*r1` writes it"):
        publish(database, unfinished)

    strange = made(tmp_path / "r2", cosine=[0.8])
    strange.write_json("run.json", {"run_id": "r2"})
    with pytest.raises(DataError, match=r"r2/run.json is not that of an evaluation run of this version \(status: "):
        publish(database, strange)
    assert rows(database, RUNS) == []


def test_the_command_publishes_every_run_that_it_is_given(
    database: Database, database_url: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    runs = [made(tmp_path / name, cosine=[0.8, 0.7]).folder for name in ("r1", "r2")]
    monkeypatch.setenv("MONITORING_DATABASE_URL", database_url)
    monkeypatch.setattr(sys, "argv", ["rageval", "publish", *runs])
    with pytest.raises(SystemExit) as ended:
        cli.main()

    assert ended.value.code == 0
    out = capsys.readouterr().out.replace("\n", "")
    assert "Published r1:" in out
    assert "onlyForThisTest1" not in out, "the password"
    assert {row["run_id"] for row in rows(database, RUNS)} == {"r1", "r2"}

    monkeypatch.setattr(sys, "argv", ["rageval", "publish", str(tmp_path / "nothing")])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
