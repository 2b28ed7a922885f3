"""`rageval init` writes what runs as it is, and replaces nothing."""

from pathlib import Path

import pytest

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


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        init(str(tmp_path / "file" / "below"))
