"""Answers -> scores: the cosine to the reference, and the judge's verdict with and without it."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from rageval.adapters.chat import chat_engine
from rageval.adapters.chat_call import ChatReply, ChatRequest
from rageval.adapters.earlier_runs import earlier_runs
from rageval.adapters.embedder import load_embedder
from rageval.adapters.local_model import judge_schema
from rageval.adapters.run_store import Journal, Key, Row, RunStore
from rageval.config import IndexConfig, JudgeConfig, ModelConfig, RunOptions
from rageval.metrics.cosine import cosine_similarity
from rageval.metrics.judge import LABEL_VALUES, UnreadableVerdictError, read_verdict
from rageval.prompts import (
    JUDGE_PROMPT_VERSION,
    Message,
    Verdict,
    judge_with_reference_messages,
    judge_without_reference_messages,
)
from rageval.records import Chunk, Question, Score
from rageval.stages.chunks import Ask, ChunkOutcome
from rageval.stages.inputs import read_inputs
from rageval.stages.reuse import reusing

COSINE = "cosine"
WITH_REFERENCE = "judge_with_reference"
WITHOUT_REFERENCE = "judge_without_reference"
_COSINE_VERSION = "1"


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    """An answer that may be scored: its question, its words (None if there are none), and the reference."""

    question: Question
    answer: str | None
    reference: str


def judge_metrics(judge: JudgeConfig) -> list[str]:
    """Return the names of the metrics that the judge is asked for."""
    if not judge.enabled:
        return []
    return [WITH_REFERENCE] * judge.with_reference + [WITHOUT_REFERENCE] * judge.without_reference


def verdicts_label(judge: ModelConfig) -> str:
    """Return what the judge's verdicts are counted under in progress displays."""
    return f"verdicts of {judge.name}"


def score_chunk(
    run: RunStore,
    chunk: Chunk,
    model: ModelConfig,
    *,
    index: IndexConfig,
    metrics: Sequence[str],
    judge: ModelConfig | None,
    ask: Ask | None = None,
    options: RunOptions = RunOptions(),  # noqa: B008 - it is frozen
) -> ChunkOutcome:
    """Score those answers of the chunk that have no score yet; what cannot be scored becomes a row with a reason.

    Args:
        run: The run, with the chunk's answers stored.
        chunk: Whose answers to score.
        model: The model that gave the answers.
        index: Names the embedding model for the cosine.
        metrics: What the judge is asked for, as from `judge_metrics`.
        judge: The judge, or None if `metrics` is empty.
        ask: How the judge is asked; None for the request engine.
        options: Whether only what has failed is asked again, and whether earlier runs are looked into first.

    Raises:
        RagevalError: If the run has to end, see `ChatEngine.submit`. What was scored until then is stored.
    """
    candidates = _candidates(run, chunk, model)
    wanted = [(candidate, metric) for metric in (COSINE, *metrics) for candidate in candidates]
    pending = _pending(run.stored("scores", model.name, chunk), wanted, only_failed=options.retry_failed)
    if judge:
        to_ask = sum(1 for candidate, metric in pending if metric != COSINE and candidate.answer is not None)
        chat_engine().expect(verdicts_label(judge), 0, stored=len(metrics) * len(candidates) - to_ask)
    if pending:
        journal = run.journal("scores", model.name, chunk)
        ask = ask or chat_engine().submit
        try:
            scoring = _Scoring(
                chunk=chunk, model=model, index=index, judge=judge, run=run, journal=journal,
                ask=reusing(ask, earlier_runs(run)) if options.reuse else ask,
            )  # fmt: skip
            _score(scoring, pending)
        finally:
            journal.close()
        run.finish_chunk("scores", model.name, chunk, [_key(candidate, metric) for candidate, metric in wanted])
    ok = sum(row["status"] == "ok" for row in run.stored("scores", model.name, chunk).values())
    return ChunkOutcome(asked=len(pending), ok=ok, failed=len(wanted) - ok)


def pending_verdicts(
    run: RunStore,
    chunk: Chunk,
    model: ModelConfig,
    metrics: Sequence[str],
    judge: ModelConfig,
    *,
    only_failed: bool = False,
) -> list[tuple[Key, ChatRequest]]:
    """Return what `score_chunk` would ask the judge now, by question id and metric, in its order."""
    wanted = [(candidate, metric) for metric in metrics for candidate in _candidates(run, chunk, model)]
    pending = _pending(run.stored("scores", model.name, chunk), wanted, only_failed=only_failed)
    return [
        (_key(candidate, metric), _verdict_request(candidate, metric, judge))
        for candidate, metric in pending
        if candidate.answer is not None
    ]


def _candidates(run: RunStore, chunk: Chunk, model: ModelConfig) -> list[_Candidate]:
    inputs = read_inputs(run)
    answers = run.stored("answers", model.name, chunk)
    return [
        _Candidate(
            question=question,
            answer=answers.get((question.question_id,), {}).get("answer"),
            reference=inputs.documents[question.document_id].text,
        )
        for question in inputs.of_chunk(chunk)
    ]


