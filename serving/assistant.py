"""One question -> what the evaluation would answer: the same search, prompt, engine and price, as a conversation."""

import asyncio
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, TypeVar

from rageval.config.evaluation import EvaluationConfig
from rageval.engine.request_engine import RequestEngine
from rageval.engine.requests import ChatReply, ChatRequest
from rageval.engine.served_models import check_models, serve_models
from rageval.errors import ConfigError, RagevalError
from rageval.monitoring.records import Conversation, ShownContext
from rageval.pipeline.estimate import check_prices
from rageval.records import Document, Question, Retrieval
from rageval.search.backends import settled
from rageval.search.micro_batches import MicroBatcher
from rageval.search.searching import Search, SearchHere
from rageval.systems.kinds import make_systems
from rageval.systems.system import System
from rageval.telemetry.tracing import step, trace_id

Failure = Literal["search", "model", "stopped", "timeout"]
"""Why there is no answer: the search engine; this one request; all requests for now, such as spent credit; its time."""

_Result = TypeVar("_Result")
_LABEL = "chat"
_TRY_AGAIN_S = 10.0
"""Seconds after which a model that refused everybody is asked once more."""
_SEARCHED_AT_ONCE = 64


@dataclass(frozen=True, kw_only=True)
class ConversationOutcome:
    """A conversation, and why it has no answer if it has none."""

    conversation: Conversation
    failure: Failure | None = None


class Assistant:
    """Answers questions one by one, any number of them at once. Lives in one event loop; use `open_assistant`."""

    def __init__(
        self,
        config: EvaluationConfig,
        system: System,
        search: Search,
        engine: RequestEngine,
        *,
        timeout_s: float,
    ) -> None:
        """Put the parts together.

        Args:
            config: How is searched.
            system: Who answers; an endpoint serves its model.
            search: How documents are found.
            engine: How the model is asked, and the ceiling of what is spent.
            timeout_s: Seconds after which a question is given up, whatever it waits for.
        """
        self.filter_by = config.data.filter_by
        self.filter_values = tuple(sorted({d.filter_value(config.data.filter_by) for d in search.documents} - {""}))
        self.model = system.model.model_copy(update={"deadline_s": min(system.model.deadline_s, timeout_s)})
        self.system = system
        self.timeout_s = timeout_s
        self.in_flight = 0
        self._engine = engine
        self._documents: Mapping[str, Document] = {document.document_id: document for document in search.documents}
        self._searching = MicroBatcher(search.find, most=_SEARCHED_AT_ONCE)
        self._stopped_at: float | None = None
        self._searching.submit(_question("ready?", "")).result()  # the first one is slow

    @property
    def saturation(self) -> float:
        """Questions in flight as a share of what the model takes at once; above 1 they wait for each other."""
        return self.in_flight / self.model.max_concurrency

    @property
    def budget_used(self) -> float:
        """Dollars spent as a share of the ceiling; 0 if there is none, NaN if nobody knows what was spent."""
        spending = self._engine.spending
        if not spending.ceiling_usd:
            return 0.0
        return math.nan if spending.known_usd is None else spending.known_usd / spending.ceiling_usd

    @property
    def is_stopped(self) -> bool:
        """Whether the model refused everybody a moment ago, such as for a bad key or spent credit."""
        return self._stopped_at is not None

    async def ask(
        self,
        question: str,
        filter_value: str,
        conversation_id: str,
        *,
        on_contexts: Callable[[Sequence[ShownContext]], None] = lambda contexts: None,
        on_piece: Callable[[str | None], None] | None = None,
    ) -> ConversationOutcome:
        """Answer a question; a failure is a conversation too, and never raises.

        Args:
            question: What is asked.
            filter_value: Value of `data.filter_by` of the documents that are searched; empty for all.
            conversation_id: A UUID.
            on_contexts: Called with the documents that the model is shown, before it is asked.
            on_piece: Called with each piece of the answer as it comes, and with None if it starts over; without it the
                model is not asked to stream.
        """
        started = time.monotonic()
        self.in_flight += 1
        try:
            with step("chat", stage="chat", model=self.model.name):
                draft = Conversation(
                    conversation_id=conversation_id,
                    asked_at=datetime.now(UTC),
                    question=question,
                    filter_value=filter_value,
                    system=self.system.name,
                    model=self.model.name,
                    retriever=self.system.retriever or "",
                    prompt_version=self.system.prompt.hash[:12] if self.system.prompt else "",
                    total_s=0.0,
                    trace_id=trace_id(),
                )
                answered = await self._answer(draft, on_contexts, on_piece)
        finally:
            self.in_flight -= 1
        conversation = replace(answered.conversation, total_s=time.monotonic() - started)
        return replace(answered, conversation=conversation)

    def close(self) -> None:
        """Give back the search thread."""
        self._searching.close()

    async def _answer(
        self,
        draft: Conversation,
        on_contexts: Callable[[Sequence[ShownContext]], None],
        on_piece: Callable[[str | None], None] | None,
    ) -> ConversationOutcome:
        ends_at = time.monotonic() + self.timeout_s
        started = time.monotonic()
        try:
            found = await _within(self._searching.submit(_question(draft.question, draft.filter_value)), ends_at)
        except TimeoutError:
            return _failed(draft, "timeout", f"the search took longer than {self.timeout_s:g} s")
        except (RagevalError, OSError, RuntimeError, ValueError) as error:  # of a process that dies, too
            return _failed(draft, "search", str(error))
        documents, contexts = self._shown(found)
        draft = replace(draft, search_s=time.monotonic() - started, contexts=contexts)
        on_contexts(contexts)
        request = self.system.request(_question(draft.question, draft.filter_value), documents)
        request = replace(request, on_piece=_on_loop(on_piece) if on_piece else None)
        started = time.monotonic()
        try:
            reply = await self._ask_model(request, ends_at)
        except RagevalError as error:
            return _failed(replace(draft, model_s=time.monotonic() - started), "stopped", str(error))
        except TimeoutError:
            draft = replace(draft, model_s=time.monotonic() - started)
            return _failed(draft, "timeout", f"the model took longer than {self.timeout_s:g} s")
        draft = replace(
            draft,
            model_s=time.monotonic() - started,
            prompt_tokens=reply.usage.prompt_tokens,
            completion_tokens=reply.usage.completion_tokens,
            cost_usd=reply.cost_usd,
        )
        if reply.text is None:
            return _failed(draft, "model", reply.error or "no answer")
        return ConversationOutcome(conversation=replace(draft, answer=_storable(reply.text)))

    def _shown(self, found: Retrieval) -> tuple[list[Document], tuple[ShownContext, ...]]:
        """Return the documents that were found, as the prompt and as the conversation has them, best first."""
        pairs = [
            (self._documents[document_id], score)
            for document_id, score in zip(found.document_ids, found.scores, strict=True)
            if document_id in self._documents  # not if another process has indexed others meanwhile
        ]
        contexts = tuple(
            ShownContext(
                document_id=document.document_id, score=score,
                section=_storable(document.metadata.get("section", "")), question=_storable(document.title),
                text=_storable(document.text),
            )
            for document, score in pairs
        )  # fmt: skip
        return [document for document, _ in pairs], contexts

    async def _ask_model(self, request: ChatRequest, ends_at: float) -> ChatReply:
        """Return the model's reply.

        Raises:
            RagevalError: What ends a run of the evaluation. Here it ends this question, and a few seconds later
                somebody may try again.
            TimeoutError: If it does not come in time.
        """
        now = time.monotonic()
        if self._stopped_at is not None and now - self._stopped_at > _TRY_AGAIN_S:
            self._stopped_at = now
            self._engine.forget_refusals()
        replies: list[ChatReply] = []
        asked = self._engine.submit([request], self.model, lambda _, reply: replies.append(reply), label=_LABEL)
        try:
            await _within(asked, ends_at)
        except RagevalError:
            self._stopped_at = self._stopped_at or now
            raise
        self._stopped_at = None
        return replies[0]


