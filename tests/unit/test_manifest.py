"""Resuming: a run goes on with what cannot change its results, and refuses the rest by name."""

from pathlib import Path
from typing import Any

import pytest

from rageval.config.evaluation import EvaluationConfig
from rageval.config.overrides import put, validate
from rageval.errors import ConfigError
from rageval.runs import manifest
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
    manifest.begin(store, configured(), ["a note"])
    store.write("questions", to_table([], QUESTIONS))
    return store


def test_a_start_notes_what_ran_and_keeps_earlier_starts(run: Run) -> None:
    first = run.read_json(manifest.MANIFEST)
    assert (first["run_id"], first["status"]) == ("r1", "running")
    assert first["versions"]["openai"]
    assert validate(EvaluationConfig, first["config"]) == configured()
    manifest.describe_index(run, {"fingerprint": "x"})
    second = manifest.begin(run, configured(models__0__rpm=5), ["another"])
    assert [start["notes"] for start in second["starts"]] == [["a note"], ["another"]]
    assert second["started_at"] == first["started_at"]
    assert second["index"] == {"fingerprint": "x"}
    assert second["config"]["models"][0]["rpm"] == 5


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("models__0__rpm", 5), ("models__1__tpm", 5), ("models__0__base_url", "http://x"),
        ("models__0__api_key_env", "OTHER"), ("models__0__max_concurrency", 2),
        ("models__0__timeout_s", 9), ("models__0__deadline_s", 9), ("judge__model__rpm", 5),
        ("judge__model__max_attempts", 9), ("index__backend", "lancedb"), ("index__batch_size", 3),
        ("data__documents", "/elsewhere/documents.json"), ("judge__minimum_kappa", 0.9),
        ("judge__human_labels", "l.csv"),
        ("run__max_failed_share", 0.5), ("run__output", "other"),
    ],
)  # fmt: skip
def test_what_cannot_change_a_result_may_change(run: Run, path: str, value: Any) -> None:
    manifest.begin(run, configured(**{path: value}), [])


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
    before = run.read_json(manifest.MANIFEST)
    with pytest.raises(ConfigError) as raised:
        manifest.begin(run, configured(**{path: value}), [])
    assert f"the run 'r1' was started with other settings ({named} differ)" in str(raised.value)
    assert "give another --run-id" in str(raised.value)
    assert run.read_json(manifest.MANIFEST) == before


def test_a_run_that_ended_before_it_had_questions_may_start_again_with_other_settings(tmp_path: Path) -> None:
    store = Run(str(tmp_path / "r1"))
    manifest.begin(store, configured(), [])
    again = manifest.begin(store, configured(retrieval__top_k=7), [])
    assert again["config"]["retrieval"]["top_k"] == 7


def test_every_setting_that_differs_is_named(run: Run) -> None:
    with pytest.raises(ConfigError, match=r"\(data\.seed, retrieval\.top_k differ\)"):
        manifest.begin(run, configured(retrieval__top_k=7, data__seed=1), [])


def test_other_data_under_the_same_name_are_refused(run: Run) -> None:
    dataset = {"documents_fingerprint": "d", "questions_fingerprint": "q"}
    manifest.describe_data(run, dataset)
    manifest.describe_data(run, dataset)
    for kind in ("documents", "questions"):
        with pytest.raises(ConfigError, match=f"the {kind} have changed since the run 'r1' was started"):
            manifest.describe_data(run, dataset | {f"{kind}_fingerprint": "other"})
