"""What can change a result is what is sent: a run that is resumed and a comparison go by the same list."""

from pathlib import Path
from typing import Any

import pytest

from rageval.comparison.run_comparison import other_settings
from rageval.config.effects import SENT, may_change, with_effect
from rageval.config.evaluation import EvaluationConfig
from rageval.config.models import ModelConfig
from rageval.config.overrides import put
from rageval.engine.requests import ChatRequest
from rageval.errors import ConfigError
from rageval.runs import life
from rageval.runs.manifest import Dataset, Manifest
from rageval.runs.run import Run
from rageval.tables import QUESTIONS, to_table

# Every setting of a model, and another value than its default.
OTHER: dict[str, Any] = {
    "name": "other", "model": "other", "base_url": "http://other/v1", "api_key_env": "OTHER_KEY",
    "key_file": "other", "key_command": ["other"], "key_header": "api-key", "headers": {"x-team": "other"},
    "tls": {"ca_file": "other"}, "rpm": 5, "tpm": 5,
    "max_concurrency": 5, "shared_limit": "other", "timeout_s": 5, "deadline_s": 5, "max_attempts": 5, "hedge": False,
    "temperature": 0.5, "max_completion_tokens": 5, "service_tier": "flex", "extra_body": {"rpm": 5},
    "input_usd_per_mtok": 5, "output_usd_per_mtok": 5, "usd_per_call": 5,
}  # fmt: skip
PRICES = dict.fromkeys(("input_usd_per_mtok", "output_usd_per_mtok"), 1.0)  # neither goes without the other
each_setting = pytest.mark.parametrize("name", OTHER)
each_place = pytest.mark.parametrize("place", ["models", "judge.model", "judge.panel"])


def configured(place: str, **settings: Any) -> EvaluationConfig:
    """Return a configuration with a model that has these settings at a place."""
    model = {"name": "m", **PRICES, **settings}
    values: dict[str, Any] = {"models": ["a"], "judge": {"model": "j"}}
    put(values, place, model if place == "judge.model" else [model])
    return EvaluationConfig.model_validate(values)


def test_every_setting_of_a_model_is_tried() -> None:
    assert OTHER.keys() == ModelConfig.model_fields.keys()


@each_setting
def test_what_is_sent_is_what_makes_another_request(name: str) -> None:
    request = ChatRequest(messages=[{"role": "user", "content": "?"}])
    first = ModelConfig.model_validate({"name": "m", **PRICES})
    second = ModelConfig.model_validate({"name": "m", **PRICES, name: OTHER[name]})

    # Without a name for there, a model's own name is what the endpoint is asked for.
    assert (request.fingerprint(first) != request.fingerprint(second)) == (name in SENT or name == "name")


@each_place
@each_setting
def test_a_run_goes_on_and_is_compared_without_a_word_where_no_request_differs(
    tmp_path: Path, name: str, place: str
) -> None:
    first, second = configured(place), configured(place, **{name: OTHER[name]})
    run = Run(str(tmp_path / "r1"))
    noted = life.begin(run, first, [])
    run.write("questions", to_table([], QUESTIONS))
    differ = [setting for setting, _, _ in other_settings(noted, noted.model_copy(update={"config": second}))]

    if name in SENT or name == "name":
        assert [setting.startswith(f"{place}.") for setting in differ] == [True] * len(differ) != []
        with pytest.raises(ConfigError, match=rf"\({place} differ\)"):
            life.refuse_other_settings(run, second)
    else:
        assert differ == []
        life.refuse_other_settings(run, second)


def test_what_has_no_effect_exists_and_is_left_out() -> None:
    config = EvaluationConfig().model_dump(mode="json")
    left = with_effect(config)

    assert config.keys() - left.keys() == {"run"}
    groups = [group for group in left if isinstance(left[group], dict)]
    assert {f"{group}.{name}" for group in groups for name in config[group].keys() - left[group].keys()} == {
        "index.name", "index.batch_size",
    }  # fmt: skip


def test_what_a_run_may_go_on_with_other_values_of_is_said_at_the_fields() -> None:
    assert may_change("index") == {"name", "batch_size", "backend"}
    assert may_change("data") == {"documents", "ground_truth"}
    assert may_change("retrieval") == may_change("retrievers") == frozenset()
    assert {"output", "batch"} < may_change("run")
    assert "chunk_size" not in may_change("run")


def test_the_same_data_under_another_name_are_no_difference() -> None:
    def noted(folder: str, questions: str) -> Manifest:
        data = {"documents": f"{folder}/d.json", "ground_truth": f"{folder}/q.csv"}
        config = EvaluationConfig.model_validate({"data": data})
        dataset = Dataset(documents=1, questions=1, documents_fingerprint="1", questions_fingerprint=questions)
        return Manifest(run_id="r", status="complete", started_at="2026-01-01", config=config, dataset=dataset)

    assert other_settings(noted("here", "1"), noted("there", "1")) == []
    assert other_settings(noted("here", "1"), noted("there", "2")) == [
        ("data.ground_truth", "here/q.csv", "there/q.csv")
    ]
