"""A model's configuration -> the parameters that its requests carry."""

from typing import Any

from rageval.config.models import ModelConfig
from rageval.safety.variables import filled_in_everywhere


def request_parameters(model: ModelConfig) -> dict[str, Any]:
    """Return the parameters of a request that the configuration sets, and no others, by which it is known again."""
    parameters = model.body
    if model.temperature is not None:
        parameters["temperature"] = model.temperature
    if model.max_completion_tokens is not None:
        parameters["max_completion_tokens"] = model.max_completion_tokens
    if model.service_tier:
        parameters["service_tier"] = model.service_tier
    return parameters


def sent_parameters(model: ModelConfig) -> dict[str, Any]:
    """Return the parameters as they are sent: with the values of variables, which are neither stored nor shown.

    Raises:
        ConfigError: If a variable is not set.
    """
    sent: dict[str, Any] = filled_in_everywhere(request_parameters(model))
    return sent
