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


def test_the_defaults_run_offline_and_answer_from_the_first_retriever() -> None:
    config = configured()
    assert [model.is_local for model in config.models] == [True]
    assert config.judge_model == config.models[0]
    assert [retriever.method for retriever in config.retrievers] == ["vector", "text", "hybrid"]
    assert config.answer_retrievers == ("vector",)
    assert config.index.backend == "auto"


def test_a_model_may_be_just_its_name() -> None:
    config = configured(models=["gpt-a", {"name": "b", "model": "gpt-b"}], judge={"model": "gpt-c"})
    assert [model.served_name for model in config.models] == ["gpt-a", "gpt-b"]
    assert config.judge_model == ModelConfig(name="gpt-c")


def test_a_retriever_may_be_just_its_method_and_is_called_like_that() -> None:
    described = {"method": "hybrid", "question_boost": 1.0}
    config = configured(retrievers=["text", described, {"name": "wide", **described, "candidates": 100}])
    assert [(one.name, one.method, one.question_boost, one.candidates) for one in config.retrievers] == [
        ("text", "text", 1.0, 50), ("hybrid", "hybrid", 1.0, 50), ("wide", "hybrid", 1.0, 100),
    ]  # fmt: skip


def test_only_models_that_some_system_asks_answer_and_the_first_of_them_judges() -> None:
    config = configured(models=["a", "b", "c"], systems=[{"models": ["c"]}, {"kind": "oracle", "models": ["b"]}])
    assert [model.name for model in config.answering_models] == ["b", "c"]
    assert config.judge_model == ModelConfig(name="b")


def test_nothing_is_judged_where_no_metric_asks_a_judge() -> None:
    assert configured(judge={"enabled": False}).judge_model is None
    assert configured(metrics=["cosine"]).judge_model is None
    assert configured(metrics=["cosine"], judge={"pairwise": True}).judge_model == ModelConfig(name="local")


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"retrieval": {"top_kk": 3}}, "retrieval.top_kk is not a known setting; did you mean top_k?"),
        ({"retreival": {}}, "retreival is not a known setting"),
        ({"retrieval": {"top_k": 0}}, "retrieval.top_k: Input should be greater than or equal to 1 (found 0)"),
        ({"retrieval": {"top_k": "five"}}, "(found 'five')"),
        ({"retrievers": []}, "retrievers: Tuple should have at least 1 item"),
        ({"retrievers": ["text", "text"]}, "two retrievers have the same name: text; give each its own `name`"),
        (
            {"retrievers": ["bm25"]},
            "retrievers.0.method: Input should be 'text', 'vector', 'hybrid', 'elasticsearch' or 'python'",
        ),
        ({"models": ["a", "a"]}, "two models have the same name: a; give each its own `name`"),
        ({"models": "gpt-a"}, "models: Input should be a valid tuple (found 'gpt-a')"),
        ({"systems": [{"retrievers": ["text"]}], "retrievers": ["vector"]}, "systems.retrievers names 'text'"),
        ({"models": [{"name": "a", "input_usd_per_mtok": 1}]}, "give both input_usd_per_mtok and"),
        ({"models": [{"name": "a", "timeout_s": float("nan")}]}, "models.0.timeout_s"),
        ({"models": [{"name": "a", "deadline_s": float("inf")}]}, "models.0.deadline_s"),
        ({"models": [{"name": "a", "rpm": 0}]}, "models.0.rpm"),
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
        configured(models=[{"name": "a", "rpm": 0}])
    assert str(raised.value).count("; ") == 0


def test_a_key_pasted_for_the_name_of_its_variable_is_not_repeated() -> None:
    with pytest.raises(ConfigError, match=r"models\.0\.api_key_env") as raised:
        configured(models=[{"name": "a", "api_key_env": "sk-proj-1234"}])
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
        ({"models": [{"name": "a", "base_url": "https://user:hunter2@host/v1"}]}, "base_url: it holds"),
        ({"models": [{"name": "a", "base_url": "sk-hunter2AbCdEfGh12345678"}]}, "base_url: it holds"),
        ({"models": [{"name": "a", "extra_body": {"api_key": "hunter2"}}]}, "extra_body: api_key is a"),
        ({"models": [{"name": "a", "api_key_env": "hunter2"}]}, "api_key_env: expected the name"),
        ({"models": [{"name": "a", "headers": {"api-key": "hunter2"}}]}, "headers.0: api-key is a key"),
        ({"models": [{"name": "a", "headers": {"x-a": "Bearer hunter2-2"}}]}, "headers.0: x-a is a key"),
        ({"models": [{"name": "a", "headers": {"x-a": "hunter2\n"}}]}, "headers.0.value: expected a text"),
        ({"models": [{"name": "a", "headers": {"x-a: hunter2": "1"}}]}, "headers.0.name: expected the name of a"),
        ({"models": [{"name": "a", "headers": {"x-a": {"env": "hunter2"}}}]}, "headers.0.env: expected the name"),
        ({"models": [{"name": "a", "key_header": "api-key: hunter2"}]}, "key_header: expected the name of a header"),
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
    config = configured(models=[model, {"name": "b", "base_url": "${ENDPOINT}"}], data=data)
    assert config.models[0].base_url == model["base_url"]
    assert config.models[0].body == body
    assert config.data.model_dump(include=set(data)) == data


