"""What a program hands over, a frame of questions and functions that answer -> settings and files like any other."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import pandas as pd

from rageval.config.evaluation import EvaluationConfig
from rageval.config.overrides import Settings
from rageval.errors import ConfigError, DataError
from rageval.runs.run import Run
from rageval.storage.files import replacing

_FILE: Final = "given.jsonl"
_NO_NAME: Final = re.compile(r"[^A-Za-z0-9_.]+")


def choose_systems(
    settings: Settings, systems: Mapping[str, Callable[..., Any] | Mapping[str, Any]]
) -> dict[str, Callable[..., Any]]:
    """Let these systems answer, in place of those of the settings.

    Args:
        settings: Where they are put.
        systems: By name, a function or settings; empty leaves the settings as they are.

    Returns:
        Those that are functions.

    Raises:
        ConfigError: If one is neither.
    """
    functions: dict[str, Callable[..., Any]] = {}
    made = []
    for name, system in systems.items():
        if isinstance(system, Mapping):
            made.append({**system, "name": name})
        elif callable(system):
            functions[name] = system
            made.append({"kind": "python", "name": name, "function": reference_of(system)})
        else:
            raise ConfigError(
                f"the system {name!r} is of type {type(system).__name__}; expected a function of a question, or the "
                "settings of a system"
            )
    if made:
        settings["systems"] = made
    return functions


def reference_of(function: Callable[..., Any]) -> str:
    """Return `module:name` of a function as settings and tables have it; of an object, that of its class."""
    named = function if hasattr(function, "__qualname__") else type(function)
    texts = (getattr(named, "__module__", None) or "builtins", getattr(named, "__qualname__", ""))
    module, name = (_NO_NAME.sub("_", text).strip("._") for text in texts)
    return f"{module}:{name or 'function'}"


def with_questions(run: Run, questions: pd.DataFrame, config: EvaluationConfig) -> EvaluationConfig:
    """Write a frame of questions into a run's folder, and return the settings that name that file.

    Raises:
        DataError: If it has no rows, or a value that no file of JSON could hold.
    """
    if questions.empty:
        raise DataError("the frame of questions has no rows; expected one for each question")
    try:
        text = questions.to_json(orient="records", lines=True, force_ascii=False, date_format="iso")
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"the frame of questions cannot be written as JSON: {error}") from None
    path = run.path / _FILE
    with replacing(path) as file:
        file.write_text(text, encoding="utf-8")
    data = config.data.model_copy(update={"ground_truth": str(path)})
    return config.model_copy(update={"data": data})
