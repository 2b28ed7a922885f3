"""`rageval labels` and `rageval report --human-labels`: from a run's answers to a CSV and back into its report."""

import csv
import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rageval.cli import main as cli
from rageval.runs.manifest import write_manifest
from rageval.runs.run import Run
from tests.unit.test_report_page import build


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run of 60 questions by two models whose judge was asked once."""
    store, data = Run(str(tmp_path / "runs" / "demo")), build(n=60, text="=plain words")
    for table in ("documents", "systems", "retrieval", "answers", "scores"):
        store.write(table, getattr(data, table))
    store.write("questions", data.questions)
    write_manifest(store, data.manifest)
    return store


def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["rageval", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return (ended.value.code or 0, *capfd.readouterr())  # type: ignore[return-value]


def fill_in(path: Path, label: str) -> None:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(row | {"label": label if place else "NON_RELEVANT"} for place, row in enumerate(rows))


def test_answers_go_out_and_labels_come_back_into_the_report(
    run: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder, file = run.folder, tmp_path / "labels.csv"
    status, out, _ = call(monkeypatch, capfd, "labels", folder, str(file), "--answers", "40")
    assert status == 0
    assert "holds 40 answers" in out
    assert f"rageval report {folder} --human-labels {file}" in out.replace("\n", " ").replace("  ", " ")
    assert "'=plain words" in file.read_text(encoding="utf-8")
    assert call(monkeypatch, capfd, "labels", folder, str(file))[0] == 2  # it would lose the labels

    assert call(monkeypatch, capfd, "report", folder)[0] == 0
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert "No answer was judged twice, and there are no human labels." in page
    assert pq.read_table(run.path / "labels.parquet").num_rows == 0

    fill_in(file, "RELEVANT")
    status, out, _ = call(monkeypatch, capfd, "report", folder, "--human-labels", str(file))
    assert status == 0
    # People disagree with the judge, which says RELEVANT to some only: kappa is near 0.
    assert "unfit for correctness, so nothing is ranked by that" in out.replace("\n", " ")
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert "is unfit for correctness" in page
    assert "Share of right answers, corrected" in page
    assert "Lowest cosine first." in page
    labels, judging = (pq.read_table(run.path / f"{name}.parquet") for name in ("labels", "judging"))
    assert labels.num_rows == 40
    assert "share_corrected" in judging["statistic"].to_pylist()

    assert call(monkeypatch, capfd, "report", folder)[0] == 0
    assert pq.read_table(run.path / "labels.parquet").equals(labels)  # they stay until others are given


def test_labels_that_do_not_fit_the_run_change_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("question_id,system,label\nnobody,alpha,RELEVANT\nq1,alpha,GOOD\n", encoding="utf-8")
    status, _, err = call(monkeypatch, capfd, "report", run.folder, "--human-labels", str(file))
    assert status == 2
    assert "line 2: question_id nobody is not in the run's questions" in err
    assert "line 3: label is GOOD" in err
    assert not run.has("labels")


def test_configured_labels_that_cannot_be_read_are_named_in_a_report_that_is_written_all_the_same(
    run: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file, manifest = tmp_path / "labels.csv", run.read_json("run.json")
    manifest["config"]["judge"]["human_labels"] = str(file)
    (run.path / "run.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert call(monkeypatch, capfd, "report", run.folder)[0] == 0
    assert "The human labels could not be used" in (run.path / "report.html").read_text(encoding="utf-8")
    file.write_text("question_id,system,label\nq1,alpha,RELEVANT\nq2,alpha,\n", encoding="utf-8")
    assert call(monkeypatch, capfd, "report", run.folder)[0] == 0
    assert run.read("labels").num_rows == 1
    assert "1 rows without a label were left out" in (run.path / "report.html").read_text(encoding="utf-8")
