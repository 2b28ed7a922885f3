"""Whether a local Prefect server goes on running for the next run, and for how long: RAGEVAL_KEEP_SERVER."""

import os
from pathlib import Path
from typing import Final

from rageval.errors import ConfigError

VARIABLE = "RAGEVAL_KEEP_SERVER"
DEFAULT_MINUTES: Final = 20.0
_LONGEST_MINUTES: Final = 7 * 24 * 60.0
_NO: Final = {"no", "0", "false", "off"}
_YES: Final = {"yes", "true", "on"}
_CONTAINER_VARIABLES: Final = ("KUBERNETES_SERVICE_HOST", "container")
_CONTAINER_FILES: Final = ("/.dockerenv", "/run/.containerenv")


def kept_minutes() -> float | None:
    """Return how many minutes a local server waits for the next run, or None if it ends with its run.

    Without the variable it waits, but not in CI and not in a container, where nothing may stay behind.

    Raises:
        ConfigError: If RAGEVAL_KEEP_SERVER is none of yes, no, and a number of minutes.
    """
    given = os.environ.get(VARIABLE, "").strip().lower()
    if not given:
        return None if why_not_kept() else DEFAULT_MINUTES
    if given in _NO:
        return None
    if given in _YES:
        return DEFAULT_MINUTES
    try:
        minutes = float(given)
    except ValueError:
        minutes = 0.0
    if not 0.0 < minutes <= _LONGEST_MINUTES:
        raise ConfigError(
            f"{VARIABLE} is {given[:40]!r}, expected yes, no, or for how many minutes without a request a local "
            f"Prefect server goes on running, at most {_LONGEST_MINUTES:.0f}"
        )
    return minutes


def why_not_kept() -> str:
    """Return what says that no server is kept, if anything does."""
    given = os.environ.get(VARIABLE, "").strip().lower()
    if given:
        return f"{VARIABLE} is {given}" if given in _NO else ""
    if os.environ.get("CI", "").strip().lower() not in {"", *_NO}:
        return "this is CI"
    inside = any(name in os.environ for name in _CONTAINER_VARIABLES)
    return "this is a container" if inside or any(Path(path).exists() for path in _CONTAINER_FILES) else ""
