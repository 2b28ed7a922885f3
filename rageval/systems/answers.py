"""Questions and their contexts -> answers: ask one model a chunk of questions and store each reply."""

from collections.abc import Mapping
from contextlib import closing

from rageval.config.evaluation import RunOptions
from rageval.config.models import ModelConfig
from rageval.engine.chunks import Ask, ChunkOutcome
from rageval.engine.earlier_runs import earlier_runs
from rageval.engine.request_engine import chat_engine
from rageval.engine.requests import ChatReply, ChatRequest
from rageval.engine.reuse import reusing
from rageval.judging.prompts import answer_messages
from rageval.records import Answer, Chunk, Question
from rageval.runs.inputs import read_inputs
from rageval.runs.journals import Row
from rageval.runs.store import Key, RunStore
from rageval.systems.asked_again import cut_again, forgetting_scores, is_asked_again, with_earlier
from rageval.telemetry.tracing import step


def answers_label(model: ModelConfig) -> str:
    """Return what the model's answers are counted under in progress displays."""
    return f"answers of {model.name}"


def answer_chunk(
    run: RunStore,
    chunk: Chunk,
    model: ModelConfig,
    ask: Ask | None = None,
    options: RunOptions = RunOptions(),  # noqa: B008 - it is frozen
) -> ChunkOutcome:
    """Ask the model those questions of the chunk that have no answer yet; failed requests become rows.

    Answers that were cut for their length are asked for again where too many were, see `asked_again`; one stays until
    another one is there.

    Args:
        run: The run, with its retrieval stored.
        chunk: What to ask.
        model: Whom to ask.
        ask: How; None for the request engine.
        options: Whether only what has failed is asked again, and whether earlier runs are looked into first.

    Raises:
        RagevalError: If the run has to end, see `ChatEngine.submit`. What was answered until then is stored.
    """
    questions = read_inputs(run).of_chunk(chunk)
    stored = run.stored("answers", model.name, chunk)
    pending = _pending(run, chunk, model, stored, options)
    chat_engine().expect(answers_label(model), 0, stored=len(questions) - len(pending))
    if pending:
        ask = ask or chat_engine().submit
        with step(f"answers of {model.name}", stage="answers", model=model.name, chunk=chunk.number):
            _ask(run, chunk, model, pending, reusing(ask, earlier_runs(run)) if options.reuse else ask)
        stored = run.finish_chunk("answers", model.name, chunk, [(question.question_id,) for question in questions])
    ok = sum(row["status"] == "ok" for row in stored.values())
    return ChunkOutcome(asked=len(pending), ok=ok, failed=len(questions) - ok)


def pending_answers(
    run: RunStore, chunk: Chunk, model: ModelConfig, options: RunOptions
) -> list[tuple[Question, ChatRequest]]:
    """Return what `answer_chunk` would ask now, in its order."""
    return _pending(run, chunk, model, run.stored("answers", model.name, chunk), options)


def _pending(
    run: RunStore, chunk: Chunk, model: ModelConfig, stored: Mapping[Key, Row], options: RunOptions
) -> list[tuple[Question, ChatRequest]]:
    inputs = read_inputs(run)
    cut = cut_again(run, chunk, model, options.max_failed_share)
    return [
        (question, ChatRequest(messages=answer_messages(question.question, contexts)))
        for question, contexts in zip(inputs.of_chunk(chunk), inputs.contexts(chunk), strict=True)
        if is_asked_again(stored.get((question.question_id,)), cut=cut, only_failed=options.retry_failed)
    ]


def _ask(
    run: RunStore, chunk: Chunk, model: ModelConfig, pending: list[tuple[Question, ChatRequest]], ask: Ask
) -> None:
    before = run.stored("answers", model.name, chunk)
    journal = run.journal("answers", model.name, chunk)
    replaced = {key[0] for key, row in before.items() if row["status"] == "ok"}
    with closing(journal), forgetting_scores(run, chunk, model, replaced & _ids(pending)) as forget:

        def store(position: int, reply: ChatReply) -> None:
            question, request = pending[position]
            if question.question_id in replaced:
                if reply.error is not None:
                    return  # an answer that was cut is more than none
                forget(question.question_id)
            row = before.get((question.question_id,))
            journal.append(_answer(question, chunk, model, request, reply, row))

        ask([request for _, request in pending], model, store, label=answers_label(model)).result()


def _ids(pending: list[tuple[Question, ChatRequest]]) -> set[str]:
    return {question.question_id for question, _ in pending}


def _answer(
    question: Question, chunk: Chunk, model: ModelConfig, request: ChatRequest, reply: ChatReply, before: Row | None
) -> Answer:
    return Answer(
        question_id=question.question_id,
        model=model.name,
        search_method=chunk.search_method,
        status="ok" if reply.error is None else "failed",
        answer=reply.text,
        thinking=reply.thinking,
        error=reply.error,
        finish_reason=reply.finish_reason,
        usage=reply.usage,
        **with_earlier(reply, before),
        latency_s=reply.latency_s,
        request_fingerprint=request.fingerprint(model),
        started_at=reply.started_at,
        reused_from=reply.reused_from,
    )
