"""Documents -> questions with the document they were written from: asked for, filtered, checked, written as CSV.

What has been asked stands in `replies.jsonl`. Everything else follows from it: drafts are read and filtered anew at
each step, so a run that is resumed comes to the same questions as one that was not stopped.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from rageval.config.models import ModelConfig
from rageval.corpus import files as corpus
from rageval.corpus.checks import question_columns
from rageval.corpus.sampling import check_only
from rageval.engine.request_engine import RequestEngine
from rageval.engine.requests import ChatReply, ChatRequest
from rageval.engine.served_models import serve_models
from rageval.errors import ConfigError
from rageval.ground_truth import manifest as generation_manifest
from rageval.ground_truth.config import GenerationConfig
from rageval.ground_truth.drafts import check_key, check_request, checked_drafts, filtered_drafts, questions_request
from rageval.ground_truth.filters import UNCHECKED, Draft, count_reasons
from rageval.ground_truth.replies import UnreadableReplyError, read_check, read_questions
from rageval.ground_truth.reply_log import ReplyLog, StoredReply, read_replies, spent_on
from rageval.records import Document
from rageval.runs.inputs import read_documents
from rageval.runs.run import Run
from rageval.safety.allowances import check_output
from rageval.storage.files import replacing, write_parquet
from rageval.tables import DOCUMENTS, GENERATED, to_table
from rageval.text.fingerprint import digest, documents_fingerprint
from rageval.text.formulas import csv_text

GROUND_TRUTH = "ground-truth.csv"
_LOCAL_TOKENS_A_QUESTION = 120
_LOCAL_REPEAT_PENALTY = 1.2
"""Without one the embedded model writes the same words, or digits, until its tokens are used up."""


@dataclass(frozen=True, kw_only=True)
class Writers:
    """The model that writes and the one that checks, each with an endpoint that serves it."""

    writer: ModelConfig
    checker: ModelConfig | None


def questions_label(config: GenerationConfig) -> str:
    """Return what documents are counted under in progress displays."""
    return f"documents asked of {config.model.name}"


def checks_label(config: GenerationConfig) -> str:
    """Return what checks are counted under in progress displays."""
    return f"checks by {(config.checker or config.model).name}"


@contextmanager
def serve_writers(config: GenerationConfig) -> Iterator[Writers]:
    """Start the embedded model if the run uses it, and stop it at the end, whatever happens."""
    with serve_models((), config.models) as served:
        writer, *checkers = served.judges
        if writer.is_local:
            own = {
                "max_tokens": _LOCAL_TOKENS_A_QUESTION * (config.per_document + 1),
                "repeat_penalty": _LOCAL_REPEAT_PENALTY,
            }
            writer = writer.with_body({**writer.body, **own, **config.model.body})
        yield Writers(writer=writer, checker=checkers[0] if checkers else None)


def choose_documents(config: GenerationConfig) -> tuple[Document, ...]:
    """Read the documents, and return those with the filter value and of the sample, in their order.

    Raises:
        DataError: If the file cannot be read or a row is bad.
        ConfigError: If no document has the filter value, or the sample is larger than the set.
    """
    documents, _ = corpus.load_documents(config.documents, config.filter_by)
    values = [document.filter_value(config.filter_by) for document in documents]
    check_only(values, config.filter_by, config.only)
    wanted = [document for document, value in zip(documents, values, strict=True) if config.only in ("", value)]
    if config.sample is None:
        return tuple(wanted)
    if config.sample > len(wanted):
        raise ConfigError(
            f"sample is {config.sample}, but there are only {len(wanted)} documents; name at most that many"
        )
    drawn = sorted(digest(str(config.seed), document.document_id) for document in wanted)[: config.sample]
    return tuple(document for document in wanted if digest(str(config.seed), document.document_id) in set(drawn))


def store_documents(run: Run, config: GenerationConfig) -> int:
    """Store the documents that questions are written from, and return how many there are.

    Raises:
        ConfigError: If the run was started before with other documents; or see `choose_documents`.
    """
    documents = choose_documents(config)
    generation_manifest.describe_documents(run, len(documents), documents_fingerprint(documents))
    if not run.has("documents"):
        run.write("documents", to_table(documents, DOCUMENTS))
    return len(documents)


def ask_questions(run: Run, config: GenerationConfig, writer: ModelConfig, engine: RequestEngine) -> int:
    """Ask for questions about every document that has no reply yet, and return how many were asked about.

    Raises:
        RagevalError: If the run has to end, see `RequestEngine.submit`. What was replied until then is stored.
    """
    requests = [questions_request(document, config) for document in read_documents(run).values()]
    with ReplyLog(run.path) as log:
        asked = _ModelAccess(model=config.model, served=writer, engine=engine, label=questions_label(config))
        return _ask(log, requests, asked, lambda text: read_questions(text, config.per_document))


def check_questions(run: Run, config: GenerationConfig, checker: ModelConfig, engine: RequestEngine) -> int:
    """Let a model judge every question that the filters have kept, and return how many were asked about.

    Raises:
        RagevalError: If the run has to end, see `RequestEngine.submit`. What was replied until then is stored.
    """
    with ReplyLog(run.path) as log:
        drafts = filtered_drafts(run, config, log.stored)
        requests = [check_request(draft, config) for draft in drafts if draft.status == "kept"]
        model = config.checker or config.model
        asked = _ModelAccess(model=model, served=checker, engine=engine, label=checks_label(config))
        return _ask(log, requests, asked, read_check)


def write_ground_truth(run: Run, config: GenerationConfig) -> dict[str, Any]:
    """Write the table of all questions and the CSV of the kept ones, and return the manifest.

    Raises:
        RunStoppedError: If a file cannot be written.
    """
    with ReplyLog(run.path) as log:
        drafts = checked_drafts(filtered_drafts(run, config, log.stored), config, log.stored)
        rows = list(_rows(drafts, config, log.stored))
        totals = _totals(log.replies)
    write_parquet(run.path / "generated.parquet", [pa.Table.from_pylist(rows, schema=GENERATED)], GENERATED)
    text = _csv(drafts, config.filter_by)
    run.write_text(GROUND_TRUTH, text)
    if config.out:
        check_output(config.out)
        with replacing(Path(config.out)) as temporary:
            temporary.write_text(text, encoding="utf-8")
    totals |= {"counts": count_reasons(drafts), "written_to": config.out or None}
    return generation_manifest.finish(run, reason=_too_many_failures(drafts, config), totals=totals)


def spent_usd(run: Run) -> float | None:
    """Return the dollars of all replies so far; None if the cost of any is unknown."""
    return spent_on(read_replies(run.path))


@dataclass(frozen=True, kw_only=True)
class _ModelAccess:
    """Whom a step asks, and through what."""

    model: ModelConfig
    """As configured: fingerprints are those of this one."""
    served: ModelConfig
    engine: RequestEngine
    label: str
    """What its requests are counted under."""


def _ask(
    log: ReplyLog, requests: Sequence[ChatRequest], asked: _ModelAccess, read: Callable[[str | None], object]
) -> int:
    """Ask what has no reply yet that can be read; equal requests are asked once."""
    wanted = {request.fingerprint(asked.model): request for request in requests}
    pending = [(key, request) for key, request in wanted.items() if not _is_readable(log.stored.get(key), read)]
    asked.engine.expect(asked.label, len(wanted), stored=len(wanted) - len(pending))

    def store(position: int, reply: ChatReply) -> None:
        log.append(pending[position][0], reply)

    if pending:
        asked.engine.submit([request for _, request in pending], asked.served, store, label=asked.label).result()
    return len(pending)


def _is_readable(reply: StoredReply | None, read: Callable[[str | None], object]) -> bool:
    if reply is None or reply.error is not None:
        return False
    try:
        read(reply.text)
    except UnreadableReplyError:
        return False
    return True


def _rows(
    drafts: Sequence[Draft], config: GenerationConfig, stored: Mapping[str, StoredReply]
) -> Iterator[dict[str, Any]]:
    """Yield the rows of `generated`; what a reply took stands once, however many rows came of it."""
    counted: set[str] = set()

    def take(key: str | None) -> StoredReply | None:
        if key is None or key in counted:
            return None
        counted.add(key)
        return stored.get(key)

    for draft in drafts:
        is_checked = config.check and (draft.answerable is not None or draft.reason == UNCHECKED)
        yield {
            "document_id": draft.document.document_id,
            "filter_value": draft.document.filter_value(config.filter_by), "number": draft.number,
            "question": draft.question, "status": draft.status, "reason": draft.reason, "detail": draft.detail,
            "copied_share": draft.copied.share if draft.copied else None,
            "copied_run": draft.copied.longest_run if draft.copied else None,
            "answerable": draft.answerable, "model": config.model.name,
            **_took(take(questions_request(draft.document, config).fingerprint(config.model)), ""),
            **_took(take(check_key(draft, config) if is_checked else None), "check_"),
        }  # fmt: skip


def _took(reply: StoredReply | None, prefix: str) -> dict[str, Any]:
    names = ("attempts", "prompt_tokens", "completion_tokens", "cost_usd")
    values: tuple[float | None, ...] = (0, 0, 0, 0.0)
    if reply:
        values = (reply.attempts, reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.cost_usd)
    return {f"{prefix}{name}": value for name, value in zip(names, values, strict=True)}


def _totals(replies: Sequence[StoredReply]) -> dict[str, Any]:
    """Return requests, tokens and dollars of all replies; None where any is unknown, `at_least` has what is known."""
    paid = [reply for reply in replies if reply.was_paid]
    tokens = {name: [getattr(reply.usage, name) for reply in paid] for name in ("prompt_tokens", "completion_tokens")}
    known = {**tokens, "cost_usd": [reply.cost_usd for reply in paid]}
    return {
        "requests": sum(reply.attempts for reply in replies),
        "replies": len(paid),
        "replies_without_usage": sum(None in pair for pair in zip(*tokens.values(), strict=True)),
        **{name: None if None in values else sum(values) for name, values in known.items()},
        "at_least": {name: sum(value or 0 for value in values) for name, values in known.items()},
    }


def _too_many_failures(drafts: Sequence[Draft], config: GenerationConfig) -> str | None:
    documents = {draft.document.document_id for draft in drafts}
    failed = [draft for draft in drafts if draft.status == "failed"]
    checked = sum(draft.answerable is not None or draft.reason == UNCHECKED for draft in drafts)
    unchecked = [draft for draft in drafts if draft.reason == UNCHECKED]
    for what, bad, of in (("documents", failed, len(documents)), ("checks", unchecked, checked)):
        if len(bad) > config.max_failed_share * of:
            return (
                f"{len(bad)} of {of} {what} failed, more than max_failed_share = {config.max_failed_share:g} allows "
                f"(the first: {bad[0].reason}: {bad[0].detail})"
            )
    return None


def _csv(drafts: Sequence[Draft], filter_by: str) -> str:
    return csv_text(
        question_columns(filter_by),
        (
            {
                "question": draft.text,
                **({filter_by: draft.document.filter_value(filter_by)} if filter_by else {}),
                "document": draft.document.document_id,
            }
            for draft in drafts
            if draft.status == "kept"
        ),
    )
