"""A command that runs a flow -> Prefect imported, its server ready, and the runs tagged."""

import logging
import os
from collections.abc import Callable
from contextlib import AbstractContextManager

from pydantic import ValidationError

from rageval.errors import ConfigError

_PREFECT_DEFAULTS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}


def tagged() -> AbstractContextManager[object]:
    """Tag the flow runs of the block as the deployments tag theirs, so that the UI can filter by it."""
    from prefect import tags  # noqa: PLC0415 - imports Prefect, which takes seconds

    return tags("rageval", "ad-hoc")


def import_prefect() -> None:
    """Import Prefect, with its defaults for one process.

    Raises:
        ConfigError: If its settings cannot be used.
    """
    for name, value in _PREFECT_DEFAULTS.items():
        os.environ.setdefault(name, value)
    try:
        import prefect.main  # noqa: F401, PLC0415 - sets up its logging, which is then replaced
    except ValidationError as error:
        wrong = "; ".join(": ".join([*map(str, one["loc"]), one["msg"]]) for one in error.errors())
        raise ConfigError(
            f"Prefect's settings, which variables PREFECT_... and its profile hold, cannot be used: {wrong}"
        ) from None


def start_prefect(say: Callable[[str], None], meanwhile: Callable[[], None]) -> None:
    """Import Prefect, and wait for its server: for a local one if none is configured.

    Args:
        say: Told what is waited for.
        meanwhile: Called while a server starts, but not before a configured one has answered: nobody waits for what
            is slow to be told that it does not.
    """
    import_prefect()
    from prefect.settings import get_current_settings  # noqa: PLC0415

    from flows.server import begin, ready  # noqa: PLC0415 - imports Prefect

    if get_current_settings().api.url:
        ready(say)
        meanwhile()
    else:
        logging.getLogger("prefect").setLevel(logging.WARNING)
        begin(say)
        meanwhile()
        import flows.workers  # noqa: F401, PLC0415 - what every flow needs, while the server starts

        ready(say)
