"""Questions and their contexts -> answers: ask one model a chunk of questions and store each reply."""

from rageval.adapters.chat import chat_engine
from rageval.adapters.chat_call import ChatReply, ChatRequest
from rageval.adapters.run_store import RunStore
from rageval.config import ModelConfig
from rageval.prompts import answer_messages
from rageval.records import Answer, Chunk, Question
from rageval.stages.chunks import ChunkOutcome
from rageval.stages.inputs import read_inputs


def answers_label(model: ModelConfig) -> str:
    """Return what the model's answers are counted under in progress displays."""
    return f"answers of {model.name}"


def answer_chunk(run: RunStore, chunk: Chunk, model: ModelConfig) -> ChunkOutcome:
    """Ask the model those questions of the chunk that have no answer yet; failed requests become rows.

    Raises:
        RagevalError: If the run has to end, see `ChatEngine.submit`. What was answered until then is stored.
    """
    inputs = read_inputs(run)
    questions = inputs.of_chunk(chunk)
    stored = run.stored("answers", model.name, chunk)
    answered = {key for key, row in stored.items() if row["status"] == "ok"}
    pending = [
        (question, ChatRequest(messages=answer_messages(question.question, contexts)))
        for question, contexts in zip(questions, inputs.contexts(chunk), strict=True)
        if (question.question_id,) not in answered
    ]
    chat_engine().expect(answers_label(model), 0, stored=len(questions) - len(pending))
    if pending:
        _ask(run, chunk, model, pending)
        run.finish_chunk("answers", model.name, chunk, [(question.question_id,) for question in questions])
    rows = run.stored("answers", model.name, chunk).values()
    ok = sum(row["status"] == "ok" for row in rows)
    return ChunkOutcome(asked=len(pending), ok=ok, failed=len(questions) - ok)


def _ask(run: RunStore, chunk: Chunk, model: ModelConfig, pending: list[tuple[Question, ChatRequest]]) -> None:
    journal = run.journal("answers", model.name, chunk)

    def store(position: int, reply: ChatReply) -> None:
        question, request = pending[position]
        journal.append(_answer(question, chunk, model, request, reply))

    try:
        chat_engine().submit([request for _, request in pending], model, store, label=answers_label(model)).result()
    finally:
        journal.close()


def _answer(question: Question, chunk: Chunk, model: ModelConfig, request: ChatRequest, reply: ChatReply) -> Answer:
    return Answer(
        question_id=question.question_id,
        model=model.name,
        search_method=chunk.search_method,
        status="ok" if reply.error is None else "failed",
        answer=reply.text,
        error=reply.error,
        attempts=reply.attempts,
        finish_reason=reply.finish_reason,
        usage=reply.usage,
        cost_usd=reply.cost_usd,
        latency_s=reply.latency_s,
        request_fingerprint=request.fingerprint(model),
        started_at=reply.started_at,
    )
