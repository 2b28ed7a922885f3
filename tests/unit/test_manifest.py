"""Resuming: a run goes on with what cannot change its results, and refuses the rest by name."""

from pathlib import Path
from typing import Any

import pytest

from rageval.config.evaluation import EvaluationConfig
from rageval.config.overrides import put, validate
from rageval.errors import ConfigError
from rageval.runs import manifest
from rageval.runs.store import RunStore
from rageval.tables import QUESTIONS, to_table


def settings() -> dict[str, Any]:
    return {
        "answers": {"models": [{"name": "a", "temperature": 0}, {"name": "b"}]},
        "judge": {"model": {"name": "j", "extra_body": {"seed": 1}}},
    }


def configured(**changes: Any) -> EvaluationConfig:
    """Return the settings with values put by their dotted path, written with `__`."""
    values = settings()
    for path, value in changes.items():
        put(values, path.replace("__", "."), value)
    return validate(EvaluationConfig, values)


@pytest.fixture
def run(tmp_path: Path) -> RunStore:
    store = RunStore(str(tmp_path / "r1"))
    manifest.begin(store, configured(), ["a note"])
    store.write("questions", to_table([], QUESTIONS))
    return store


def test_a_start_notes_what_ran_and_keeps_earlier_starts(run: RunStore) -> None:
    first = run.read_json(manifest.MANIFEST)
    assert (first["run_id"], first["status"]) == ("r1", "running")
    assert first["versions"]["openai"]
    assert validate(EvaluationConfig, first["config"]) == configured()
    manifest.describe_index(run, {"fingerprint": "x"})
    second = manifest.begin(run, configured(answers__models__0__rpm=5), ["another"])
    assert [start["notes"] for start in second["starts"]] == [["a note"], ["another"]]
    assert second["started_at"] == first["started_at"]
    assert second["index"] == {"fingerprint": "x"}
    assert second["config"]["answers"]["models"][0]["rpm"] == 5


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("answers__models__0__rpm", 5), ("answers__models__1__tpm", 5), ("answers__models__0__base_url", "http://x"),
        ("answers__models__0__api_key_env", "OTHER"), ("answers__models__0__max_concurrency", 2),
        ("answers__models__0__timeout_s", 9), ("answers__models__0__deadline_s", 9), ("judge__model__rpm", 5),
        ("judge__model__max_attempts", 9), ("index__backend", "lancedb"), ("index__batch_size", 3),
        ("data__documents", "/elsewhere/documents.json"), ("judge__minimum_kappa", 0.9),
        ("judge__human_labels", "l.csv"),
        ("run__max_failed_share", 0.5), ("run__output", "other"),
    ],
)  # fmt: skip
def test_what_cannot_change_a_result_may_change(run: RunStore, path: str, value: Any) -> None:
    manifest.begin(run, configured(**{path: value}), [])


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("answers__models__0__temperature", 1, "answers.models"),
        ("answers__models__0__model", "other", "answers.models"),
        ("answers__models__0__extra_body", {"seed": 2}, "answers.models"),
        ("answers__models", ["a"], "answers.models"),
        ("answers__chunk_size", 7, "answers.chunk_size"),
        ("judge__model__extra_body", {"seed": 2}, "judge.model"),
        ("judge__with_reference", False, "judge.with_reference"),
        ("judge__faithfulness", True, "judge.faithfulness"),
        ("judge__panel", ["k"], "judge.panel"),
        ("judge__again_share", 0.5, "judge.again_share"),
        ("scores__text_metrics", ["refusal"], "scores.text_metrics"),
        ("retrieval__cutoffs", [2], "retrieval.cutoffs"),
        ("retrieval__top_k", 7, "retrieval.top_k"),
        ("data__sample", 7, "data.sample"),
        ("index__embedding_model", "other", "index.embedding_model"),
    ],
)
def test_what_would_mix_two_runs_is_refused_by_name_and_changes_nothing(
    run: RunStore, path: str, value: Any, named: str
) -> None:
    before = run.read_json(manifest.MANIFEST)
    with pytest.raises(ConfigError) as raised:
        manifest.begin(run, configured(**{path: value}), [])
    assert f"the run 'r1' was started with other settings ({named} differ)" in str(raised.value)
    assert "give another --run-id" in str(raised.value)
    assert run.read_json(manifest.MANIFEST) == before


def started_by_an_earlier_version(run: RunStore) -> dict[str, Any]:
    """Take out of run.json what that version did not know, and return its settings."""
    noted = run.read_json(manifest.MANIFEST)
    config = noted["config"]
    del config["scores"], config["retrieval"]["cutoffs"]
    for key in ("panel", "faithfulness", "again_share", "pairwise", "minimum_kappa", "human_labels"):
        del config["judge"][key]
    run.write_json(manifest.MANIFEST, noted)
    return dict(config)


def test_a_run_of_an_earlier_version_is_resumed_as_it_was_as_often_as_one_likes(run: RunStore) -> None:
    before = started_by_an_earlier_version(run)
    for _ in range(3):
        config = manifest.as_started(run, configured())
        assert (config.scores.text_metrics, config.retrieval.cutoffs, config.judge.panel) == ((), (), ())
        assert (config.judge.again_share, config.judge.faithfulness, config.judge.pairwise) == (0, False, False)
        assert config.answers == configured().answers
        noted = manifest.begin(run, config, [])["config"]
        assert noted["judge"] == before["judge"] | {"minimum_kappa": 0.4, "human_labels": ""}
        assert {name: noted[name] for name in noted if name not in ("judge", "run")} == {
            name: before[name] for name in before if name not in ("judge", "run")
        }


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("judge__faithfulness", True, "judge.faithfulness"),
        ("judge__again_share", 0.5, "judge.again_share"),
        ("scores__text_metrics", ["refusal"], "scores.text_metrics"),
        ("retrieval__top_k", 7, "retrieval.top_k"),
    ],
)
def test_what_a_run_of_an_earlier_version_is_asked_to_add_is_refused_by_name(
    run: RunStore, path: str, value: Any, named: str
) -> None:
    started_by_an_earlier_version(run)
    config = manifest.as_started(run, configured(**{path: value}))
    with pytest.raises(ConfigError, match=rf"\({named} differ\)"):
        manifest.begin(run, config, [])


def test_a_new_run_and_one_of_this_version_go_by_the_settings_they_are_given(run: RunStore, tmp_path: Path) -> None:
    assert manifest.as_started(run, configured()) == configured()
    assert manifest.as_started(RunStore(str(tmp_path / "new")), configured()) == configured()


def test_a_run_that_ended_before_it_had_questions_may_start_again_with_other_settings(tmp_path: Path) -> None:
    store = RunStore(str(tmp_path / "r1"))
    manifest.begin(store, configured(), [])
    again = manifest.begin(store, configured(retrieval__top_k=7), [])
    assert again["config"]["retrieval"]["top_k"] == 7


def test_every_setting_that_differs_is_named(run: RunStore) -> None:
    with pytest.raises(ConfigError, match=r"\(data\.seed, retrieval\.top_k differ\)"):
        manifest.begin(run, configured(retrieval__top_k=7, data__seed=1), [])


def test_other_data_under_the_same_name_are_refused(run: RunStore) -> None:
    dataset = {"documents_fingerprint": "d", "questions_fingerprint": "q"}
    manifest.describe_data(run, dataset)
    manifest.describe_data(run, dataset)
    for kind in ("documents", "questions"):
        with pytest.raises(ConfigError, match=f"the {kind} have changed since the run 'r1' was started"):
            manifest.describe_data(run, dataset | {f"{kind}_fingerprint": "other"})
