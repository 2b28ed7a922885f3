"""The parameters of a run that was started through Prefect's API: all that they name is allowed, or nothing is done.

Where a thing is used it is checked again (`rageval.safety.allowances`): a run that goes on takes settings from its
folder, too. Here it is told before anything is read, written or sent.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from rageval.config.headers import HeaderConfig, as_headers
from rageval.config.models import ModelConfig
from rageval.corpus.sample_data import SAMPLE
from rageval.corpus.versions import LATEST
from rageval.engine.endpoint import endpoint_address
from rageval.engine.headers import sent_headers
from rageval.engine.parameters import request_parameters
from rageval.errors import ConfigError
from rageval.safety.allowances import (
    COMMANDS,
    ENDPOINTS,
    FILES,
    HEADERS,
    INDEXES,
    KEY_FILES,
    MODULES,
    OUTPUTS,
    VARIABLES,
    allow,
    allowances,
    check_code,
    check_command,
    check_embedding_model,
    check_endpoint,
    check_file,
    check_index,
    check_key_file,
    check_key_header,
    check_output,
    check_variable,
)
from rageval.safety.credentials import placeholders
from rageval.safety.urls import shown
from rageval.safety.variables import filled_in, filled_in_values


def _check_file(location: str) -> None:
    if location.startswith(SAMPLE):
        return
    check_file(filled_in(location.removeprefix(LATEST)), shown(location))


def _check_output(location: str) -> None:
    check_output(filled_in(location), shown(location))


def _check_key_file(location: str) -> None:
    check_key_file(filled_in(location), shown(location))


_CODE = ("function", "function_folder", "interpreter")
KINDS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("documents", "ground_truth", "human_labels", "rules", "file", "query_file", "ca_file"), FILES),
        **dict.fromkeys(("key_file", "client_certificate", "client_key"), KEY_FILES),
        **dict.fromkeys(("output", "out", "html", "folder", "run_a", "run_b"), OUTPUTS),
        **dict.fromkeys(("embedding_model", "embedding_models"), MODULES),
        **dict.fromkeys(("base_url", "url", "dask_scheduler"), ENDPOINTS),
        **dict.fromkeys(_CODE, MODULES),
        "index": INDEXES,
        **dict.fromkeys(("api_key_env", "env"), VARIABLES),
        "key_header": HEADERS,
    }
)
"""What a setting or parameter of this name is allowed by."""
_CHECKS: Mapping[str, Callable[[str], None]] = MappingProxyType(
    {
        FILES: _check_file,
        OUTPUTS: _check_output,
        MODULES: check_embedding_model,
        INDEXES: check_index,
        ENDPOINTS: lambda address: check_endpoint(address, address),
        VARIABLES: check_variable,
        KEY_FILES: _check_key_file,
        HEADERS: check_key_header,
    }
)


def check_allowed(parameters: Mapping[str, Any]) -> None:
    """Make sure that the run may use all that its parameters name.

    Args:
        parameters: Those of a flow, by name: configurations, texts, numbers.

    Raises:
        ConfigError: If it may not.
    """
    if allowances() is None:
        return
    for name, value in parameters.items():
        _check(name, value)


def allow_named(parameters: Any, name: str = "") -> None:
    """Let the runs that this process starts use what parameters name that whoever started it has written down.

    Args:
        parameters: Those of a deployment, as they stand in its file.
        name: Of the setting that they are the value of, if of any.
    """
    if name == "headers":
        allow(HEADERS, [f"{header.get('name')}={_text(header)}" for header in as_headers(parameters) or ()])
    if name == "key_command":
        allow(COMMANDS, [shlex.join(parameters)] if parameters else [])
    elif isinstance(parameters, Mapping):
        for key, value in parameters.items():
            allow_named(value, str(key))
    elif isinstance(parameters, Sequence) and not isinstance(parameters, str):
        for value in parameters:
            allow_named(value, name)
    elif isinstance(parameters, str) and parameters:
        allow(VARIABLES, placeholders(parameters))
        if name in KINDS:
            allow(KINDS[name], [_widened(parameters)])


def _text(header: Mapping[str, Any]) -> str:
    """Return what a header says that stands in a file, as `HeaderConfig.text` does."""
    return str(header.get("value") or f"${{{header.get('env')}}}")


def _widened(text: str) -> str:
    """Return what a setting names, and of `latest:` the folder that its versions lie in."""
    with suppress(ConfigError):  # a variable that is not set is the run's to tell
        text = filled_in(text)
    path = text.removeprefix(LATEST)
    return path if path == text else path.rpartition("/")[0] or "."


def _check(name: str, value: Any) -> None:
    if isinstance(value, ModelConfig):
        _check_model(value)
    elif isinstance(value, HeaderConfig):
        sent_headers([value])
    elif isinstance(value, BaseModel):
        for setting in type(value).model_fields:
            _check(setting, getattr(value, setting))
    elif isinstance(value, Mapping):
        check_allowed(value)
    elif isinstance(value, str):
        if value and name in KINDS:
            (check_code if name in _CODE else _CHECKS[KINDS[name]])(value)
    elif isinstance(value, Sequence):
        for item in value:
            _check(name, item)


def _check_model(model: ModelConfig) -> None:
    check_variable(model.api_key_env)
    filled_in_values(request_parameters(model))
    if not model.is_local:
        endpoint_address(model)
    for setting in ("key_file", "key_header", "headers", "tls"):
        _check(setting, getattr(model, setting))
    if model.key_command:
        check_command(shlex.join(model.key_command))
