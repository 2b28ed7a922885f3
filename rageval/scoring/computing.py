"""Stored answers of many chunks -> their scores that ask no model, computed behind the traffic and at its mercy.

No request waits for these scores. They take the processor when nobody else wants it, and thousands of texts at once.
"""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from rageval.config.evaluation import RunOptions
from rageval.engine.chunks import ChunkOutcome
from rageval.engine.request_engine import RequestEngine
from rageval.judging.calls import Item
from rageval.judging.plan import ScorePlan
from rageval.judging.requests import NO_ANSWER
from rageval.metrics.metric import Computed
from rageval.records import Chunk, Score
from rageval.runs.run import Run
from rageval.scoring.computed import computed
from rageval.scoring.planned import items_of, key_of, pending_of
from rageval.systems.system import System
from rageval.telemetry.tracing import step

COMPUTED: Final = "computed scores"
"""What they are counted under in progress displays."""
_NICENESS: Final = 10
_Result = TypeVar("_Result")


@dataclass(frozen=True, kw_only=True)
class AnsweredChunk:
    """A chunk whose answers by one system are stored."""

    system: System
    chunk: Chunk


@dataclass(frozen=True, kw_only=True)
class _Gathered:
    """What one chunk is to get."""

    answered: AnsweredChunk
    items: Sequence[Item]
    pending: Sequence[Item]
    scores: list[Score] = field(default_factory=list)

    def add(self, item: Item, **values: Any) -> None:
        candidate, score = item
        self.scores.append(
            Score(
                question_id=candidate.question.question_id,
                system=self.answered.system.name,
                repeat=self.answered.chunk.repeat,
                metric=score.name,
                metric_version=score.version,
                **values,
            )
        )


def compute_scores(
    run: Run,
    answered: Sequence[AnsweredChunk],
    plan: ScorePlan,
    engine: RequestEngine,
    *,
    options: RunOptions = RunOptions(),  # noqa: B008 - it is frozen
) -> ChunkOutcome:
    """Give the answers of these chunks the scores that they lack and that ask no model.

    What is stored stays, as for verdicts. What has no value becomes a row with a reason, also where a metric breaks.

    Args:
        run: The run.
        answered: Chunks whose answers are stored; nobody else computes scores of them.
        plan: Which scores each answer gets.
        engine: Counts what is stored and computed, and is looked at for whether the run has to end.
        options: Of the run.

    Raises:
        RagevalError: If the run has to end. What earlier calls have stored stays; of this one, what was embedded.
    """
    plan = replace(plan, judged=(), judges=())
    with step(COMPUTED, stage="scores", chunk=answered[0].chunk.number):  # the first of those that go on side by side
        gathered = [_gathered(run, one, plan, options) for one in answered]
        engine.counted(COMPUTED, stored=sum(len(one.items) - len(one.pending) for one in gathered))
        for metric in plan.computed:
            engine.raise_if_interrupted()
            _add_values(metric, gathered, plan, run, engine)
        return _store(run, gathered, engine)


def count_computed(run: Run, chunk: Chunk, system: System, plan: ScorePlan) -> int:
    """Return how many values `compute_scores` would compute now for a chunk."""
    one = _gathered(run, AnsweredChunk(system=system, chunk=chunk), replace(plan, judged=(), judges=()), RunOptions())
    return sum(item[0].answer is not None and not item[0].lacks(item[1].metric) for item in one.pending)


def at_low_priority(work: Callable[[], _Result]) -> _Result:
    """Return what the work returns, which is done in a thread that takes the processor when nobody else wants it.

    Threads that the work starts, such as those of a model that it loads, inherit that. Where a system has no priorities
    of threads, as anywhere but on Linux, it is done like any other.
    """
    done: Future[_Result] = Future()

    def run() -> None:
        with suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            done.set_exception(error)

    threading.Thread(target=copy_context().run, args=[run], name="computed-scores").start()
    return done.result()


def _gathered(run: Run, answered: AnsweredChunk, plan: ScorePlan, options: RunOptions) -> _Gathered:
    system, chunk = answered.system, answered.chunk
    items, stored = items_of(run, chunk, system, plan), run.stored("scores", system.name, chunk)
    pending = pending_of(stored, items, plan, only_failed=options.retry_failed)
    return _Gathered(answered=answered, items=items, pending=pending)


def _add_values(
    metric: Computed, gathered: Sequence[_Gathered], plan: ScorePlan, run: Run, engine: RequestEngine
) -> None:
    """Compute one metric of all chunks at once."""
    due: list[tuple[_Gathered, Item]] = []
    for one in gathered:
        for item in one.pending:
            if item[1].metric != metric:
                continue
            if lacking := item[0].lacks(metric):
                one.add(item, status="not_measured", value=None, error=lacking)
            elif item[0].answer is None:
                one.add(item, status="skipped", value=None, error=NO_ANSWER)
            else:
                due.append((one, item))
    candidates = [item[0] for _, item in due]
    values = computed(metric, candidates, plan.index, run.cache, look=engine.raise_if_interrupted) if due else []
    for (one, item), columns in zip(due, values, strict=True):
        one.add(item, **columns)


def _store(run: Run, gathered: Sequence[_Gathered], engine: RequestEngine) -> ChunkOutcome:
    asked = ok = 0
    for one in gathered:
        if one.scores:
            answered, order = one.answered, [key_of(item) for item in one.items]
            run.finish_chunk("computed", answered.system.name, answered.chunk, order, added=one.scores)
            failed = sum(score.status == "failed" for score in one.scores)
            engine.counted(COMPUTED, done=len(one.scores), failed=failed)
        asked += len(one.scores)
        ok += sum(score.status == "ok" for score in one.scores)
    return ChunkOutcome(asked=asked, ok=ok, failed=asked - ok)
