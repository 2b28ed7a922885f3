"""Keys where they do not belong: in the place of a variable's name, and in the parameters of a request."""

import re
from typing import Any

import jsonschema
import pytest

from rageval.config.parameters import ParameterConfig, as_list
from rageval.safety.credentials import VARIABLE_NAME, check_body, variable_name

KEY = "AbCdEfGh12345678AbCdEfGh"


def check_schema(body: dict[str, Any]) -> None:
    """Check parameters as Prefect's server does before it stores them."""
    for parameter in as_list(body):
        jsonschema.validate(parameter, ParameterConfig.model_json_schema())


@pytest.mark.parametrize(
    "name",
    ["OPENAI_API_KEY", "KEY", "_KEY", "S3_KEY", "GPT4O_KEY", "AZURE_OPENAI_KEY_2", "OPENAI__KEY", "TEAM_2_KEY",
     "HUGGINGFACEHUB_API_TOKEN", "KEY_20261021"],
)  # fmt: skip
def test_the_name_of_a_variable_is_in_capitals(name: str) -> None:
    assert variable_name(name) == name
    assert re.search(VARIABLE_NAME, name), "the schema says the same"


@pytest.mark.parametrize(
    "key",
    [f"sk-proj-{KEY}", f"sk_live_{KEY}", f"gsk_{KEY}", f"hf_{KEY}", f"xai-{KEY}", f"AIza{KEY}", f"ghp_{KEY}",
     "0123456789abcdef0123456789abcdef", "abcdef0123456789abcdef0123456789", "ABCDEF0123456789ABCDEF0123456789",
     "AKIA2EXAMPLE3EXAMPLE", "correct horse", "hunter2", "", "A" * 101],
)  # fmt: skip
def test_a_key_is_no_name_of_a_variable_whatever_it_begins_with_and_is_not_repeated(key: str) -> None:
    with pytest.raises(ValueError, match="expected the name of an environment variable") as refused:
        variable_name(key)
    assert not key or key not in str(refused.value)


@pytest.mark.parametrize(
    "body",
    [
        {"api_key": "hunter2-hunter2"},
        {"apiKeys": ["hunter2-hunter2"]},
        {"options": [{"Password": "hunter2-hunter2"}]},
        {"extra_headers": {"Ocp-Apim-Subscription-Key": "hunter2-hunter2"}},
        {"aws_session_token": "hunter2-hunter2"},
        {"user": f"sk-ant-{KEY}"},
        {"stop": [f"sk-ant-{KEY}"]},
    ],
)
def test_a_key_in_the_parameters_of_a_request_is_refused_without_being_repeated(body: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is a key, which would be stored and shown") as refused:
        check_body(body)
    assert "hunter2" not in str(refused.value)
    assert KEY not in str(refused.value)
    with pytest.raises(jsonschema.ValidationError):
        check_schema(body)


@pytest.mark.parametrize(
    "body", [{"auth": {"password": "pw"}}, {"password": 123456}, {"anything": f"Bearer {KEY}"}, {f"sk-ant-{KEY}": 1}]
)
def test_some_keys_are_seen_that_the_schema_does_not_see(body: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is a key"):
        check_body(body)


@pytest.mark.parametrize(
    "body",
    [
        {"seed": 1, "max_tokens": 16000, "prompt_cache_key": "faq", "user": "somebody", "stop": ["\n"]},
        {"eos_token": "</s>", "stop_token": 128009, "use_auth": True, "api_key": ""},
        {"api_key": "${MY_KEY}", "headers": {"Authorization": "Bearer ${MY_KEY}"}},
        {"guided_json": {"properties": {"password": {"type": "string"}}, "required": ["password"]}},
    ],
)
def test_other_parameters_are_sent(body: dict[str, Any]) -> None:
    assert check_body(body) is body
    check_schema(body)
