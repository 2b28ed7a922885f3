"""`${NAME}` in a URL or a request -> the value of the environment's variable, at the place where it is used."""

import os
from collections.abc import Mapping
from typing import Any

from rageval.errors import ConfigError
from rageval.safety.allowances import check_variable
from rageval.safety.credentials import fill, placeholders
from rageval.safety.urls import secret_values, shown


def filled_in(text: str) -> str:
    """Return the text with the values of its variables, which must be neither stored nor shown.

    Raises:
        ConfigError: If a variable is not set, or the run may not read it.
    """
    return fill(text, _values(text)) if "${" in text else text


def filled_in_everywhere(body: Any) -> Any:
    """Return the parameters of a request with the values of the variables in all their texts.

    Raises:
        ConfigError: If a variable is not set, or the run may not read it.
    """
    if isinstance(body, Mapping):
        return {name: filled_in_everywhere(value) for name, value in body.items()}
    if isinstance(body, list):
        return [filled_in_everywhere(value) for value in body]
    return filled_in(body) if isinstance(body, str) else body


def filled_in_values(body: Any) -> set[str]:
    """Return what must not be shown of all that is filled in, see `rageval.safety.urls.secret_values`.

    Raises:
        ConfigError: If a variable is not set, or the run may not read it.
    """
    if isinstance(body, Mapping):
        body = list(body.values())
    if isinstance(body, list):
        return {text for value in body for text in filled_in_values(value)}
    values = _values(body).values() if isinstance(body, str) else ()
    return {text for value in values for text in secret_values(value)}


def _values(text: str) -> dict[str, str]:
    for name in placeholders(text):
        check_variable(name)
    values = {name: os.environ.get(name, "").strip() for name in placeholders(text)}
    if missing := [name for name, value in values.items() if not value]:
        raise ConfigError(
            f"{shown(text)} needs the environment variable {missing[0]}, which is not set; set it wherever the run "
            "works, also for workers"
        )
    return values
