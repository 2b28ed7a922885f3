"""The prompts of a run -> their texts, and the lines in which each differs from the first one."""

from collections.abc import Mapping
from difflib import ndiff
from typing import Any, Final

_MARKS: Final = {"- ": "removed", "+ ": "added", "  ": "same"}


def prompt_differences(prompts: Mapping[str, tuple[str, str]]) -> list[dict[str, Any]]:
    """Return each prompt with its lines.

    Args:
        prompts: System part and user part of each, by name; the first one is what the others are held against.

    Returns:
        For each its `name`, and `lines`: pairs of `same`, `added` or `removed`, and the line. Of the first one, all
        lines are the same.
    """
    texts = {name: _lines(*parts) for name, parts in prompts.items()}
    first = next(iter(texts.values()), [])
    return [
        {"name": name, "lines": [(_MARKS[line[:2]], line[2:]) for line in ndiff(first, lines) if line[:2] in _MARKS]}
        for name, lines in texts.items()
    ]


def _lines(system: str, user: str) -> list[str]:
    parts = ["system:", *system.splitlines(), ""] if system else []
    return [*parts, "user:", *user.splitlines()]
