"""Questions and votes -> conversations that are answered once, found again, and recorded, whatever clients do."""

import asyncio
import logging
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Literal

from rageval.errors import InputError
from rageval.monitoring.records import VISITOR, Conversation, Thumbs, Vote
from rageval.monitoring.redaction import Redact
from rageval.monitoring.store.conversations import read_conversation
from rageval.monitoring.store.database import open_database
from rageval.monitoring.store.recorder import Recorder
from serving.asking import Exchange
from serving.assistant import Assistant, ConversationOutcome, Failure
from serving.problems import HttpError
from serving.settings import ChatSettings
from serving.signals import Signals
from serving.voters import NewVisitors

PROBLEMS: dict[Failure, tuple[int, str]] = {
    "search": (503, "The search for documents does not work at the moment. Try again in a minute."),
    "model": (502, "The model gave no answer to this question. Try again, or ask in other words."),
    "stopped": (503, "The model cannot be asked at the moment. Try again in a minute."),
    "timeout": (504, "The answer took too long. Try again in a minute."),
}
"""For each failure, the status and the words that clients get; the reason itself is in the conversation."""
_LOOK_UP_S, _LOOK_AGAIN_S = 2.0, 5.0
_KEPT, _KEPT_S = 10_000, 600.0
_log = logging.getLogger(__name__)


