"""Parameters of a model's requests, as a mapping or as names and JSON -> names and JSON, which a form can show."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic_core import to_jsonable_python

from rageval.config.form import named_value
from rageval.config.settings import Name, Settings
from rageval.safety.credentials import check_body

_LONGEST = 20_000


def _as_json(value: Any) -> Any:
    """Return a value as JSON; a text that is JSON stands for what it says, and any other for itself."""
    if not isinstance(value, str):
        return _written(value)
    try:
        return _written(json.loads(value))
    except (ValueError, RecursionError):
        if value.lstrip().startswith(("{", "[", '"')):
            raise ValueError(
                'it begins as JSON and is none; mend it, or write a text that begins so as JSON, such as "[INST]"'
            ) from None
        return _written(value)


def _written(value: Any) -> str:
    # As JSON has them: YAML also knows dates, and numbers for keys.
    text = json.dumps(to_jsonable_python(value), ensure_ascii=False, allow_nan=False)
    if len(text) > _LONGEST:
        raise ValueError(f"it has {len(text)} characters as JSON; at most {_LONGEST} are sent")
    return text


class ParameterConfig(Settings):
    """One parameter of a model's requests."""

    model_config = ConfigDict(json_schema_extra=named_value)

    name: Name
    """What the endpoint calls it, such as seed."""
    value: Annotated[str, BeforeValidator(_as_json), Field(max_length=_LONGEST)]
    """JSON, such as 1, true, [1, 2] or {"type": "enabled"}; what is none is a text. ${NAME} stands for a variable."""


def as_list(parameters: Any) -> Any:
    """Return a mapping as names and JSON, and anything else as it is."""
    if not isinstance(parameters, Mapping):
        return parameters
    return [{"name": str(name), "value": _written(value)} for name, value in parameters.items()]


def check_parameters(parameters: tuple[ParameterConfig, ...]) -> tuple[ParameterConfig, ...]:
    """Return parameters in the order of their names, each of which stands once, and none of which is a key.

    Raises:
        ValueError: If a name stands twice, or one holds a key; it says where, and does not repeat the key.
    """
    names = [parameter.name for parameter in parameters]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"two parameters are called {twice[0]!r}; leave one out")
    check_body(as_body(parameters))
    return tuple(sorted(parameters, key=lambda parameter: parameter.name))


def as_body(parameters: Sequence[ParameterConfig]) -> dict[str, Any]:
    """Return parameters as they stand in a request, but for variables, which are filled in where it is sent."""
    return {parameter.name: json.loads(parameter.value) for parameter in parameters}


def as_parameters(body: Mapping[str, Any]) -> tuple[ParameterConfig, ...]:
    """Return what stands in a request as parameters."""
    return tuple(ParameterConfig.model_validate(parameter) for parameter in as_list(body))
