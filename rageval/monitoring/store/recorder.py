"""Conversations and votes -> the database, from a thread of its own; while it is away, they wait in the spool.

Nobody who records waits for the database. A record is stored as soon as a batch is full or its first record has waited
for a tenth of a second. Which is stored first does not matter: a conversation is known by its id, and of a voter's
votes the one given last counts, so a record that is stored twice, or late, changes nothing.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

from rageval.errors import ConfigError, DataError, ServiceError
from rageval.monitoring.records import Conversation, Vote
from rageval.monitoring.redaction import Redact, redact_conversation, redact_vote, redactor
from rageval.monitoring.store.conversations import (
    add_conversations,
    add_votes,
    forgotten_conversations,
    known_conversations,
)
from rageval.monitoring.store.database import Database, connect, open_database
from rageval.monitoring.store.spool import Record, Spool, forget_records, read_records

DEFAULT_SPOOL = "runs/monitoring-spool"
_BATCH, _BATCH_S = 200, 0.1
_RETRY_S = (0.25, 15.0)
"""Seconds until the database is tried again: at first, and at most."""
_SPOOL_S = 5.0
"""Seconds between looks for files of processes that died, while the database is there."""
_ORPHANS = timedelta(hours=1)
"""How long a vote waits for its conversation, which another process may still have in its spool."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RecorderState:
    """What a recorder is doing."""

    reachable: bool
    """Whether the database took the last batch."""
    waiting: int
    """Records in memory, on their way."""
    stored: int
    """Records that the database took since the start; those stored twice count twice."""
    spooled: int
    """Records that were written to the spool since the start."""
    refused: int
    """Records that the database refused: they stand in `refused.jsonl` of the spool."""
    forgotten: int
    """Records that were dropped, for their conversation was deleted for good before they came."""
    lost: int
    """Records that neither database nor disk took."""