def test_request_parameters_are_a_mapping_in_a_file_and_names_with_json_in_a_form() -> None:
    mapping = {"seed": 1, "user": "1", "stop": ["\n"], "logit_bias": {50256: -100}, "note": None}
    named = [
        {"name": "stop", "value": '["\\n"]'}, {"name": "seed", "value": "1"}, {"name": "user", "value": '"1"'},
        {"name": "note", "value": "null"}, {"name": "logit_bias", "value": {"50256": -100}},
    ]  # fmt: skip
    written, filled_in = (ModelConfig(name="a", extra_body=body) for body in (mapping, named))
    assert written == filled_in
    assert written.body == {**mapping, "logit_bias": {"50256": -100}}

    settings: dict[str, Any] = {"models": [{"name": "a", "extra_body": mapping}]}
    put_text(settings, "models.0.extra_body.seed=2")
    assert configured(**settings).models[0].body["seed"] == 2
    assert ModelConfig(name="a", extra_body=[{"name": "user", "value": "${TEAM}"}]).body == {"user": "${TEAM}"}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ([{"name": "thinking", "value": "{type: enabled}"}], "it begins as JSON and is none"),
        ([{"name": "seed", "value": 1}, {"name": "seed", "value": 2}], "two parameters are called 'seed'"),
        ([{"name": "deep", "value": "[" * 9000}], "it begins as JSON and is none"),
        ({"long": "x" * 20_000}, "at most 20000 are sent"),
        ({"share": float("nan")}, "not JSON compliant"),
        ([{"name": "header", "value": '{"X-Api-Key": "hunter2-hunter2"}'}], "header.X-Api-Key is a key"),
    ],
)
def test_a_request_parameter_that_cannot_be_sent_is_refused(parameters: Any, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        configured(models=[{"name": "a", "extra_body": parameters}])
    assert message in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_headers_are_a_mapping_in_a_file_and_a_list_in_a_form() -> None:
    mapping = {"x-portkey-provider": "openai", "x-team": {"env": "TEAM_TOKEN"}, "Authorization": "Bearer ${TOKEN}"}
    listed = [
        {"name": "x-portkey-provider", "value": "openai"}, {"name": "x-team", "env": "TEAM_TOKEN"},
        {"name": "Authorization", "value": "Bearer ${TOKEN}"},
    ]  # fmt: skip
    assert ModelConfig(name="a", headers=mapping) == ModelConfig(name="a", headers=listed)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"headers": [{"name": "x-a"}]}, "needs a `value`, or in `env` the variable"),
        ({"headers": [{"name": "x-a", "value": "1", "env": "A"}]}, "needs a `value`, or in `env` the variable"),
        ({"headers": {"x-a": "1", "X-A": "2"}}, "the header x-a stands twice"),
        ({"headers": {"Host": "elsewhere"}}, "the header Host is the connection's own business"),
        ({"key_file": "key", "key_command": ["pass", "key"]}, "the key comes from key_file or from key_command"),
        ({"tls": {"client_key": "key.pem"}}, "name that in client_certificate"),
    ],
)
def test_what_cannot_be_meant_of_a_gateway_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        configured(models=[{"name": "a", **settings}])
    assert message in str(refused.value)


def test_a_configuration_cannot_be_changed() -> None:
    config = configured()
    with pytest.raises(ValidationError, match="frozen"):
        config.retrieval.top_k = 7  # type: ignore[misc]


def test_every_field_of_the_form_has_a_description_and_none_takes_a_secret() -> None:
    schema = EvaluationConfig.model_json_schema()
    groups = {name: group for name, group in schema["$defs"].items() if "properties" in group}
    assert {"RetrieverConfig", "PromptConfig", "ModelConfig", "SystemConfig"} < set(groups)
    assert {"DataConfig", "IndexConfig", "RetrievalConfig", "JudgeConfig"} < set(groups)
    fields = {f"{name}.{field}": text for name, group in groups.items() for field, text in group["properties"].items()}
    assert [path for path, text in fields.items() if len(text.get("description", "")) < 10] == []
    smelly = {path for path in fields if re.search(r"key|token|secret|password|credential", path, re.IGNORECASE)}
    of_keys = {f"ModelConfig.{name}" for name in ("api_key_env", "key_file", "key_command", "key_header")}
    assert smelly == {*of_keys, "TlsConfig.client_key", "ModelConfig.max_completion_tokens"}


