"""Resuming: a run goes on with what cannot change its results, and refuses the rest by name."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rageval.config.evaluation import EvaluationConfig
from rageval.config.overrides import put, validate
from rageval.errors import ConfigError, DataError
from rageval.runs import life
from rageval.runs.manifest import Dataset, SearchedIndex, read_manifest
from rageval.runs.run import Run
from rageval.tables import QUESTIONS, to_table


def settings() -> dict[str, Any]:
    return {
        "models": [{"name": "a", "temperature": 0}, {"name": "b"}],
        "judge": {"model": {"name": "j", "extra_body": {"seed": 1}}},
    }


def configured(**changes: Any) -> EvaluationConfig:
    """Return the settings with values put by their dotted path, written with `__`."""
    values = settings()
    for path, value in changes.items():
        put(values, path.replace("__", "."), value)
    return validate(EvaluationConfig, values)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    store = Run(str(tmp_path / "r1"))
    life.begin(store, configured(), ["a note"])
    store.write("questions", to_table([], QUESTIONS))
    return store


def test_a_start_notes_what_ran_and_keeps_earlier_starts(run: Run) -> None:
    first = read_manifest(run)
    assert (first.run_id, first.status) == ("r1", "running")
    assert first.versions["openai"]
    assert first.config == configured()
    index = SearchedIndex(
        name="i", backend="embedded", fingerprint="x", embedding_model="m@1", documents=2, embedded=2, rebuilt=True,
        longest=None, too_long=0, too_long_ids=(), warning=None,
    )  # fmt: skip
    life.describe_index(run, index)
    second = life.begin(run, configured(models__0__rpm=5), ["another"])
    assert [start.notes for start in second.starts] == [("a note",), ("another",)]
    assert second.started_at == first.started_at
    assert second.index == index
    assert second.config.models[0].rpm == 5
    assert read_manifest(run) == second, "what was written is what is read"


def test_a_manifest_of_something_else_is_refused_by_the_first_thing_that_is_wrong(run: Run) -> None:
    run.write_json("run.json", run.read_json("run.json") | {"status": "finished"})
    with pytest.raises(DataError, match=r"run\.json is not that of an evaluation run of this version \(status: "):
        read_manifest(run)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("models__0__rpm", 5), ("models__1__tpm", 5), ("models__0__base_url", "http://x"),
        ("models__0__api_key_env", "OTHER"), ("models__0__max_concurrency", 2),
        ("models__0__timeout_s", 9), ("models__0__deadline_s", 9), ("judge__model__rpm", 5),
        ("judge__model__max_attempts", 9), ("index__backend", "embedded"), ("index__batch_size", 3),
        ("data__documents", "/elsewhere/documents.json"), ("judge__minimum_kappa", 0.9),
        ("judge__human_labels", "l.csv"),
        ("run__max_failed_share", 0.5), ("run__output", "other"),
    ],
)  # fmt: skip
def test_what_cannot_change_a_result_may_change(run: Run, path: str, value: Any) -> None:
    life.begin(run, configured(**{path: value}), [])


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("models__0__temperature", 1, "models"),
        ("models__0__model", "other", "models"),
        ("models__0__extra_body", {"seed": 2}, "models"),
        ("models", ["a"], "models"),
        ("run__chunk_size", 7, "run.chunk_size"),
        ("retrievers", ["text"], "retrievers"),
        ("prompts", [{"name": "p", "user": "{{ question }}"}], "prompts"),
        ("systems", ["closed_book"], "systems"),
        ("judge__model__extra_body", {"seed": 2}, "judge.model"),
        ("metrics", ["cosine", "faithfulness"], "metrics"),
        ("judge__panel", ["k"], "judge.panel"),
        ("judge__again_share", 0.5, "judge.again_share"),
        ("retrieval__cutoffs", [2], "retrieval.cutoffs"),
        ("retrieval__top_k", 7, "retrieval.top_k"),
        ("data__sample", 7, "data.sample"),
        ("index__embedding_model", "other", "index.embedding_model"),
    ],
)
def test_what_would_mix_two_runs_is_refused_by_name_and_changes_nothing(
    run: Run, path: str, value: Any, named: str
) -> None:
    before = read_manifest(run)
    with pytest.raises(ConfigError) as raised:
        life.begin(run, configured(**{path: value}), [])
    assert f"the run 'r1' was started with other settings ({named} differ)" in str(raised.value)
    assert "give another --run-id" in str(raised.value)
    assert read_manifest(run) == before


def test_a_run_that_ended_before_it_had_questions_may_start_again_with_other_settings(tmp_path: Path) -> None:
    store = Run(str(tmp_path / "r1"))
    life.begin(store, configured(), [])
    again = life.begin(store, configured(retrieval__top_k=7), [])
    assert again.config.retrieval.top_k == 7


def test_every_setting_that_differs_is_named(run: Run) -> None:
    with pytest.raises(ConfigError, match=r"\(data\.seed, retrieval\.top_k differ\)"):
        life.begin(run, configured(retrieval__top_k=7, data__seed=1), [])


def test_other_data_under_the_same_name_are_refused(run: Run) -> None:
    dataset = Dataset(documents=1, questions=1, documents_fingerprint="d", questions_fingerprint="q")
    life.describe_data(run, dataset)
    life.describe_data(run, dataset)
    for kind in ("documents", "questions"):
        with pytest.raises(ConfigError, match=f"the {kind} have changed since the run 'r1' was started"):
            life.describe_data(run, replace(dataset, **{f"{kind}_fingerprint": "other"}))
