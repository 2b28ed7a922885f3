"""A configuration as it is stored -> what of it can change a result, by the `Effect` that stands at each field.

A run that is resumed has to have been started with the same, and a comparison reports where two runs differ in it.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from rageval.config.evaluation import EvaluationConfig
from rageval.config.models import ModelConfig
from rageval.config.settings import Effect


def fields_with(kind: type[BaseModel], *effects: Effect) -> tuple[str, ...]:
    """Return the names of a group's fields that have one of these effects."""
    return tuple(name for name, field in kind.model_fields.items() if any(one in field.metadata for one in effects))


SENT: Final = fields_with(ModelConfig, Effect.SENT)
"""Settings of a model that are part of its requests. No reply depends on the others: they say where it is, who asks,
how fast, for how long and for how much."""


def with_effect(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored configuration with those settings that can change a result."""
    return {
        group: {name: sent(value) for name, value in values.items() if name not in _named(group, Effect.NONE)}
        if isinstance(values, Mapping)
        else sent(values)
        for group, values in config.items()
        if group != "run"
    }


def may_change(group: str) -> frozenset[str]:
    """Return the settings of a group, such as `index`, that a run may go on with other values of.

    Those of models that are not sent may change everywhere.
    """
    if group == "run":
        return frozenset(_fields(group)) - _named(group, Effect.FIXED)
    return _named(group, Effect.NONE, Effect.OPEN)


def sent(value: Any) -> Any:
    """Return a setting with nothing but the name and the `SENT` of each model in it."""
    if isinstance(value, list):
        return [sent(item) for item in value]
    if isinstance(value, dict) and "api_key_env" in value:
        return {name: item for name, item in value.items() if name == "name" or name in SENT}
    return value


def _named(group: str, *effects: Effect) -> frozenset[str]:
    kind = _kind(group)
    return frozenset(fields_with(kind, *effects)) if kind else frozenset()


def _fields(group: str) -> tuple[str, ...]:
    kind = _kind(group)
    return tuple(kind.model_fields) if kind else ()


def _kind(group: str) -> type[BaseModel] | None:
    """Return the class of a group of settings; None where it is a list, or none of today's."""
    field = EvaluationConfig.model_fields.get(group)
    found = field.annotation if field else None
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None