class Recorder:
    """Stores what a process records; threads may share it, and it is a context manager that closes itself."""

    def __init__(
        self, url: str, spool: str | Path = DEFAULT_SPOOL, *, redact: Redact | None = None, queue_size: int = 10_000
    ) -> None:
        """Start the thread that stores; the database need not be there yet.

        Args:
            url: The database, as in `open_database`.
            spool: Folder that records wait in while the database is away.
            redact: What is done to every question, answer and comment first; by default e-mail addresses and keys are
                replaced.
            queue_size: Records that may wait in memory; more go to the spool.

        Raises:
            ConfigError: If the URL is none, or of another kind of database.
            OSError: If the spool cannot be written to.
        """
        connect(url).close()
        self._url = url
        self._redact = redact or redactor()
        self._spool = Spool(spool)
        self._queue: queue.Queue[Record] = queue.Queue(queue_size)
        self._closing = threading.Event()
        self._taken: list[Record] = []
        self._reachable = True
        self._stored, self._spooled, self._refused, self._forgotten, self._lost = 0, 0, 0, 0, 0
        self._delay_s, self._look_at = _RETRY_S[0], 0.0
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def record(self, conversation: Conversation) -> None:
        """Store a conversation, soon.

        Raises:
            RuntimeError: If the recorder is closed.
        """
        self._put(conversation)

    def vote(self, vote: Vote) -> None:
        """Store a vote, soon; one whose conversation is not there within an hour is dropped.

        Raises:
            RuntimeError: If the recorder is closed.
        """
        self._put(vote)

    @property
    def state(self) -> RecorderState:
        """What it is doing now."""
        return RecorderState(
            reachable=self._reachable, waiting=self._queue.unfinished_tasks, stored=self._stored,
            spooled=self._spooled, refused=self._refused, forgotten=self._forgotten, lost=self._lost,
        )  # fmt: skip

    def close(self, timeout_s: float = 15.0) -> None:
        """Store what waits, or leave it in the spool for the next start; nothing is recorded after it."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._thread.join(timeout_s)
        if self._thread.is_alive():  # the database neither answers nor refuses
            self._to_spool([*self._taken, *self._waiting(self._queue.qsize())])
        self._spool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _put(self, record: Record) -> None:
        if self._closing.is_set():
            raise RuntimeError("the recorder is closed: nothing can be recorded any more")
        try:
            self._queue.put_nowait(record)
        except queue.Full:
            self._to_spool([self._redacted(record)])

    def _run(self) -> None:
        while not (self._closing.is_set() and self._queue.empty()):
            self._taken = [self._redacted(record) for record in self._next_batch()]
            if self._taken and not (self._reachable and self._try(lambda: self._store(self._taken))):
                self._to_spool(self._taken)
            for _ in self._taken:
                self._queue.task_done()
            self._taken = []
            if time.monotonic() >= self._look_at:
                self._empty_spool()
        self._empty_spool()

    def _next_batch(self) -> list[Record]:
        with suppress(queue.Empty):
            batch = [self._queue.get(timeout=_BATCH_S)]
            ends_at = time.monotonic() + _BATCH_S
            with suppress(queue.Empty):
                while len(batch) < _BATCH and not self._closing.is_set():
                    batch.append(self._queue.get(timeout=max(0.0, ends_at - time.monotonic())))
            return [*batch, *self._waiting(_BATCH - len(batch))]
        return []

    def _waiting(self, most: int) -> Iterator[Record]:
        with suppress(queue.Empty):
            for _ in range(most):
                yield self._queue.get_nowait()

    def _empty_spool(self) -> None:
        self._try(self._store_spool)
        self._look_at = time.monotonic() + (_SPOOL_S if self._reachable else self._delay_s)

    def _store_spool(self) -> None:
        files = self._spool.files()
        if not files and not self._reachable:
            known_conversations(self._database(), ["any"])
        for path in files:
            records = read_records(path)
            while part := list(islice(records, _BATCH)):
                self._store(part)
            path.unlink()

    def _try(self, store: Callable[[], None]) -> bool:
        """Return whether the database was there."""
        try:
            store()
        except (ServiceError, ConfigError, OSError) as error:
            if self._reachable:
                _log.warning("Conversations wait in %s: %s", self._spool.folder, error)
                self._delay_s = _RETRY_S[0]
            else:
                self._delay_s = min(2 * self._delay_s, _RETRY_S[1])
            self._reachable, self._look_at = False, time.monotonic() + self._delay_s
            return False
        if not self._reachable:
            _log.warning("The monitoring database takes conversations again")
        self._reachable, self._delay_s = True, _RETRY_S[0]
        return True

    def _store(self, records: Sequence[Record]) -> None:
        database = self._database()
        try:
            early, forgotten = _add(database, records)
        except (DataError, ValueError, OverflowError) as error:
            if len(records) > 1:
                half = len(records) // 2
                self._store(records[:half])
                self._store(records[half:])
                return
            _log.error("A record is refused and put aside in %s: %s", self._spool.folder, error)
            self._spool.refuse(records)
            self._refused += 1
            for id_ in forgotten_conversations(database, [records[0].conversation_id]):  # meanwhile
                forget_records(self._spool.folder, id_)
            return
        self._stored += len(records) - len(early) - forgotten
        self._forgotten += forgotten
        if forgotten:
            _log.info("Records of forgotten conversations were dropped: %d", forgotten)
        still = [vote for vote in early if datetime.now(UTC) - vote.given_at < _ORPHANS]
        if len(still) < len(early):
            _log.warning("Votes on conversations that do not exist were dropped: %d", len(early) - len(still))
        if still:
            self._to_spool(still)

    def _to_spool(self, records: Sequence[Record]) -> None:
        try:
            self._spool.add(records)
            self._spooled += len(records)
        except OSError as error:
            self._lost += len(records)
            _log.error("Records are lost, for neither database nor disk takes them: %d (%s)", len(records), error)

    def _redacted(self, record: Record) -> Record:
        if isinstance(record, Vote):
            return redact_vote(record, self._redact)
        return redact_conversation(record, self._redact)

    def _database(self) -> Database:
        return open_database(self._url)


def _add(database: Database, records: Sequence[Record]) -> tuple[list[Vote], int]:
    """Store records; returns the votes whose conversation is not stored yet, and how many came too late."""
    add_conversations(database, [record for record in records if isinstance(record, Conversation)])
    known: set[str] = set()
    if votes := [record for record in records if isinstance(record, Vote)]:
        known = known_conversations(database, {vote.conversation_id for vote in votes})
        add_votes(database, [vote for vote in votes if vote.conversation_id in known])
    gone = forgotten_conversations(database, {record.conversation_id for record in records})
    early = [vote for vote in votes if vote.conversation_id not in known | gone]
    return early, sum(record.conversation_id in gone for record in records)
