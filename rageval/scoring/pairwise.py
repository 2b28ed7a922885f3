"""The answers of two systems to the same questions -> which one the judge prefers, asked for in both orders."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rageval.config.evaluation import RunOptions
from rageval.config.models import ModelConfig
from rageval.engine.chunks import Ask, ChunkOutcome
from rageval.engine.request_engine import RequestEngine
from rageval.engine.requests import ChatReply, ChatRequest
from rageval.judging.choices import preference_metrics
from rageval.judging.prompts import choice_messages
from rageval.judging.requests import read_reply, verdict_format
from rageval.metrics.pairwise import PAIRWISE
from rageval.records import Chunk, Question, Score
from rageval.runs.inputs import read_inputs
from rageval.runs.journals import Journal, Row
from rageval.runs.run import Key, Run
from rageval.systems.asked_again import with_earlier
from rageval.systems.system import System


@dataclass(frozen=True, kw_only=True)
class _Choice:
    """Two answers to one question in one of the two orders."""

    question: Question
    metric: str
    swapped: bool
    """Whether the answer of the system that the row belongs to is shown second."""
    answer: str | None
    """Of the system that the row belongs to; None if there is none."""
    other: str | None
    missing: str
    """What is said where one of them is missing."""
    references: Sequence[str]

    @property
    def key(self) -> Key:
        """Of its row in the scores of the chunk."""
        return (self.question.question_id, self.metric)

    @property
    def is_possible(self) -> bool:
        """Whether there are two answers."""
        return self.answer is not None and self.other is not None

    def request(self, judge: ModelConfig) -> ChatRequest:
        """Return what the judge is asked."""
        first, second = self.answer or "", self.other or ""
        if self.swapped:
            first, second = second, first
        return ChatRequest(
            messages=choice_messages(
                PAIRWISE,
                self.question.question,
                self.references,
                first,
                second,
                history=self.question.history,
                answerable=self.question.answerable,
            ),
            response_format=verdict_format(PAIRWISE.labels, judge),
        )

    def columns(self, reply: ChatReply) -> dict[str, Any]:
        """Return the columns of the score that the judge's reply stands for."""
        return read_reply(reply, {label: PAIRWISE.value(label, swapped=self.swapped) for label in PAIRWISE.labels})


def compare_chunk(
    run: Run,
    chunk: Chunk,
    system: System,
    others: Sequence[System],
    judge: ModelConfig,
    engine: RequestEngine,
    *,
    with_reference: bool,
    label: str,
    ask: Ask | None = None,
    options: RunOptions = RunOptions(),  # noqa: B008 - it is frozen
) -> ChunkOutcome:
    """Let the judge choose between the system's answers and those of the others; stored choices are not asked again.

    All pairs of one first system go together, because they share the journal of its scores.

    Args:
        run: The run, with the answers of all these systems to the chunk stored.
        chunk: Whose answers to compare.
        system: The first system of each pair; the rows stand under it.
        others: The second systems.
        judge: Who chooses.
        engine: Counts what is stored and asked, and ends the run.
        with_reference: Whether the judge sees the reference answer.
        label: What the choices are counted under in progress displays.
        ask: How the judge is asked; None for the engine's own `submit`.
        options: Whether only what has failed is asked again.

    Raises:
        RagevalError: If the run has to end, see `RequestEngine.submit`. What was chosen until then is stored.
    """
    choices = _choices(run, chunk, system, others, with_reference=with_reference)
    stored = run.stored("scores", system.name, chunk)
    pending = [c for c in choices if _is_pending(stored.get(c.key), c, judge, only_failed=options.retry_failed)]
    to_ask = [choice for choice in pending if choice.is_possible]
    engine.expect(label, 0, stored=len(choices) - len(to_ask))
    if pending:
        journal = run.journal("scores", system.name, chunk)
        try:
            _skip(journal, chunk, system, judge, [choice for choice in pending if not choice.is_possible])
            _ask(journal, chunk, system, judge, to_ask, ask or engine.submit, label, stored)
        finally:
            journal.close()
        scored = [key for key in stored if key not in {choice.key for choice in choices}]
        stored = run.finish_chunk("scores", system.name, chunk, [*scored, *(choice.key for choice in choices)])
    ok = sum(stored[choice.key]["status"] == "ok" for choice in choices if choice.key in stored)
    return ChunkOutcome(asked=len(to_ask), ok=ok, failed=len(choices) - ok)


def _choices(
    run: Run, chunk: Chunk, system: System, others: Sequence[System], *, with_reference: bool
) -> list[_Choice]:
    inputs = read_inputs(run)
    questions, mine = inputs.of_chunk(chunk), _answers(run, system, chunk)
    choices = []
    for other in others:
        theirs = _answers(run, other, chunk)
        for swapped, metric in enumerate(preference_metrics(other.name)):
            for question in questions:
                answers = mine.get(question.question_id), theirs.get(question.question_id)
                without = [s.name for s, answer in zip((system, other), answers, strict=True) if answer is None]
                choices.append(
                    _Choice(
                        question=question,
                        metric=metric,
                        swapped=bool(swapped),
                        answer=answers[0],
                        other=answers[1],
                        missing=f"there is no answer of {' and of '.join(without)} to compare",
                        references=question.references if with_reference else (),
                    )
                )
    return choices


def _answers(run: Run, system: System, chunk: Chunk) -> Mapping[str, str | None]:
    return {key[0]: row["answer"] for key, row in run.stored("answers", system.name, chunk).items()}


def _is_pending(row: Row | None, choice: _Choice, judge: ModelConfig, *, only_failed: bool) -> bool:
    """As for verdicts; of a choice between answers one of which has been replaced, the request has changed."""
    if row is None:
        return not only_failed
    if row["status"] in ("failed", "unscored"):
        return True
    if not choice.is_possible:
        return False
    is_current = row["metric_version"] == PAIRWISE.version and row["judge_model"] == judge.name
    is_of_others = is_current and row["request_fingerprint"] != choice.request(judge).fingerprint(judge)
    return bool(row["status"] == "skipped" or is_of_others)


def _skip(journal: Journal, chunk: Chunk, system: System, judge: ModelConfig, choices: Sequence[_Choice]) -> None:
    for choice in choices:
        columns = {"status": "skipped", "value": None, "error": choice.missing}
        journal.append(_score(choice, chunk, system, judge, columns))


def _ask(
    journal: Journal,
    chunk: Chunk,
    system: System,
    judge: ModelConfig,
    choices: Sequence[_Choice],
    ask: Ask,
    label: str,
    stored: Mapping[Key, Row],
) -> None:
    if not choices:
        return
    requests = [choice.request(judge) for choice in choices]

    def store(position: int, reply: ChatReply) -> None:
        choice = choices[position]
        columns = {
            "thinking": reply.thinking,
            "usage": reply.usage,
            "latency_s": reply.latency_s,
            "reused_from": reply.reused_from,
            "request_fingerprint": requests[position].fingerprint(judge),
            **with_earlier(reply, stored.get(choice.key)),
            **choice.columns(reply),
        }
        journal.append(_score(choice, chunk, system, judge, columns))

    ask(requests, judge, store, label=label).result()


def _score(choice: _Choice, chunk: Chunk, system: System, judge: ModelConfig, columns: Mapping[str, Any]) -> Score:
    return Score(
        question_id=choice.question.question_id,
        system=system.name,
        repeat=chunk.repeat,
        metric=choice.metric,
        metric_version=PAIRWISE.version,
        judge_model=judge.name,
        **columns,
    )