def test_the_configuration_survives_its_own_json() -> None:
    config = configured(
        models=[{"name": "a", "rpm": 5, "extra_body": {"seed": 1}}],
        retrievers=["text", {"name": "wide", "method": "hybrid", "candidates": 100}],
        prompts=[{"name": "brief", "user": "{{ question }}"}],
        systems=["closed_book", {"retrievers": ["wide"], "prompts": ["brief"]}],
    )
    assert EvaluationConfig.model_validate_json(config.model_dump_json()) == config


def test_values_are_put_by_their_path_and_make_their_groups() -> None:
    settings: dict[str, Any] = {"models": [{"name": "a"}, {"name": "b"}], "judge": None}
    put(settings, "retrieval.top_k", 7)
    put_text(settings, "models.1.rpm=60")
    put_text(settings, " judge.enabled=false")
    put_text(settings, "retrievers=[text, vector]")
    put_text(settings, "data.only=a=b")
    assert settings == {
        "models": [{"name": "a"}, {"name": "b", "rpm": 60}],
        "judge": {"enabled": False},
        "retrieval": {"top_k": 7},
        "retrievers": ["text", "vector"],
        "data": {"only": "a=b"},
    }
    put_text(settings, "models.0=c")
    assert settings["models"][0] == "c"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("retrieval.top_k", "expected key.path=value, such as retrieval.top_k=10"),
        ("=3", "expected key.path=value"),
        ("a.b={", "the value is not valid YAML; quote it"),
        ("a.b={c: 1, c: 2}", "stand several times: c (lines 1 and 1)"),
        ("models.1.rpm=5", "--set models.1.rpm: '1' leads nowhere; check the path"),
        ("models.².rpm=5", "leads nowhere"),
        ("models.-1=x", "leads nowhere"),
        ("models.0.rpm.x=5", "leads nowhere"),
    ],
)
def test_an_assignment_that_leads_nowhere_says_what_to_do(assignment: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        put_text({"models": [{"name": "a", "rpm": 3}]}, assignment)
    assert message in str(raised.value)


def test_a_chosen_model_keeps_the_description_in_the_file() -> None:
    described = {"name": "a", "base_url": "http://a", "rpm": 5}
    settings: dict[str, Any] = {
        "models": ["other", described],
        "judge": {"model": {"name": "j", "rpm": 1}},
    }
    choose_judge(settings, "j", disabled=False)
    assert settings["judge"] == {"model": {"name": "j", "rpm": 1}, "enabled": True}
    choose_judge(settings, "a", disabled=False)
    assert settings["judge"]["model"] == described
    choose_models(settings, ["a", "new"])
    assert settings["models"] == [described, {"name": "new"}]
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
        "models": [LOCAL, "a", {"name": "small", "model": LOCAL}],
        "judge": {"model": "j"},
    }
    set_for_remote_models(settings, {"rpm": 60, "base_url": "http://x", "tpm": None})
    config = validate(EvaluationConfig, settings)
    assert [model.rpm for model in config.models] == [None, 60, None]
    assert config.judge_model is not None
    assert (config.judge_model.rpm, config.judge_model.base_url) == (60, "http://x")


@pytest.mark.parametrize(
    "settings",
    [{"models": 5}, {"models": "abc"}, {"models": [5]},
     {"models": [{"model": "x"}]}, {"judge": {"model": 5}}, {"judge": "j"}],
)  # fmt: skip
def test_a_file_of_the_wrong_shape_is_still_wrong_after_the_command_line(settings: dict[str, Any]) -> None:
    set_for_remote_models(settings, {"rpm": 60})
    with pytest.raises(ConfigError, match=r"models|judge"):
        validate(EvaluationConfig, settings)


def test_a_group_that_the_file_leaves_empty_can_be_filled() -> None:
    settings: dict[str, Any] = {"models": None, "judge": None}
    set_for_remote_models(settings, {"rpm": 60})
    choose_models(settings, ["m"])
    choose_judge(settings, "j", disabled=False)
    config = validate(EvaluationConfig, settings)
    assert (config.models[0].name, config.judge_model) == ("m", ModelConfig(name="j"))
