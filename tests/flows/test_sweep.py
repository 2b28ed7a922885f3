"""`rageval sweep` on a small corpus: in files, and a server that speaks Elasticsearch's API."""

import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import elasticsearch
import pyarrow.parquet as pq
import pytest

from rageval.cli import main as cli
from rageval.config.evaluation import DataConfig, IndexConfig
from rageval.records import Question
from rageval.search.backends import index_name
from rageval.search.elasticsearch_index import ElasticsearchIndex
from rageval.search.embedded_index import EmbeddedIndex
from rageval.search.text_rules import TextQuery
from rageval.sweep.settings import parts_of
from tests.evaluations import SEED

Sweep = Callable[..., tuple[int, str, str]]


@pytest.fixture
def sweep(
    prefect_server: None, corpus: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Sweep:
    """Call `rageval sweep` on the corpus; options given last win."""

    def call(*options: str, run_id: str = "s1") -> tuple[int, str, str]:
        words = [
            "rageval", "sweep", "--documents", str(corpus / "documents.json"),
            "--ground-truth", str(corpus / "questions.csv"), "--output", str(corpus / "runs"), "--run-id", run_id,
            "--filter-by", "course", "--set", f"data.seed={SEED}", "--set", "grid.candidates=[10]", *options,
        ]  # fmt: skip
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfd.readouterr()
        return ended.value.code or 0, out, err  # type: ignore[return-value]

    return call


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts what is asked of any index."""
    made: Counter[str] = Counter()

    def counted(kind: type, name: str) -> None:
        real = getattr(kind, name)

        def count(self: Any, *arguments: Any) -> Any:
            made[name] += 1
            return real(self, *arguments)

        monkeypatch.setattr(kind, name, count)

    for kind in (EmbeddedIndex, ElasticsearchIndex):
        for name in ("build", "search_text", "search_vector"):
            counted(kind, name)
    return made


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(folder / f"{name}.parquet").to_pylist()
    return found


def test_every_search_is_made_once_and_a_larger_grid_searches_only_for_what_is_new(
    sweep: Sweep, corpus: Path, calls: Counter[str]
) -> None:
    status, out, err = sweep()
    assert status == 0, err
    # Two boosts, one embedding model: the two hybrid settings fuse what these three searches have found.
    assert calls == {"build": 1, "search_text": 2, "search_vector": 1}
    folder = corpus / "runs" / "s1"
    figures = rows(folder, "sweep")
    assert len(figures) == 5 * 2 * 4 * 6  # settings x parts x cut-offs x metrics
    assert "hybrid, boost 2" in out
    assert (folder / "sweep.html").read_text().count("<html") == 1

    assert sweep("--set", "grid.question_boosts=[1, 2, 7]")[0] == 0
    assert calls == {"build": 1, "search_text": 3, "search_vector": 1}
    larger = rows(folder, "sweep")
    assert len(larger) == 7 * 2 * 4 * 6
    known = {(row["setting"], row["part"], row["metric"]): row["mean"] for row in larger}
    assert all(known[row["setting"], row["part"], row["metric"]] == row["mean"] for row in figures)


def test_a_sweep_has_the_figures_of_an_evaluation_and_no_document_in_both_parts(
    sweep: Sweep, corpus: Path, rageval: Any
) -> None:
    methods = ("--method", "hybrid", "--method", "text", "--method", "vector")
    assert sweep(*methods, "--sample", "15", "--set", "tuning.accept_alternates=true")[0] == 0
    retrievers = "retrievers=[{method: hybrid, candidates: 10}, text, vector]"
    run = rageval("--no-judge", "--sample", "15", "--set", retrievers, "--set", "retrieval.cutoffs=[1,3,10]")
    assert run.status == 0, run.err
    swept = rows(corpus / "runs" / "s1", "sweep_retrieval")
    named = {
        "text": "text, together, boost 1",
        "vector": "vector, all-MiniLM-L6-v2, flat",
        "hybrid": "hybrid, together, boost 1, all-MiniLM-L6-v2, flat, 10 candidates",
    }
    evaluated = {(named[row["retriever"]], row["question_id"]): row for row in run.table("retrieval").to_pylist()}
    mine = {(row["setting"], row["question_id"]): row for row in swept if row["setting"] in named.values()}
    assert mine.keys() == evaluated.keys()
    for key, row in mine.items():
        assert row["document_ids"] == evaluated[key]["document_ids"]
        assert row["first_relevant_rank"] == evaluated[key]["first_relevant_rank"]
    questions = [
        Question(question_id=row["question_id"], question=row["question"], relevant_ids=tuple(row["relevant_ids"]))
        for row in run.table("questions").to_pylist()
    ]
    parts = dict(zip((q.question_id for q in questions), parts_of(questions, share=0.5, seed=42), strict=True))
    assert {row["question_id"]: row["part"] for row in swept} == parts
    manifest = json.loads((corpus / "runs" / "s1" / "sweep.json").read_text())
    assert manifest["status"] == "complete"
    assert manifest["dataset"]["tuning"] + manifest["dataset"]["held_out"] == 15


def test_every_kind_of_vector_index_has_an_index_of_its_own(
    sweep: Sweep, corpus: Path, calls: Counter[str], elasticsearch_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The test server says that it is an 8, which the client refuses outside of tests.
    def open_index(config: IndexConfig, text: TextQuery, folder: Path, data: DataConfig) -> ElasticsearchIndex:
        name = index_name(config, data.documents)
        return ElasticsearchIndex(elasticsearch_url, name, text, config.index_options, frozenset({8, 9}))

    monkeypatch.setattr("rageval.sweep.sweep.open_index", open_index)
    status, _, err = sweep("--set", "grid.index_options=[flat, hnsw]", "--set", "grid.question_boosts=[1]")
    assert status == 0, err
    assert calls == {"build": 2, "search_text": 1, "search_vector": 2}
    with elasticsearch.Elasticsearch(elasticsearch_url) as server:
        prefix = index_name(IndexConfig(), str(corpus / "documents.json"))
        assert server.indices.get(index=f"{prefix}-sweep-*").body == {}, "a sweep leaves nothing on the server"
    names = {row["setting"] for row in rows(corpus / "runs" / "s1", "sweep")}
    assert names == {
        "text, together, boost 1",
        *(f"vector, all-MiniLM-L6-v2, {options}" for options in ("flat", "hnsw")),
        *(f"hybrid, together, boost 1, all-MiniLM-L6-v2, {options}, 10 candidates" for options in ("flat", "hnsw")),
    }


def test_the_embedded_engine_knows_no_other_vector_index_and_says_so(sweep: Sweep) -> None:
    status, _, err = sweep("--set", "grid.index_options=[flat, hnsw]")
    assert status == 2
    assert "the embedded engine is exact and knows only flat" in " ".join(err.split())


def test_too_few_documents_for_two_parts_and_the_name_of_a_run_are_refused(sweep: Sweep, corpus: Path) -> None:
    status, _, err = sweep("--sample", "1")
    assert status == 2
    assert "expected at least 2" in err
    folder = corpus / "runs" / "r1"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    status, _, err = sweep(run_id="r1")
    assert status == 2
    assert "holds an evaluation run" in err
