"""The batches of one step of a run, in its folder: what a new start has to know to pay nothing twice.

    runs/<run_id>/batches/<step>.json

A batch is noted before it is created, with a token that it will carry, and once more with its id. Whichever of the two
a kill leaves behind, the next start finds the batch.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from secrets import token_hex

from rageval.runs.run import Run
from rageval.storage.places import matching
from rageval.text.fingerprint import digest

_FOLDER = "batches"
_OPEN = "open"


@dataclass(frozen=True, kw_only=True)
class NotedBatch:
    """One batch: `status` is open until its replies are stored; `batch_id` is empty until it is known."""

    token: str
    fingerprint: str
    """Identity of the set of requests."""
    file_id: str
    batch_id: str
    status: str
    ids: list[str]
    """The custom_id of each request."""


@dataclass(frozen=True)
class BatchLog:
    """The notes of one step.

    Args:
        run: The run.
        step: What the batches are for, such as "answers of gpt-4o".
    """

    run: Run
    step: str

    def open(self) -> list[NotedBatch]:
        """Return the batches whose replies are not stored yet."""
        return [batch for batch in self._read() if batch.status == _OPEN]

    def note(self, file_id: str, ids: Sequence[str]) -> NotedBatch:
        """Note a batch that is about to be created."""
        batch = NotedBatch(
            token=token_hex(16), fingerprint=digest(*ids), file_id=file_id, batch_id="", status=_OPEN, ids=list(ids)
        )
        self._write([*self._read(), batch])
        return batch

    def created(self, batch: NotedBatch, batch_id: str) -> NotedBatch:
        """Note the id of a batch."""
        return self._update(replace(batch, batch_id=batch_id))

    def ended(self, batch: NotedBatch, status: str) -> None:
        """Note that nothing more is wanted of a batch."""
        self._update(replace(batch, status=status))

    @property
    def _name(self) -> str:
        slug = re.sub(r"[^A-Za-z0-9.-]+", "-", self.step)[:60]
        return f"{_FOLDER}/{slug}-{hashlib.sha256(self.step.encode()).hexdigest()[:6]}.json"

    def _read(self) -> list[NotedBatch]:
        return [NotedBatch(**batch) for batch in self.run.read_json(self._name).get("batches", [])]

    def _update(self, batch: NotedBatch) -> NotedBatch:
        self._write([batch if known.token == batch.token else known for known in self._read()])
        return batch

    def _write(self, batches: Sequence[NotedBatch]) -> None:
        self.run.write_json(self._name, {"step": self.step, "batches": [asdict(batch) for batch in batches]})


def open_batches(run: Run) -> list[str]:
    """Return the ids of all batches of a run whose replies are not stored yet; unknown ones as "(unknown)"."""
    logs = [run.read_json(f"{_FOLDER}/{path.name}") for path in matching(run.path / _FOLDER, "*.json")]
    batches = [batch for log in logs for batch in log["batches"]]
    return [batch["batch_id"] or "(unknown)" for batch in batches if batch["status"] == _OPEN]