def _key(candidate: _Candidate, metric: str) -> Key:
    return (candidate.question.question_id, metric)


def _pending(
    stored: Mapping[Key, Row], wanted: Sequence[tuple[_Candidate, str]], *, only_failed: bool
) -> list[tuple[_Candidate, str]]:
    return [
        (candidate, metric)
        for candidate, metric in wanted
        if _is_pending(stored.get(_key(candidate, metric)), candidate, only_failed)
    ]


def _is_pending(row: Row | None, candidate: _Candidate, only_failed: bool) -> bool:
    """An unreadable verdict was paid for and stays; a failed request, or an answer that came later, is asked for."""
    if row is None:
        return not only_failed
    if row["status"] == "failed":
        return True
    return row["status"] == "skipped" and candidate.answer is not None


@dataclass(frozen=True, kw_only=True)
class _Scoring:
    """What is the same for all scores of a chunk."""

    chunk: Chunk
    model: ModelConfig
    index: IndexConfig
    judge: ModelConfig | None
    run: RunStore
    journal: Journal
    ask: Ask

    def add(self, candidate: _Candidate, metric: str, **values: Any) -> None:
        """Store one score."""
        version = _COSINE_VERSION if metric == COSINE else JUDGE_PROMPT_VERSION
        self.journal.append(
            Score(
                question_id=candidate.question.question_id,
                model=self.model.name,
                search_method=self.chunk.search_method,
                metric=metric,
                metric_version=version,
                judge_model=self.judge.name if self.judge and metric != COSINE else None,
                **values,
            )
        )


def _score(scoring: _Scoring, pending: Sequence[tuple[_Candidate, str]]) -> None:
    for candidate, metric in pending:
        if candidate.answer is None:
            scoring.add(candidate, metric, status="skipped", value=None, error="there is no answer to score")
    answered = [(candidate, metric) for candidate, metric in pending if candidate.answer is not None]
    verdicts = _start_judging(scoring, [pair for pair in answered if pair[1] != COSINE])
    try:
        _add_cosines(scoring, [candidate for candidate, metric in answered if metric == COSINE])
    finally:
        if verdicts:
            verdicts.result()


def _add_cosines(scoring: _Scoring, candidates: Sequence[_Candidate]) -> None:
    if not candidates:
        return
    index = scoring.index
    embedder = load_embedder(index.embedding_model, index.batch_size, scoring.run.cache)
    texts = [c.answer or "" for c in candidates] + [c.reference for c in candidates]
    vectors = embedder.embed(texts)
    cosines = cosine_similarity(vectors[: len(candidates)], vectors[len(candidates) :])
    for candidate, cosine in zip(candidates, cosines, strict=True):
        scoring.add(candidate, COSINE, status="ok", value=float(cosine))


def _start_judging(scoring: _Scoring, pending: Sequence[tuple[_Candidate, str]]) -> Future[None] | None:
    judge = scoring.judge
    if judge is None or not pending:
        return None
    requests = [_verdict_request(candidate, metric, judge) for candidate, metric in pending]

    def store(position: int, reply: ChatReply) -> None:
        candidate, metric = pending[position]
        scoring.add(
            candidate,
            metric,
            attempts=reply.attempts,
            usage=reply.usage,
            cost_usd=reply.cost_usd,
            latency_s=reply.latency_s,
            reused_from=reply.reused_from,
            request_fingerprint=requests[position].fingerprint(judge),
            **_verdict(reply),
        )

    return scoring.ask(requests, judge, store, label=verdicts_label(judge))


def _verdict_request(candidate: _Candidate, metric: str, judge: ModelConfig) -> ChatRequest:
    return ChatRequest(messages=_judge_messages(candidate, metric), response_format=_verdict_format(judge))


def _verdict_format(judge: ModelConfig) -> dict[str, Any]:
    schema = Verdict.model_json_schema()
    if judge.is_local:
        schema = judge_schema(schema)
    return {"type": "json_schema", "json_schema": {"name": "verdict", "strict": True, "schema": schema}}


def _judge_messages(candidate: _Candidate, metric: str) -> list[Message]:
    question, answer = candidate.question.question, candidate.answer or ""
    if metric == WITH_REFERENCE:
        return judge_with_reference_messages(question, candidate.reference, answer)
    return judge_without_reference_messages(question, answer)


def _verdict(reply: ChatReply) -> dict[str, Any]:
    if reply.error is not None:
        return {"status": "failed", "value": None, "error": reply.error}
    try:
        verdict = read_verdict(reply.text)
    except UnreadableVerdictError as error:
        reason = f"{error} (cut for its length)" if reply.finish_reason == "length" else str(error)
        return {"status": "unscored", "value": None, "error": reason, "raw_reply": reply.text}
    return {"status": "ok", "value": LABEL_VALUES[verdict.label], "label": verdict.label, "reason": verdict.reason}
