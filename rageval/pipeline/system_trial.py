"""One question to one system -> what is sent, what comes, and what is read of it; nothing is stored."""

import asyncio
import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from rageval.config.evaluation import EvaluationConfig
from rageval.config.systems import SystemConfig, SystemPlan
from rageval.corpus.files import Corpus, load_corpus
from rageval.engine.faults import RateLimitedError, TransientError, unusable
from rageval.engine.prices import cost_usd
from rageval.engine.replies import Completion
from rageval.engine.requests import Caller, ChatReply, ChatRequest
from rageval.errors import ConfigError, DataError, RagevalError
from rageval.records import Document, Question
from rageval.runs.contexts import ContextMatching, MatchedContexts
from rageval.search.backends import settled
from rageval.search.searching import SearchHere
from rageval.systems.kinds import make_systems
from rageval.systems.system import System, documents_of

_NO_CORPUS: Final = Corpus(documents=(), questions=(), available=0, notes=())


@dataclass(frozen=True, kw_only=True)
class SystemTrial:
    """What came of one question."""

    kind: str
    question: Question
    is_known: bool = False
    """Whether it stands among the questions of the configuration, with all that is known of it."""
    note: str = ""
    """What is wrong with documents and questions: contexts are matched to none."""
    sent: str
    received: str = ""
    """The raw reply; empty where none came, or none was asked for."""
    read: Completion | ChatReply | None = None
    error: str | None = None
    shown: MatchedContexts
    """Its contexts, by the documents that they match."""
    documents: Mapping[str, Document]
    cost_usd: float | None = None
    latency_s: float | None = None


def try_system(config: EvaluationConfig, name: str, text: str) -> SystemTrial:
    """Ask a system of one's own once, with no further attempt; of one of ours, show what its model would be sent.

    Args:
        config: The configuration.
        name: The system.
        text: The question, or its id; what the configuration knows of it is sent along.

    Raises:
        ConfigError: If there is no such system, or it cannot be asked.
    """
    known = {plan.name: plan for plan in config.plans}
    if name not in known:
        raise ConfigError(f"there is no system {name!r}; the configuration has {', '.join(known)}")
    system = next(one for one in make_systems(config) if one.name == name)
    corpus, note = _corpus(config)
    found = next((one for one in corpus.questions if text in (one.question, one.question_id)), None)
    question = found or Question(question_id="try", question=text)
    documents = {document.document_id: document for document in corpus.documents}
    if system.caller:
        trial = _asked(system, system.caller, question, documents)
    elif (given := system.recorded([question], 1)) is not None:
        trial = _recorded(system, question, given[0], documents)
    else:
        trial = _prompted(config, known[name], system, question, documents)
    return replace(trial, is_known=found is not None, note=note)


def _corpus(config: EvaluationConfig) -> tuple[Corpus, str]:
    try:
        return load_corpus(config.data), ""
    except DataError as error:
        return _NO_CORPUS, str(error)


def _asked(system: System, caller: Caller, question: Question, documents: Mapping[str, Document]) -> SystemTrial:
    request = system.request(question, ())
    received = bytearray()

    async def once() -> tuple[str, Completion | None, str | None, float]:
        transport = caller.connect()
        transport.on_received = received.extend
        try:
            sent = transport.described(request)
            await transport.check()
            return sent, *await _completed(transport.send(request), system.model.timeout_s)
        finally:
            await transport.close()

    sent, completion, error, latency_s = asyncio.run(once())
    if completion and (problem := unusable(completion, system.model, caller.url, caller.redact)):
        error = str(problem)
    price = None
    if completion:
        price = completion.cost_usd
        price = cost_usd(system.model, completion.usage) if price is None else price
    return SystemTrial(
        kind=system.kind,
        question=question,
        sent=sent,
        received=caller.redact(received.decode("utf-8", "replace")),
        read=completion,
        error=error,
        shown=ContextMatching(documents).matched(completion.contexts if completion else None),
        documents=documents,
        cost_usd=price,
        latency_s=latency_s,
    )


async def _completed(
    sending: Awaitable[tuple[Completion, Mapping[str, str]]], timeout_s: float
) -> tuple[Completion | None, str | None, float]:
    """Return what comes, or why nothing does, and the seconds that it takes."""
    started = time.monotonic()
    try:
        async with asyncio.timeout(timeout_s):
            completion, _ = await sending
    except TimeoutError:
        return None, f"no reply within {timeout_s:g} s", time.monotonic() - started
    except (TransientError, RateLimitedError, RagevalError) as error:
        return None, str(error), time.monotonic() - started
    return completion, None, time.monotonic() - started


def _recorded(system: System, question: Question, reply: ChatReply, documents: Mapping[str, Document]) -> SystemTrial:
    return SystemTrial(
        kind=system.kind,
        question=question,
        sent=f"the file {system.endpoint}",
        read=reply,
        error=reply.error,
        shown=ContextMatching(documents).matched(reply.contexts),
        documents=documents,
        cost_usd=reply.cost_usd,
        latency_s=reply.latency_s,
    )


def _prompted(
    config: EvaluationConfig, plan: SystemPlan, system: System, question: Question, documents: Mapping[str, Document]
) -> SystemTrial:
    """Return what the model of a system of ours would be sent."""
    found: tuple[str, ...] = ()
    if plan.retriever:
        found, documents = _found(config, plan, question)
    ids = system.context_ids(question, found)
    request: ChatRequest = system.request(question, documents_of(ids, documents))
    said = "\n\n".join(f"{message['role']}:\n{message['content']}" for message in request.messages)
    return SystemTrial(
        kind=system.kind, question=question, sent=said, shown=MatchedContexts(ids=ids), documents=documents
    )  # fmt: skip


def _found(
    config: EvaluationConfig, plan: SystemPlan, question: Question
) -> tuple[tuple[str, ...], Mapping[str, Document]]:
    """Return what the retriever of a system finds, and the documents of the run."""
    alone = SystemConfig(
        kind=plan.kind,
        retrievers=(plan.retriever.name,) if plan.retriever else (),
        prompts=(plan.prompt_name,),
        models=(plan.model.name,),
    )
    search = SearchHere(settled(config.model_copy(update={"systems": (alone,)})))
    try:
        (hits,) = search.find([question])
        by_id = {document.document_id: document for document in search.documents}
        return (hits.shown_ids or hits.document_ids)[: config.retrieval.top_k], by_id
    finally:
        search.close()