class Desk:
    """All conversations of one app. Lives in one event loop.

    A question that has been asked is answered and recorded, also if its client hangs up.
    """

    def __init__(
        self, assistant: Assistant, recorder: Recorder, signals: Signals, settings: ChatSettings,
        *, database_url: str, redact: Redact,
    ) -> None:  # fmt: skip
        self._assistant, self._recorder, self._signals, self._settings = assistant, recorder, signals, settings
        self._url, self._redact = database_url, redact
        self._new_visitors = NewVisitors(settings)
        self._running: dict[str, Exchange] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._recent: OrderedDict[str, tuple[float, ConversationOutcome]] = OrderedDict()
        self._readers = ThreadPoolExecutor(4, thread_name_prefix="conversations")
        self._look_again_at = float("-inf")

    async def ask(self, question: str, filter_value: str, conversation_id: str | None, *, streamed: bool) -> Exchange:
        """Begin a question, or return what has come of it if it was asked before.

        Raises:
            HttpError: If the filter value is unknown, the id is another question's, or too many are under way.
        """
        if filter_value and filter_value not in self._assistant.filter_values:
            raise HttpError(
                422, "filter_value: it is none of those that /api/filter-values names; leave it empty for all"
            )
        if conversation_id in self._running:
            asking = self._running[conversation_id]
            self._check_same(asking.question, asking.filter_value, question, filter_value)
            await asyncio.shield(asking.ready)
            return asking
        if len(self._running) >= self._settings.max_in_flight:
            self._signals.turned_away.labels("full").inc()
            raise HttpError(503, "Too many questions are asked at the moment. Try again in a second.", retry_after_s=1)
        return await self._begin(question, filter_value, conversation_id, streamed=streamed)

    async def vote(
        self, conversation_id: str, voter: str, thumbs: Thumbs, comment: str | None, *, host: str
    ) -> None:  # fmt: skip
        """Record a vote on an answer.

        Raises:
            HttpError: If there is no such conversation, it has no answer, neither can be known now, or the voter is a
                new visitor, and there are too many.
        """
        if conversation_id in self._running:
            raise HttpError(409, "The question is still being answered. Vote when the answer is there.")
        answered = self._recalled(conversation_id)
        conversation = answered.conversation if answered else await self._stored(conversation_id)
        if conversation is None:
            raise HttpError(
                404, "There is no such conversation. Vote with the conversation_id that came with an answer."
            )
        if conversation.status != "ok":
            raise HttpError(409, "There is no answer to vote on: the question has failed.")
        if voter.startswith(VISITOR):
            self._new_visitors.admit(conversation_id, voter, host)
        self._recorder.vote(
            Vote(
                conversation_id=conversation_id, voter=voter, thumbs=thumbs, comment=comment or None,
                given_at=datetime.now(UTC),
            )
        )  # fmt: skip
        self._signals.votes.labels("up" if thumbs > 0 else "down").inc()

    async def close(self) -> None:
        """Wait for the questions that are under way."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._settings.shutdown_s)
        for task in self._tasks:
            task.cancel()
        self._readers.shutdown(wait=False, cancel_futures=True)

    async def _begin(self, question: str, filter_value: str, given_id: str | None, *, streamed: bool) -> Exchange:
        conversation_id = given_id or str(uuid.uuid4())
        asking = self._running[conversation_id] = Exchange(conversation_id, question, filter_value)
        try:
            earlier = await self._earlier(conversation_id) if given_id else None
            if earlier:
                conversation = earlier.conversation
                self._check_same(conversation.question, conversation.filter_value, question, filter_value)
        except BaseException as error:
            del self._running[conversation_id]
            asking.ready.set_exception(
                error
                if isinstance(error, HttpError)
                else HttpError(503, "The question could not be taken in. Send it again.")
            )
            asking.ready.exception()  # seen, also if nobody waits for it
            raise
        asking.ready.set_result(None)
        if earlier:
            del self._running[conversation_id]
            asking.end(earlier, PROBLEMS[earlier.failure or "model"][1])
            return asking
        task = asyncio.create_task(self._answer(asking, streamed=streamed))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return asking

    async def _answer(self, asking: Exchange, *, streamed: bool) -> None:
        try:
            answered = await self._assistant.ask(
                asking.question, asking.filter_value, asking.conversation_id,
                on_contexts=asking.show, on_piece=asking.write if streamed else None,
            )  # fmt: skip
            self._recorder.record(answered.conversation)
            self._signals.note(answered)
            if answered.failure:
                _log.warning("A question has failed (%s): %s", answered.failure, answered.conversation.error)
            self._remember(answered)
            asking.end(answered, PROBLEMS[answered.failure or "model"][1])
        except BaseException:
            asking.fail()
            raise
        finally:
            del self._running[asking.conversation_id]

    def _check_same(self, question: str, filter_value: str, asked: str, asked_filter_value: str) -> None:
        # What is stored is redacted.
        if filter_value != asked_filter_value or question not in (asked, self._redact(asked)):
            raise HttpError(409, "This conversation_id belongs to another question. Take a new one for each question.")

    async def _earlier(self, conversation_id: str) -> ConversationOutcome | None:
        """Return what has come of an id before; nothing if that cannot be known, since it is stored once anyway."""
        if answered := self._recalled(conversation_id):
            return answered
        if not self._recorder.state.reachable:
            return None
        try:
            stored = await self._stored(conversation_id)
        except HttpError:
            return None
        if stored is None:
            return None
        return ConversationOutcome(conversation=stored, failure=None if stored.status == "ok" else "model")

    async def _stored(self, conversation_id: str) -> Conversation | None:
        problem = HttpError(503, "The database does not answer. Try again in a few seconds.", retry_after_s=5)
        if time.monotonic() < self._look_again_at:
            raise problem
        read: Callable[[], Conversation | None] = lambda: read_conversation(open_database(self._url), conversation_id)  # noqa: E731
        try:
            async with asyncio.timeout(_LOOK_UP_S):
                return await asyncio.get_running_loop().run_in_executor(self._readers, read)
        except (InputError, TimeoutError):
            self._look_again_at = time.monotonic() + _LOOK_AGAIN_S
            raise problem from None

    def _recalled(self, conversation_id: str) -> ConversationOutcome | None:
        found = self._recent.get(conversation_id)
        return found[1] if found else None

    def _remember(self, answered: ConversationOutcome) -> None:
        """Keep a conversation until the database surely has it."""
        now = time.monotonic()
        self._recent[answered.conversation.conversation_id] = (now, answered)
        while self._recent:
            at = next(iter(self._recent.values()))[0]
            is_stored = now - at > _KEPT_S and self._recorder.state.reachable
            if not is_stored and len(self._recent) <= _KEPT:
                return
            self._recent.popitem(last=False)

    def state(self) -> tuple[Literal["ok", "refusing"], Literal["ok", "unreachable"]]:
        """Return how the model and how the database are."""
        return (
            "refusing" if self._assistant.is_stopped else "ok",
            "ok" if self._recorder.state.reachable else "unreachable",
        )
