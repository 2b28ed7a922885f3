"""Stored replies -> drafts of questions, filtered and checked; the requests that these replies answer."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from rageval.embedding.embedder import load_embedder
from rageval.engine.local_model import judge_schema
from rageval.engine.requests import ChatRequest
from rageval.ground_truth.config import GenerationConfig
from rageval.ground_truth.filters import (
    NO_REPLY,
    UNANSWERABLE,
    UNCHECKED,
    UNREADABLE,
    Draft,
    filter_near,
    filter_texts,
)
from rageval.ground_truth.prompts import AnswerableVerdict, check_messages, questions_format, questions_messages
from rageval.ground_truth.replies import UnreadableReplyError, read_check, read_questions
from rageval.ground_truth.reply_log import StoredReply
from rageval.records import Document
from rageval.runs.inputs import read_documents
from rageval.runs.run import Run

_EMBEDDED_AT_ONCE = 16


def questions_request(document: Document, config: GenerationConfig) -> ChatRequest:
    """Return the request for questions about a document."""
    return ChatRequest(
        messages=questions_messages(document, config.per_document),
        response_format=questions_format(config.per_document, bounded=config.model.is_local),
    )


def check_request(draft: Draft, config: GenerationConfig) -> ChatRequest:
    """Return the request for a verdict on a question."""
    schema = AnswerableVerdict.model_json_schema()
    if (config.checker or config.model).is_local:
        schema = judge_schema(schema)
    verdict = {"type": "json_schema", "json_schema": {"name": "verdict", "strict": True, "schema": schema}}
    return ChatRequest(messages=check_messages(draft.text, draft.document), response_format=verdict)


def filtered_drafts(run: Run, config: GenerationConfig, stored: Mapping[str, StoredReply]) -> list[Draft]:
    """Return all drafts, those that any filter catches dropped; nothing is asked."""
    drafts = [draft for document in read_documents(run).values() for draft in _drafts(document, config, stored)]
    drafts = filter_texts(drafts, fewest_words=config.fewest_words, filter_by=config.filter_by)
    kept = [draft.text for draft in drafts if draft.status == "kept"]
    if not kept:
        return drafts
    vectors = load_embedder(config.embedding_model, _EMBEDDED_AT_ONCE, run.cache).embed(kept)
    return filter_near(drafts, vectors, config.near_threshold, config.filter_by)


def _drafts(document: Document, config: GenerationConfig, stored: Mapping[str, StoredReply]) -> list[Draft]:
    """Return what the reply about a document holds, or one draft that says why it holds nothing."""
    reply = stored.get(questions_request(document, config).fingerprint(config.model))
    nothing = Draft(document=document, number=0, question=None, status="failed")
    if reply is None or reply.error is not None:
        return [replace(nothing, reason=NO_REPLY, detail=reply.error if reply else "it was not asked")]
    try:
        questions = read_questions(reply.text, config.per_document)
    except UnreadableReplyError as error:
        cut = " (cut for its length)" if reply.finish_reason == "length" else ""
        return [replace(nothing, reason=UNREADABLE, detail=f"{error}{cut}")]
    return [Draft(document=document, number=n, question=text) for n, text in enumerate(questions, start=1)]


def checked_drafts(drafts: Sequence[Draft], config: GenerationConfig, stored: Mapping[str, StoredReply]) -> list[Draft]:
    """Return the drafts, those dropped that their document does not answer, or that could not be checked."""
    if not config.check:
        return list(drafts)
    return [_verdict_of(draft, config, stored) if draft.status == "kept" else draft for draft in drafts]


def _verdict_of(draft: Draft, config: GenerationConfig, stored: Mapping[str, StoredReply]) -> Draft:
    reply = stored.get(check_key(draft, config))
    unchecked = replace(draft, status="dropped", reason=UNCHECKED)
    if reply is None or reply.error is not None:
        return replace(unchecked, detail=reply.error if reply else "it was not asked")
    try:
        verdict = read_check(reply.text)
    except UnreadableReplyError as error:
        return replace(unchecked, detail=str(error))
    if verdict.answerable == "NO":
        return replace(draft, status="dropped", reason=UNANSWERABLE, detail=verdict.reason, answerable="NO")
    return replace(draft, answerable="YES")


def check_key(draft: Draft, config: GenerationConfig) -> str:
    """Return the fingerprint of the request for a verdict on a question."""
    return check_request(draft, config).fingerprint(config.checker or config.model)
