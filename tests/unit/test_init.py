"""`rageval init` writes what runs as it is, and replaces nothing."""

from pathlib import Path

import pytest

from deployments.build_steps import read_evaluation
from rageval.cli.arguments import evaluation_settings
from rageval.cli.init import init
from rageval.config.evaluation import EvaluationConfig
from rageval.config.file import read_settings
from rageval.errors import ConfigError
from rageval.systems.kinds import make_systems


def test_what_is_written_is_a_configuration_of_two_prompts_with_the_embedded_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    init(str(tmp_path / "mine"))
    monkeypatch.chdir(tmp_path / "mine")
    config = EvaluationConfig.model_validate(read_settings(Path("rageval.yaml")))
    default, mine = make_systems(config)
    assert (default.name, mine.name) == ("local", "local + mine")
    assert default.prompt.hash == mine.prompt.hash, "until it is changed"


def test_a_file_that_is_there_stays_and_nothing_is_written_beside_it(tmp_path: Path) -> None:
    (tmp_path / "rageval.yaml").write_text("mine")
    with pytest.raises(ConfigError, match="is there already"):
        init(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["rageval.yaml"]
    assert (tmp_path / "rageval.yaml").read_text() == "mine"


def test_what_a_users_project_has_already_stays_and_the_rest_is_written(tmp_path: Path) -> None:
    mine = {".gitignore": "*.key\n", "prefect.yaml": "deployments: []\n"}
    for name, text in mine.items():
        (tmp_path / name).write_text(text)
    init(str(tmp_path), "http")
    assert {name: (tmp_path / name).read_text() for name in mine} == mine
    assert {path.name for path in tmp_path.iterdir()} == {
        *mine, "rageval.yaml", "questions.csv", "documents.jsonl", "toy_rag.py", "toy_service.py",
    }  # fmt: skip


def test_without_a_file_an_evaluation_takes_the_one_of_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert evaluation_settings(None) == {}
    (tmp_path / "rageval.yaml").write_text("models: []")
    assert evaluation_settings(None) == {"models": []}
    (tmp_path / "other.yaml").write_text("metrics: [cosine]")
    assert evaluation_settings(Path("other.yaml")) == {"metrics": ["cosine"]}


def test_a_deployment_is_not_given_a_run_to_go_on_with_for_ever(tmp_path: Path) -> None:
    file = tmp_path / "rageval.yaml"
    file.write_text("models: [local]")
    assert read_evaluation(str(file)) == {"config": {"models": [{"name": "local"}]}}
    file.write_text("run: {run_id: first}")
    with pytest.raises(ConfigError, match="leave it out"):
        read_evaluation(str(file))


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        init(str(tmp_path / "file" / "below"))