@contextmanager
def open_assistant(
    config: EvaluationConfig,
    *,
    timeout_s: float = 120.0,
    search: Callable[[EvaluationConfig], Search] = SearchHere,
    say: Callable[[str], None] = lambda words: None,
) -> Iterator[Assistant]:
    """Yield an assistant that is ready: documents indexed, models loaded and checked, one search done.

    Args:
        config: Its documents, index and retrieval, and the first of its systems that is a pipeline.
        timeout_s: Seconds after which a question is given up.
        search: How documents are found: `SearchHere` or `SearchProcess`.
        say: Called with what is done next, in words.

    Raises:
        InputError: If documents, index, model or key cannot be used.
    """
    config = settled(config)
    system = next((system for system in make_systems(config) if system.kind == "pipeline"), None)
    if system is None:
        raise ConfigError("the chat app answers with the first system of kind pipeline, and none is named in `systems`")
    models = [system.model]
    check_prices(config, models)
    say("Reading and indexing the documents")
    with closing(search(config)) as searching, RequestEngine(max_cost_usd=config.run.max_cost_usd) as engine:
        say("Making the model ready")
        check_models(models, engine)
        with serve_models(models, ()) as served:
            ready = system.with_model(served.answering[0])
            assistant = Assistant(config, ready, searching, engine, timeout_s=timeout_s)
            try:
                yield assistant
            finally:
                assistant.close()


def _question(question: str, filter_value: str) -> Question:
    return Question(question_id="", question=question, filter_value=filter_value)


async def _within(future: Future[_Result], ends_at: float) -> _Result:
    async with asyncio.timeout(ends_at - time.monotonic()):
        return await asyncio.wrap_future(future)


def _on_loop(on_piece: Callable[[str | None], None]) -> Callable[[str | None], None]:
    """Return a function that other threads may call, and that calls the given one on this event loop."""
    loop = asyncio.get_running_loop()

    def hand_over(piece: str | None) -> None:
        loop.call_soon_threadsafe(on_piece, piece)

    return hand_over


def _failed(draft: Conversation, failure: Failure, error: str) -> ConversationOutcome:
    return ConversationOutcome(conversation=replace(draft, status="failed", error=_storable(error)), failure=failure)


def _storable(text: str) -> str:
    """Return the text with U+FFFD for what no database takes: NUL."""
    return text.replace("\x00", "\ufffd")
