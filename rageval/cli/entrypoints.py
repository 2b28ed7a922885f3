"""Flows by names that nobody else has: the entrypoints of deployments in a folder of a user's own.

Prefect looks for modules in that folder first, and a project may well have packages `flows` and `tasks` itself.
"""

import sys
from pathlib import Path

import rageval

_INSTALLED = str(Path(rageval.__file__).parents[1])
sys.path.insert(0, _INSTALLED)
try:
    from flows.evaluate import evaluate
    from flows.monitor import monitor
    from flows.nightly import nightly
finally:
    sys.path.remove(_INSTALLED)

__all__ = ["evaluate", "monitor", "nightly"]
