"""The configuration: what it accepts, what its form says, and how the command line changes it."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from rageval.config.evaluation import DataConfig, EvaluationConfig
from rageval.config.models import LOCAL, ModelConfig
from rageval.config.overrides import choose_judge, choose_models, put, put_text, set_for_remote_models, validate
from rageval.errors import ConfigError


def configured(**groups: Any) -> EvaluationConfig:
    return validate(EvaluationConfig, groups)


def test_the_defaults_run_offline_and_answer_from_the_first_search_method() -> None:
    config = configured()
    assert [model.is_local for model in config.answers.models] == [True]
    assert config.judge_model == config.answers.models[0]
    assert config.answer_search == ("vector",)
    assert config.index.backend == "auto"


def test_a_model_may_be_just_its_name() -> None:
    config = configured(answers={"models": ["gpt-a", {"name": "b", "model": "gpt-b"}]}, judge={"model": "gpt-c"})
    assert [model.served_name for model in config.answers.models] == ["gpt-a", "gpt-b"]
    assert config.judge_model == ModelConfig(name="gpt-c")


def test_nothing_is_judged_where_both_verdicts_are_off() -> None:
    assert configured(judge={"enabled": False}).judge_model is None
    assert configured(judge={"with_reference": False, "without_reference": False}).judge_model is None


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"retrieval": {"top_kk": 3}}, "retrieval.top_kk is not a known setting; check its spelling and group"),
        ({"retreival": {}}, "retreival is not a known setting"),
        ({"retrieval": {"top_k": 0}}, "retrieval.top_k: Input should be greater than or equal to 1 (found 0)"),
        ({"retrieval": {"top_k": "five"}}, "(found 'five')"),
        ({"retrieval": {"methods": []}}, "retrieval.methods: Tuple should have at least 1 item"),
        ({"retrieval": {"methods": ["text", "text"]}}, "names one search method twice: text, text; name each once"),
        ({"retrieval": {"methods": ["bm25"]}}, "retrieval.methods.0: Input should be 'text', 'vector' or 'hybrid'"),
        ({"answers": {"models": ["a", "a"]}}, "two models have the same name: a, a; give each its own `name`"),
        ({"answers": {"models": "gpt-a"}}, "answers.models: Input should be a valid tuple (found 'gpt-a')"),
        ({"answers": {"search": ["text"]}, "retrieval": {"methods": ["vector"]}}, "answers.search names text"),
        ({"answers": {"models": [{"name": "a", "input_usd_per_mtok": 1}]}}, "give both input_usd_per_mtok and"),
        ({"answers": {"models": [{"name": "a", "timeout_s": float("nan")}]}}, "answers.models.0.timeout_s"),
        ({"answers": {"models": [{"name": "a", "deadline_s": float("inf")}]}}, "answers.models.0.deadline_s"),
        ({"answers": {"models": [{"name": "a", "rpm": 0}]}}, "answers.models.0.rpm"),
        ({"run": {"run_id": "../other"}}, "run.run_id: String should match pattern"),
        ({"run": {"max_failed_share": 1.5}}, "run.max_failed_share"),
        ({"data": "faq.json"}, "data: Input should be a valid dictionary"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_path_and_value(groups: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        configured(**groups)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(ConfigError, match=r"retrieval\.top_k: .*; run\.ouput is not a known setting"):
        configured(retrieval={"top_k": 0}, run={"ouput": "x"})


def test_a_list_is_not_called_too_short_because_of_an_item_that_is_named() -> None:
    with pytest.raises(ConfigError) as raised:
        configured(answers={"models": [{"name": "a", "rpm": 0}]})
    assert str(raised.value).count("; ") == 0


def test_a_key_pasted_for_the_name_of_its_variable_is_not_repeated() -> None:
    with pytest.raises(ConfigError, match=r"answers\.models\.0\.api_key_env") as raised:
        configured(answers={"models": [{"name": "a", "api_key_env": "sk-proj-1234"}]})
    assert "sk-proj" not in str(raised.value)


@pytest.mark.parametrize(
    ("groups", "place"),
    [
        ({"data": {"documents": "https://user:hunter2@host/faq.json"}}, "data.documents: it holds a user, password"),
        ({"data": {"ground_truth": "s3://key:hunter2@bucket/faq.csv"}}, "data.ground_truth: it holds"),
        ({"data": {"documents": f"https://host/faq.json?sig=hunter2{'x' * 2000}"}}, "data.documents: it holds"),
        ({"data": "https://user:hunter2@host/faq.json"}, "data: "),
        ({"index": {"embedding_model": "https://user:hunter2@host/model"}}, "index.embedding_model: it holds"),
        ({"judge": {"human_labels": "https://host/labels.csv?token=hunter2"}}, "judge.human_labels: it holds"),
        ({"run": {"output": "s3://bucket/runs?sig=hunter2"}}, "run.output: it holds"),
        ({"run": {"dask_scheduler": "tls://user:hunter2@host:8786"}}, "run.dask_scheduler: it holds"),
        ({"answers": {"models": [{"name": "a", "base_url": "https://user:hunter2@host/v1"}]}}, "base_url: it holds"),
        ({"answers": {"models": [{"name": "a", "base_url": "sk-hunter2AbCdEfGh12345678"}]}}, "base_url: it holds"),
        ({"answers": {"models": [{"name": "a", "extra_body": {"api_key": "hunter2"}}]}}, "extra_body: api_key is a"),
        ({"answers": {"models": [{"name": "a", "api_key_env": "hunter2"}]}}, "api_key_env: expected the name"),
        ({"https://user:hunter2@host/": 1}, "what is given as the name of a setting is not a known setting"),
    ],
)
def test_a_secret_is_refused_and_repeated_by_no_error(groups: dict[str, Any], place: str) -> None:
    with pytest.raises(ConfigError) as raised:
        configured(**groups)
    assert place in str(raised.value)
    assert "hunter2" not in str(raised.value)
    if "data" in groups and isinstance(groups["data"], dict):
        with pytest.raises(ValidationError) as of_pydantic:
            DataConfig(**groups["data"])
        assert "hunter2" not in str(of_pydantic.value)


@pytest.mark.parametrize("assignment", ["data.documents={https://u:hunter2@host", "https://u:hunter2@host/faq.json"])
def test_an_assignment_that_is_none_is_not_repeated_with_its_secret(assignment: str) -> None:
    with pytest.raises(ConfigError) as raised:
        put_text({}, assignment)
    assert "hunter2" not in str(raised.value)


def test_variables_stand_anywhere_in_urls_and_parameters() -> None:
    body = {"user": "${USER_ID}", "headers": {"Authorization": "Bearer ${TOKEN}"}}
    model = {"name": "a", "base_url": "https://${LOGIN}@${HOST}/v1?sig=${SIG}", "extra_body": body}
    data = {"documents": "${FAQ}", "ground_truth": "https://host/faq.csv?sig=${SIG}"}
    config = configured(answers={"models": [model, {"name": "b", "base_url": "${ENDPOINT}"}]}, data=data)
    assert config.answers.models[0].base_url == model["base_url"]
    assert config.answers.models[0].extra_body == body
    assert config.data.model_dump(include=set(data)) == data


def test_a_configuration_cannot_be_changed() -> None:
    config = configured()
    with pytest.raises(ValidationError, match="frozen"):
        config.retrieval.top_k = 7  # type: ignore[misc]


def test_every_field_of_the_form_has_a_description_and_none_takes_a_secret() -> None:
    schema = EvaluationConfig.model_json_schema()
    groups = {name: group for name, group in schema["$defs"].items() if "properties" in group}
    assert {"DataConfig", "IndexConfig", "RetrievalConfig", "ModelConfig", "AnswersConfig", "JudgeConfig"} < set(groups)
    fields = {f"{name}.{field}": text for name, group in groups.items() for field, text in group["properties"].items()}
    assert [path for path, text in fields.items() if len(text.get("description", "")) < 10] == []
    smelly = {path for path in fields if re.search(r"key|token|secret|password|credential", path, re.IGNORECASE)}
    assert smelly == {"ModelConfig.api_key_env", "ModelConfig.max_completion_tokens"}


def test_the_configuration_survives_its_own_json() -> None:
    config = configured(answers={"models": [{"name": "a", "rpm": 5, "extra_body": {"seed": 1}}]})
    assert EvaluationConfig.model_validate_json(config.model_dump_json()) == config


def test_values_are_put_by_their_path_and_make_their_groups() -> None:
    settings: dict[str, Any] = {"answers": {"models": [{"name": "a"}, {"name": "b"}]}, "judge": None}
    put(settings, "retrieval.top_k", 7)
    put_text(settings, "answers.models.1.rpm=60")
    put_text(settings, " judge.enabled=false")
    put_text(settings, "retrieval.methods=[text, vector]")
    put_text(settings, "data.course=a=b")
    assert settings == {
        "answers": {"models": [{"name": "a"}, {"name": "b", "rpm": 60}]},
        "judge": {"enabled": False},
        "retrieval": {"top_k": 7, "methods": ["text", "vector"]},
        "data": {"course": "a=b"},
    }
    put_text(settings, "answers.models.0=c")
    assert settings["answers"]["models"][0] == "c"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("retrieval.top_k", "expected key.path=value, such as retrieval.top_k=10"),
        ("=3", "expected key.path=value"),
        ("a.b={", "the value is not valid YAML; quote it"),
        ("a.b={c: 1, c: 2}", "stand several times: c (lines 1 and 1)"),
        ("answers.models.1.rpm=5", "--set answers.models.1.rpm: '1' leads nowhere; check the path"),
        ("answers.models.².rpm=5", "leads nowhere"),
        ("answers.models.-1=x", "leads nowhere"),
        ("answers.models.0.rpm.x=5", "leads nowhere"),
    ],
)
def test_an_assignment_that_leads_nowhere_says_what_to_do(assignment: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        put_text({"answers": {"models": [{"name": "a", "rpm": 3}]}}, assignment)
    assert message in str(raised.value)


def test_a_chosen_model_keeps_the_description_in_the_file() -> None:
    described = {"name": "a", "base_url": "http://a", "rpm": 5}
    settings: dict[str, Any] = {
        "answers": {"models": ["other", described]},
        "judge": {"model": {"name": "j", "rpm": 1}},
    }
    choose_judge(settings, "j", disabled=False)
    assert settings["judge"] == {"model": {"name": "j", "rpm": 1}, "enabled": True}
    choose_judge(settings, "a", disabled=False)
    assert settings["judge"]["model"] == described
    choose_models(settings, ["a", "new"])
    assert settings["answers"]["models"] == [described, {"name": "new"}]
    choose_judge(settings, None, disabled=True)
    assert validate(EvaluationConfig, settings).judge_model is None


def test_choosing_nothing_changes_nothing() -> None:
    settings: dict[str, Any] = {}
    choose_models(settings, [])
    choose_judge(settings, None, disabled=False)
    set_for_remote_models(settings, {"rpm": None})
    assert settings == {}


def test_limits_from_the_command_line_leave_the_embedded_model_alone() -> None:
    settings: dict[str, Any] = {
        "answers": {"models": [LOCAL, "a", {"name": "small", "model": LOCAL}]},
        "judge": {"model": "j"},
    }
    set_for_remote_models(settings, {"rpm": 60, "base_url": "http://x", "tpm": None})
    config = validate(EvaluationConfig, settings)
    assert [model.rpm for model in config.answers.models] == [None, 60, None]
    assert config.judge_model is not None
    assert (config.judge_model.rpm, config.judge_model.base_url) == (60, "http://x")


@pytest.mark.parametrize(
    "settings",
    [{"answers": "a"}, {"answers": {"models": "abc"}}, {"answers": {"models": [5]}},
     {"answers": {"models": [{"model": "x"}]}}, {"judge": {"model": 5}}, {"judge": "j"}],
)  # fmt: skip
def test_a_file_of_the_wrong_shape_is_still_wrong_after_the_command_line(settings: dict[str, Any]) -> None:
    set_for_remote_models(settings, {"rpm": 60})
    with pytest.raises(ConfigError, match=r"answers|judge"):
        validate(EvaluationConfig, settings)


def test_a_group_that_the_file_leaves_empty_can_be_filled() -> None:
    settings: dict[str, Any] = {"answers": None, "judge": None}
    set_for_remote_models(settings, {"rpm": 60})
    choose_models(settings, ["m"])
    choose_judge(settings, "j", disabled=False)
    config = validate(EvaluationConfig, settings)
    assert (config.answers.models[0].name, config.judge_model) == ("m", ModelConfig(name="j"))
