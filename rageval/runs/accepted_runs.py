"""`accepted.json` of an output folder: the last run that was accepted, by label.

One file for all labels, replaced as a whole; a lock beside it keeps two runs that end together from losing one.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from rageval.errors import DataError
from rageval.runs.run import Run
from rageval.storage.files import replacing, writing
from rageval.storage.leases import exclusive
from rageval.storage.places import place

ACCEPTED = "accepted.json"


@dataclass(frozen=True, kw_only=True)
class AcceptedRun:
    """The run that later ones of the same label are measured against."""

    run_id: str
    accepted_at: str
    """Time in UTC, ISO 8601."""
    note: str
    """Why it was accepted, in words."""


def accepted_runs(output: str) -> Mapping[str, AcceptedRun]:
    """Return the accepted run of every label of an output folder; empty if none has been accepted yet.

    Raises:
        DataError: If the file is damaged.
    """
    path = place(output) / ACCEPTED
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {label: AcceptedRun(**values) for label, values in found.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} cannot be read ({error}); move it away, and accept a run by hand with `rageval accept RUN`"
        ) from error


def accept_run(run: Run, label: str, note: str) -> AcceptedRun:
    """Make a run the one that later ones of its label are measured against; other labels stay as they are.

    Raises:
        DataError: If the file is damaged.
        RunStoppedError: If it cannot be written.
    """
    folder = run.path.parent
    accepted = AcceptedRun(run_id=run.run_id, accepted_at=datetime.now(UTC).isoformat(timespec="seconds"), note=note)
    with writing(folder), exclusive(folder / ACCEPTED):
        found = {**accepted_runs(str(folder)), label: accepted}
        text = json.dumps({name: asdict(run) for name, run in sorted(found.items())}, indent=2, ensure_ascii=False)
        with replacing(folder / ACCEPTED) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
    return accepted
