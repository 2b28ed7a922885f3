"""Questions -> answers: ask one system a chunk of questions and store each reply."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from rageval.config.evaluation import RunOptions
from rageval.engine.chunks import Ask, ChunkOutcome
from rageval.engine.request_engine import RequestEngine
from rageval.engine.requests import ChatReply, ChatRequest
from rageval.records import Chunk, Document, Question, StoredAnswer
from rageval.runs.contexts import ContextMatching, MatchedContexts
from rageval.runs.inputs import RunInputs, read_inputs
from rageval.runs.journals import Row
from rageval.runs.run import Key, Run
from rageval.systems.asked_again import cut_again, forgetting_scores, is_asked_again, with_earlier
from rageval.systems.system import System, documents_of
from rageval.telemetry.tracing import step


@dataclass(frozen=True, kw_only=True)
class PendingAnswer:
    """A question that a system is to be asked."""

    question: Question
    context_ids: tuple[str, ...]
    request: ChatRequest
    search_error: str | None = None
    """Why its retriever failed: it is not asked."""


def answers_label(system: System) -> str:
    """Return what the system's answers are counted under in progress displays."""
    return f"answers of {system.name}"


def answer_chunk(
    run: Run,
    chunk: Chunk,
    system: System,
    engine: RequestEngine,
    *,
    ask: Ask | None = None,
    options: RunOptions = RunOptions(),  # noqa: B008 - it is frozen
) -> ChunkOutcome:
    """Ask the system those questions of the chunk that have no answer yet; failed requests become rows.

    Answers that were cut for their length are asked for again where too many were, see `asked_again`; one stays until
    another one is there.

    Args:
        run: The run, with its retrieval stored.
        chunk: What to ask.
        system: Whom to ask.
        engine: Counts what is stored and asked, and ends the run.
        ask: How; None for the engine's own `submit`.
        options: Whether only what has failed is asked again.

    Raises:
        RagevalError: If the run has to end, see `RequestEngine.submit`. What was answered until then is stored.
    """
    questions = read_inputs(run).of_chunk(chunk)
    stored = run.stored("answers", system.name, chunk)
    pending = _pending(run, chunk, system, stored, options)
    engine.expect(answers_label(system), 0, stored=len(questions) - len(pending))
    if pending:
        with step(answers_label(system), stage="answers", model=system.model.name, chunk=chunk.number):
            _ask(run, chunk, system, pending, ask or engine.submit)
        stored = run.finish_chunk("answers", system.name, chunk, [(question.question_id,) for question in questions])
    ok = sum(row["status"] == "ok" for row in stored.values())
    return ChunkOutcome(asked=len(pending), ok=ok, failed=len(questions) - ok)


def pending_answers(run: Run, chunk: Chunk, system: System, options: RunOptions) -> list[PendingAnswer]:
    """Return what `answer_chunk` would ask now, in its order."""
    pending = _pending(run, chunk, system, run.stored("answers", system.name, chunk), options)
    return [one for one in pending if not one.search_error]


def contexts_shown(inputs: RunInputs, chunk: Chunk, system: System) -> list[tuple[str, ...]]:
    """Return the ids of what the system is shown for each question of the chunk."""
    found = inputs.found(chunk, system.retriever)
    return [system.context_ids(*pair) for pair in zip(inputs.of_chunk(chunk), found, strict=True)]


def _pending(
    run: Run, chunk: Chunk, system: System, stored: Mapping[Key, Row], options: RunOptions
) -> list[PendingAnswer]:
    inputs = read_inputs(run)
    cut = cut_again(run, system, options.max_failed_share)
    return [
        PendingAnswer(
            question=question,
            context_ids=ids,
            request=_request(system, question, documents_of(ids, inputs.documents), chunk.repeat),
            search_error=failure and f"its retriever {system.retriever} failed: {failure}",
        )
        for question, ids, failure in zip(
            inputs.of_chunk(chunk),
            contexts_shown(inputs, chunk, system),
            inputs.failures(chunk, system.retriever),
            strict=True,
        )
        if is_asked_again(stored.get((question.question_id,)), cut=cut, only_failed=options.retry_failed)
    ]


def _request(system: System, question: Question, contexts: Sequence[Document], repeat: int) -> ChatRequest:
    """Return what is sent; another repeat is another request, so that no reply is taken for two."""
    request = system.request(question, contexts)
    if repeat == 1:
        return request
    conversation = request.conversation and f"{request.conversation}, repeat {repeat}"
    return replace(request, occasion=f"repeat {repeat}", conversation=conversation)


def _ask(run: Run, chunk: Chunk, system: System, pending: Sequence[PendingAnswer], ask: Ask) -> None:
    before = run.stored("answers", system.name, chunk)
    matching = read_inputs(run).matching
    journal = run.journal("answers", system.name, chunk)
    replaced = {key[0] for key, row in before.items() if row["status"] == "ok"}
    wanted = {one.question.question_id for one in pending}
    with closing(journal), forgetting_scores(run, chunk, system, replaced & wanted) as forget:

        def store(position: int, reply: ChatReply) -> None:
            one = pending[position]
            question_id = one.question.question_id
            if question_id in replaced:
                if reply.error is not None:
                    return  # an answer that was cut is more than none
                forget(question_id)
            journal.append(_answer(one, system, reply, before.get((question_id,)), chunk.repeat, matching))

        if (given := system.recorded([one.question for one in pending], chunk.repeat)) is not None:
            for position, reply in enumerate(given):
                store(position, reply)
            return
        for position, one in enumerate(pending):
            if one.search_error:
                store(position, ChatReply(text=None, error=one.search_error, attempts=0, started_at=datetime.now(UTC)))
        asked = [position for position, one in enumerate(pending) if not one.search_error]
        requests = [pending[position].request for position in asked]
        label = answers_label(system)
        ask(requests, system.model, lambda at, reply: store(asked[at], reply), label=label).result()


def _answer(
    one: PendingAnswer,
    system: System,
    reply: ChatReply,
    before: Row | None,
    repeat: int,
    matching: ContextMatching,
) -> StoredAnswer:
    shown = matching.matched(reply.contexts) if system.brings_contexts else MatchedContexts(ids=one.context_ids)
    return StoredAnswer(
        question_id=one.question.question_id,
        system=system.name,
        repeat=repeat,
        context_ids=shown.ids,
        context_texts=shown.texts,
        context_scores=shown.scores,
        citations=reply.citations,
        status="ok" if reply.error is None else "failed",
        answer=reply.text,
        thinking=reply.thinking,
        error=reply.error,
        finish_reason=reply.finish_reason,
        usage=reply.usage,
        **with_earlier(reply, before),
        latency_s=reply.latency_s,
        first_token_s=reply.first_token_s,
        request_fingerprint=one.request.fingerprint(system.model),
        started_at=reply.started_at,
        reused_from=reply.reused_from,
    )
