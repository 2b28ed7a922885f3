"""Answers -> the scores that judges are asked for: their verdicts, and what a panel comes to."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from typing import Any

from rageval.config.evaluation import RunOptions
from rageval.config.models import ModelConfig
from rageval.engine.chunks import Ask, ChunkOutcome
from rageval.engine.request_engine import RequestEngine
from rageval.engine.requests import ChatReply
from rageval.judging.calls import Item, JudgeCall, calls, judged_by, replied
from rageval.judging.plan import ScorePlan
from rageval.judging.requests import NO_ANSWER, majority, moved
from rageval.metrics.names import detail_of
from rageval.records import Chunk, Score
from rageval.runs.journals import Journal, Row
from rageval.runs.run import Key, Run
from rageval.scoring.planned import items_of, key_of, pending_of
from rageval.systems.asked_again import score_of, with_earlier
from rageval.systems.system import System
from rageval.telemetry.tracing import step


def verdicts_label(judge: ModelConfig) -> str:
    """Return what the judge's verdicts are counted under in progress displays."""
    return f"verdicts of {judge.name}"


def judge_chunk(
    run: Run,
    chunk: Chunk,
    system: System,
    plan: ScorePlan,
    engine: RequestEngine,
    *,
    ask: Ask | None = None,
    options: RunOptions = RunOptions(),  # noqa: B008 - it is frozen
) -> ChunkOutcome:
    """Ask judges for the verdicts that the chunk's answers lack; what cannot be judged becomes a row with a reason.

    The scores that ask no model are computed elsewhere, see `rageval.scoring.computing`. A stored verdict stays as it
    is even if its metric has a new version meanwhile, unless the plan renews. Rows that are not in the plan, such as
    those of other metrics, are kept.

    Args:
        run: The run, with the chunk's answers stored.
        chunk: Whose answers to judge.
        system: The system that gave the answers.
        plan: Which scores each answer gets.
        engine: Counts what is stored and asked, and ends the run.
        ask: How judges are asked; None for the engine's own `submit`.
        options: Whether only what has failed is asked again.

    Raises:
        RagevalError: If the run has to end, see `RequestEngine.submit`. What was judged until then is stored.
    """
    plan = replace(plan, computed=())
    if not plan.judged:
        return ChunkOutcome(asked=0, ok=0, failed=0)
    items, stored = items_of(run, chunk, system, plan), run.stored("scores", system.name, chunk)
    pending = pending_of(stored, items, plan, only_failed=options.retry_failed)
    _count_stored(plan, items, pending, stored, engine)
    if pending or _majorities(plan, items, stored):
        journal = run.journal("scores", system.name, chunk)
        scoring = _ScoringContext(
            chunk=chunk, system=system, plan=plan, run=run, journal=journal,
            ask=ask or engine.submit, stored=stored,
        )  # fmt: skip
        try:
            with step(f"scores of {system.name}", stage="scores", model=system.model.name, chunk=chunk.number):
                _score(scoring, pending)
            if plan.has_panel:
                for item, values in _majorities(plan, items, run.stored("scores", system.name, chunk)):
                    scoring.add(item, **values)
        finally:
            journal.close()
        stored = run.finish_chunk("scores", system.name, chunk, [key_of(item) for item in items])
    ok = sum(stored.get(key_of(item), {}).get("status") == "ok" for item in items)
    return ChunkOutcome(asked=len(pending), ok=ok, failed=len(items) - ok)


def pending_calls(
    run: Run, chunk: Chunk, system: System, plan: ScorePlan, *, only_failed: bool = False
) -> list[JudgeCall]:
    """Return what `judge_chunk` would ask the judges now; for each judge, in its order."""
    plan = replace(plan, computed=())
    items, stored = items_of(run, chunk, system, plan), run.stored("scores", system.name, chunk)
    pending = pending_of(stored, items, plan, only_failed=only_failed)
    asked = [item for item in pending if _is_asked(stored, plan, item)]
    return [call for judge in plan.judges for call in calls(asked, judge)]


def _is_asked(stored: Mapping[Key, Row], plan: ScorePlan, item: Item) -> bool:
    """Return whether a judge has to be asked for a pending verdict."""
    candidate, score = item
    can_be = candidate.answer is not None and not candidate.lacks(score.metric)
    return can_be and _moved(stored, plan, item) is None


