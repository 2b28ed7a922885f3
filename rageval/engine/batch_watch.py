"""Batches under way -> their last states: looks from time to time, until all have ended or the run is stopped."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rageval.engine.batch_api import BatchApi, BatchState, BatchUnreachableError
from rageval.engine.counts import ModelCounts
from rageval.engine.request_engine import RequestEngine
from rageval.errors import RunStoppedError
from rageval.runs.batch_log import BatchLog, NotedBatch

_LOOKS_WITHOUT_ANSWER = 120
_NOTICE_STOP_S = 0.25


def _wait_or_stop(seconds: float, engine: RequestEngine) -> None:
    """Wait so long.

    Raises:
        RagevalError: What the run was stopped with, if it is stopped meanwhile.
    """
    ends_at = time.monotonic() + seconds
    while (left_s := ends_at - time.monotonic()) > 0:
        engine.raise_if_stopped()
        time.sleep(min(left_s, _NOTICE_STOP_S))
    engine.raise_if_stopped()


@dataclass(frozen=True, kw_only=True)
class Watch:
    """How batches under way are looked at."""

    every_s: float
    show: Callable[[Sequence[BatchState]], None]
    """Called with all batches of the step after every look."""


def watch_batches(
    api: BatchApi, log: BatchLog, batches: Sequence[NotedBatch], engine: RequestEngine, watch: Watch
) -> list[BatchState]:
    """Look at the batches of a step until all have ended, and return their states.

    Raises:
        RunStoppedError: If one was refused as a whole, if the run is stopped, or if there is no answer for long.
    """
    counts = engine.counts.setdefault(log.step, ModelCounts())
    states: dict[str, BatchState] = {}
    unanswered = 0
    try:
        while True:
            try:
                states |= {b.batch_id: api.state(b.batch_id) for b in batches if not _has_ended(states, b)}
                unanswered = 0
            except BatchUnreachableError as error:
                unanswered += 1
                if unanswered == _LOOKS_WITHOUT_ANSWER:
                    raise RunStoppedError(f"{api.url} did not answer {unanswered} times in a row ({error})") from None
            counts.in_flight = sum(s.total - s.completed - s.failed for s in states.values() if not s.has_ended)
            watch.show(list(states.values()))
            _refuse_failed(api, log, batches, states)
            if all(_has_ended(states, batch) for batch in batches):
                return [states[batch.batch_id] for batch in batches]
            _wait_or_stop(watch.every_s, engine)
    except RunStoppedError as error:
        going = ", ".join(batch.batch_id for batch in batches if not _has_ended(states, batch))
        if not going:
            raise
        raise RunStoppedError(
            f"{error}; the batch {going} goes on at {api.url}, and the same --run-id with --batch collects it"
        ) from None
    finally:
        counts.in_flight = 0


def _has_ended(states: Mapping[str, BatchState], batch: NotedBatch) -> bool:
    return batch.batch_id in states and states[batch.batch_id].has_ended


def _refuse_failed(
    api: BatchApi, log: BatchLog, batches: Sequence[NotedBatch], states: Mapping[str, BatchState]
) -> None:
    for batch in batches:
        state = states.get(batch.batch_id)
        if state and state.status == "failed":
            log.ended(batch, state.status)
            raise RunStoppedError(
                f"the batch {batch.batch_id} with {len(batch.ids)} {log.step} was refused by {api.url}: {state.problem}"
            )
