"""Questions and their contexts -> answers: ask one model a chunk of questions and store each reply."""

from collections.abc import Mapping

from rageval.adapters.chat import chat_engine
from rageval.adapters.chat_call import ChatReply, ChatRequest
from rageval.adapters.earlier_runs import earlier_runs
from rageval.adapters.journals import Row
from rageval.adapters.run_store import Key, RunStore
from rageval.adapters.tracing import step
from rageval.config import ModelConfig, RunOptions
from rageval.prompts import answer_messages
from rageval.records import Answer, Chunk, Question
from rageval.stages.chunks import Ask, ChunkOutcome
from rageval.stages.inputs import read_inputs
from rageval.stages.reuse import reusing


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
    pending = _pending(run, chunk, stored, only_failed=options.retry_failed)
    chat_engine().expect(answers_label(model), 0, stored=len(questions) - len(pending))
    if pending:
        ask = ask or chat_engine().submit
        with step(f"answers of {model.name}", stage="answers", model=model.name, chunk=chunk.number):
            _ask(run, chunk, model, pending, reusing(ask, earlier_runs(run)) if options.reuse else ask)
        stored = run.finish_chunk("answers", model.name, chunk, [(question.question_id,) for question in questions])
    ok = sum(row["status"] == "ok" for row in stored.values())
    return ChunkOutcome(asked=len(pending), ok=ok, failed=len(questions) - ok)


def pending_answers(
    run: RunStore, chunk: Chunk, model: ModelConfig, *, only_failed: bool = False
) -> list[tuple[Question, ChatRequest]]:
    """Return what `answer_chunk` would ask now, in its order."""
    return _pending(run, chunk, run.stored("answers", model.name, chunk), only_failed=only_failed)


def _pending(
    run: RunStore, chunk: Chunk, stored: Mapping[Key, Row], *, only_failed: bool
) -> list[tuple[Question, ChatRequest]]:
    inputs = read_inputs(run)
    status = {key: row["status"] for key, row in stored.items()}
    wanted = {"failed"} if only_failed else {"failed", None}
    return [
        (question, ChatRequest(messages=answer_messages(question.question, contexts)))
        for question, contexts in zip(inputs.of_chunk(chunk), inputs.contexts(chunk), strict=True)
        if status.get((question.question_id,)) in wanted
    ]


def _ask(
    run: RunStore, chunk: Chunk, model: ModelConfig, pending: list[tuple[Question, ChatRequest]], ask: Ask
) -> None:
    journal = run.journal("answers", model.name, chunk)

    def store(position: int, reply: ChatReply) -> None:
        question, request = pending[position]
        journal.append(_answer(question, chunk, model, request, reply))

    try:
        ask([request for _, request in pending], model, store, label=answers_label(model)).result()
    finally:
        journal.close()


def _answer(question: Question, chunk: Chunk, model: ModelConfig, request: ChatRequest, reply: ChatReply) -> Answer:
    return Answer(
        question_id=question.question_id,
        model=model.name,
        search_method=chunk.search_method,
        status="ok" if reply.error is None else "failed",
        answer=reply.text,
        thinking=reply.thinking,
        error=reply.error,
        attempts=reply.attempts,
        finish_reason=reply.finish_reason,
        usage=reply.usage,
        cost_usd=reply.cost_usd,
        latency_s=reply.latency_s,
        request_fingerprint=request.fingerprint(model),
        started_at=reply.started_at,
        reused_from=reply.reused_from,
    )
