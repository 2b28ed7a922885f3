"""A configuration as it is stored -> what of it can change a result.

A run that is resumed has to have been started with the same, and a comparison reports where two runs differ in it.
"""

from collections.abc import Mapping
from typing import Any, Final

SENT: Final = ("model", "temperature", "max_completion_tokens", "service_tier", "extra_body")
"""Settings of a model that are part of its requests. No reply depends on the others: they say where it is, who asks,
how fast, for how long and for how much."""
WITHOUT_EFFECT: Final[Mapping[str, frozenset[str]]] = {
    "index": frozenset({"name", "batch_size"}),
}
"""Settings of other groups that no result depends on; the whole group `run` is such."""


def with_effect(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with those settings that can change a result."""
    return {
        group: {name: sent(value) for name, value in values.items() if name not in WITHOUT_EFFECT.get(group, ())}
        if isinstance(values, Mapping)
        else sent(values)
        for group, values in config.items()
        if group != "run"
    }


def sent(value: Any) -> Any:
    """Return a setting with nothing but the name and the `SENT` of each model in it."""
    if isinstance(value, list):
        return [sent(item) for item in value]
    if isinstance(value, dict) and "api_key_env" in value:
        return {name: item for name, item in value.items() if name == "name" or name in SENT}
    return value
