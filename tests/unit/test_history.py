"""The history of a folder of runs made by hand: order, interruptions, and what is left out."""

import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rageval.comparison.history import history
from rageval.comparison.history_page import render_history_page
from rageval.comparison.history_rows import trend_rows
from rageval.comparison.summary import summarize
from rageval.comparison.trends import HISTORY, Trend
from rageval.errors import DataError
from rageval.runs.folders import read_columns, run_folders, write_table
from rageval.runs.run import Run
from tests.made_runs import write_run

VALUES = [0.0, 0.5, 1.0, 1.0] * 5
SCORES = {"m": {"cosine": VALUES, "correctness": VALUES}}


def write_summary(run: Run) -> Run:
    run.write("summary", summarize(*(run.read(n) for n in ("questions", "retrieval", "answers", "scores")), top_k=5))
    return run


def night(folder: Path, number: int, **changes: object) -> Run:
    """Write the run of a night; its name does not sort as its date does."""
    started = f"2026-01-{number:02d}T02:30:00+00:00"
    arguments = {"scores": SCORES, "started_at": started} | changes
    return write_summary(write_run(folder / f"run-{9 - number}", **arguments))  # type: ignore[arg-type]


def trend_of(trends: object, metric: str) -> Trend:
    (found,) = [trend for trend in trends if trend.metric == metric]  # type: ignore[attr-defined]
    return found


def test_runs_stand_in_the_order_of_their_start(tmp_path: Path) -> None:
    for number in (2, 1, 3):
        night(tmp_path, number)

    found = history(str(tmp_path))

    assert [trend.metric for trend in found.trends] == ["correctness", "cosine", "hit_rate@5"]
    rows = trend_rows(trend_of(found.trends, "cosine"))
    assert [(row["#"], row["run"]) for row in rows] == [("1", "run-8"), ("2", "run-7"), ("3", "run-6")]
    # (0 + 0.5 + 1 + 1) / 4 = 0.625 in every run.
    assert all(row["mean"].startswith("0.625 [") and row["n"] == "20/20" for row in rows)
    assert all(row["not comparable with before"] == "" for row in rows)


@pytest.mark.parametrize(
    ("change", "interrupted"),
    [
        ({"judge": "judge-2"}, {"correctness": "judge judge-1 → judge-2"}),
        ({"version": "2"}, dict.fromkeys(("cosine", "correctness"), "metric version 1 → 2")),
        (
            {"embedding_model": "bge@2"},
            {"cosine": "embedding model minilm@1 → bge@2"},
        ),
        ({"texts": "new"}, dict.fromkeys(("cosine", "correctness", "hit_rate@5"), "other documents")),
        (
            {"first_question": 1},
            dict.fromkeys(("cosine", "correctness", "hit_rate@5"), "other questions"),
        ),
    ],
    ids=["judge", "version", "embedding", "documents", "questions"],
)
def test_a_changed_yardstick_interrupts_the_trends_it_concerns(
    tmp_path: Path, change: dict[str, object], interrupted: dict[str, str]
) -> None:
    night(tmp_path, 1)
    night(tmp_path, 2, **change)
    night(tmp_path, 3, **change)

    found = history(str(tmp_path))

    seen = {trend.metric: [point.interrupted for point in trend.points] for trend in found.trends}
    assert seen == {metric: [None, interrupted.get(metric), None] for metric in seen}
    page = render_history_page(found)
    assert page.count("stroke-dasharray") == len(interrupted)
    assert all(words in page for words in interrupted.values())


def test_a_run_without_a_value_does_not_hide_that_the_judge_changed(tmp_path: Path) -> None:
    night(tmp_path, 1)
    night(tmp_path, 2, judge="judge-2", scores={"m": {"cosine": VALUES, "correctness": [None] * 20}})
    night(tmp_path, 3, judge="judge-2")

    trend = trend_of(history(str(tmp_path)).trends, "correctness")

    assert [point.mean for point in trend.points] == [0.625, None, 0.625]
    assert [point.interrupted for point in trend.points] == [None, None, "judge judge-1 → judge-2"]


def test_what_is_no_readable_run_is_named_and_left_out(tmp_path: Path) -> None:
    night(tmp_path, 1)
    (tmp_path / "notes").mkdir()
    (tmp_path / ".cache").mkdir()
    (tmp_path / "a-file.txt").write_text("no folder")
    for name, text in (("broken", "{"), ("foreign", '["something else"]'), ("other", '{"run_id": 3}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(text)
    write_run(tmp_path / "unfinished", scores=SCORES, status="incomplete")
    damaged = night(tmp_path, 2)
    summary = damaged.path / "summary.parquet"
    summary.write_bytes(summary.read_bytes()[:-40])

    found = history(str(tmp_path))

    assert found.runs == 1
    notes = "\n".join(found.notes)
    assert "notes holds no run (no run.json)" in notes
    assert "broken cannot be read" in notes
    assert notes.count("is not that of an evaluation run") == 2
    assert "unfinished cannot be read: it has no summary (status: incomplete)" in notes
    assert "run-7 cannot be read" in notes
    assert "cache" not in notes
    assert "notes holds no run" in render_history_page(found)


def test_a_folder_without_runs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no run with a summary"):
        history(str(tmp_path))
    with pytest.raises(DataError, match="cannot be read as a folder of runs"):
        history(str(tmp_path / "nothing"))


def test_metrics_can_be_named_with_or_without_their_k(tmp_path: Path) -> None:
    night(tmp_path, 1)

    assert [trend.metric for trend in history(str(tmp_path), ["mrr"]).trends] == ["mrr@5"]
    assert [trend.metric for trend in history(str(tmp_path), ["cosine", "mrr@5"]).trends] == ["cosine", "mrr@5"]
    with pytest.raises(DataError, match=r"no run of .* has bleu; they have correctness, cosine, "):
        history(str(tmp_path), ["bleu"])


def test_the_table_holds_every_metric_with_its_yardstick(tmp_path: Path) -> None:
    night(tmp_path, 1)
    night(tmp_path, 2, judge="judge-2")
    found = history(str(tmp_path), ["cosine"])

    write_table(str(tmp_path / "history.parquet"), found.table)
    table = pq.read_table(tmp_path / "history.parquet")

    assert table.schema.names == HISTORY.names
    rows = [row for row in table.to_pylist() if row["metric"] == "correctness"]
    assert [(row["judge"], row["interrupted"]) for row in rows] == [
        ("judge-1", None),
        ("judge-2", "judge judge-1 → judge-2"),
    ]
    assert {"cosine", "mrr@5", "cost_usd"} <= set(table["metric"].to_pylist())


def test_an_incomplete_run_is_drawn_hollow_and_names_are_shown_as_text(tmp_path: Path) -> None:
    night(tmp_path, 1, scores={"<script>m": {"cosine": VALUES}})
    night(tmp_path, 2, scores={"<script>m": {"cosine": VALUES}}, status="incomplete")

    page = render_history_page(history(str(tmp_path), ["cosine"]))

    assert "<script" not in page
    assert "&lt;script&gt;m" in page
    assert re.findall(r'<circle [^>]*fill="([^"]+)"', page) == ["var(--series)", "var(--page)"]


def test_columns_of_a_foreign_table_are_an_error(tmp_path: Path) -> None:
    run = night(tmp_path, 1)

    with pytest.raises(DataError, match=r"cannot be read|has no column"):
        read_columns(run, "summary", ["metric", "nonsense"])
    assert [store.run_id for store in run_folders(str(tmp_path)).runs] == ["run-8"]
