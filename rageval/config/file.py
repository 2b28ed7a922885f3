"""A YAML file -> settings."""

import os
from pathlib import Path
from typing import Any

import yaml

from rageval.config.overrides import Settings
from rageval.errors import ConfigError
from rageval.safety.urls import shown
from rageval.text.yaml_text import DuplicateKeyError, load_yaml

_LARGEST_BYTES = 1_000_000


def read_settings(path: Path) -> Settings:
    """Return the file's settings, not validated yet.

    Raises:
        ConfigError: If the file is missing, unreadable, too large, not YAML, or not a mapping, or if a key stands
            twice in one group.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_BYTES + 1)  # no size is known of a pipe
        if len(content) > _LARGEST_BYTES:
            raise ConfigError(f"{path} is larger than {_LARGEST_BYTES} bytes: that is no configuration")
        settings = load_yaml(content.decode())
    except FileNotFoundError:
        name = shown(str(path).replace(":/", "://", 1))  # a URL is none, and as a path it has lost a slash
        raise ConfigError(f"the configuration {name} does not exist; see examples/configs for some that do") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the configuration {path} cannot be read: {error}") from error
    except DuplicateKeyError as error:
        raise ConfigError(f"the configuration {path} cannot be used: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"the configuration {path} is not valid YAML: {_words(error)}") from None
    if settings is None:
        return {}
    if not isinstance(settings, dict):
        raise ConfigError(f"the configuration {path} holds a {type(settings).__name__}; expected groups of settings")
    if (folder := os.path.relpath(path.parent)) != os.curdir:
        _place_functions(settings, folder)
    return settings


def _place_functions(settings: Any, folder: str) -> None:
    """Let every function that the file names begin at the file's folder, unless it says where."""
    if isinstance(settings, dict):
        if isinstance(settings.get("function"), str):
            settings.setdefault("function_folder", folder)
        settings = list(settings.values())
    if isinstance(settings, list):
        for value in settings:
            _place_functions(value, folder)


def _words(error: yaml.YAMLError) -> str:
    """Return what is wrong and where, without the line itself, which may hold a key."""
    if not isinstance(error, yaml.MarkedYAMLError) or not error.problem_mark:
        return " ".join(str(error).split())
    mark = error.problem_mark
    return f"{error.context or ''} {error.problem}, line {mark.line + 1}, column {mark.column + 1}".strip()