def _moved(stored: Mapping[Key, Row], plan: ScorePlan, item: Item) -> Row | None:
    """Return the row that holds a planned verdict under another name, which only renewing looks for."""
    return moved(stored, *item) if plan.renew else None


def _count_stored(
    plan: ScorePlan,
    items: Sequence[Item],
    pending: Sequence[Item],
    stored: Mapping[Key, Row],
    engine: RequestEngine,
) -> None:
    """Tell progress displays how many calls of each judge are not needed any more."""
    asked = [item for item in pending if _is_asked(stored, plan, item)]
    for judge in plan.judges:
        engine.expect(verdicts_label(judge), 0, stored=len(calls(items, judge)) - len(calls(asked, judge)))


@dataclass(frozen=True, kw_only=True)
class _ScoringContext:
    """What is the same for all scores of a chunk."""

    chunk: Chunk
    system: System
    plan: ScorePlan
    run: Run
    journal: Journal
    ask: Ask
    stored: Mapping[Key, Row]
    """The scores that were there before."""

    def add(self, item: Item, **values: Any) -> None:
        """Store one score."""
        candidate, score = item
        judge = score.judge.name if score.judge else None
        values.setdefault("judge_model", judge)
        self.journal.append(
            Score(
                question_id=candidate.question.question_id,
                system=self.system.name,
                repeat=self.chunk.repeat,
                metric=score.name,
                metric_version=score.version,
                **values,
            )
        )


def _score(scoring: _ScoringContext, pending: Sequence[Item]) -> None:
    answered: list[Item] = []
    for item in pending:
        if lacking := item[0].lacks(item[1].metric):
            scoring.add(item, status="not_measured", value=None, error=lacking)
        elif item[0].answer is None:
            scoring.add(item, status="skipped", value=None, error=NO_ANSWER)
        elif row := _moved(scoring.stored, scoring.plan, item):
            _add_moved(scoring, item, row)
        else:
            answered.append(item)
    asked = _start_judging(scoring, answered)
    wait(asked)  # of all judges: each writes to the journal until it has ended
    for verdicts in asked:
        verdicts.result()


def _start_judging(scoring: _ScoringContext, items: Sequence[Item]) -> list[Future[None]]:
    """Ask each judge for its verdicts, all at once."""
    of_judge = [(judge, [item for item in items if item[1].judge == judge]) for judge in scoring.plan.judges]
    return [_ask(scoring, judge, mine) for judge, mine in of_judge if mine]


def _ask(scoring: _ScoringContext, judge: ModelConfig, items: Sequence[Item]) -> Future[None]:
    asked = calls(items, judge)

    def store(position: int, whole: ChatReply) -> None:
        fingerprint = asked[position].request.fingerprint(judge)
        for item, reply, columns in replied(asked[position], whole):
            scoring.add(
                item,
                thinking=reply.thinking,
                usage=reply.usage,
                latency_s=reply.latency_s,
                reused_from=reply.reused_from,
                request_fingerprint=fingerprint,
                **with_earlier(reply, scoring.stored.get(key_of(item))),
                **columns,
            )

    return scoring.ask([call.request for call in asked], judge, store, label=verdicts_label(judge))


def _add_moved(scoring: _ScoringContext, item: Item, row: Row) -> None:
    """Store a verdict that was paid for under the name that it has now."""
    scoring.journal.append(score_of(row, metric=item[1].name))


def _majorities(plan: ScorePlan, items: Sequence[Item], stored: Mapping[Key, Row]) -> list[tuple[Item, dict[str, Any]]]:
    """Return what the panel comes to, wherever all its verdicts are there and that is not stored yet."""
    if not plan.has_panel:
        return []
    names = " + ".join(judge.name for judge in plan.judges)
    due = []
    for item in items:
        candidate, score = item
        if not score.is_majority:
            continue
        keys = {j.name: (candidate.question.question_id, detail_of(score.metric.name, j.name)) for j in plan.judges}
        if not all(key in stored for key in keys.values()):
            continue
        values = majority(judged_by(score), {name: stored[key] for name, key in keys.items()}) | {"judge_model": names}
        before = stored.get(key_of(item), {})
        if any(before.get(column) != value for column, value in values.items()):
            due.append((item, values))
    return due
