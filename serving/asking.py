"""One question under way: what happens to it is a list of events that any number of listeners can follow."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rageval.monitoring.records import ShownContext
from serving.assistant import ConversationOutcome
from serving.problems import HttpError

Kind = Literal["sources", "answer", "restart", "done", "error"]


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that a listener is told, see `docs/monitoring.md`."""

    kind: Kind
    data: dict[str, Any]


class Exchange:
    """A question and what has come of it so far. Lives in one event loop."""

    def __init__(self, conversation_id: str, question: str, filter_value: str) -> None:
        self.conversation_id, self.question, self.filter_value = conversation_id, question, filter_value
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done once it is clear that nothing else was asked under this id."""
        self.ended: asyncio.Future[ConversationOutcome] = asyncio.get_running_loop().create_future()
        self._events: list[Event] = []
        self._changed = asyncio.Event()
        self._text = ""

    def show(self, contexts: Sequence[ShownContext]) -> None:
        """Tell of the documents that the model is shown."""
        self._add("sources", {"sources": [asdict(context) for context in contexts]})

    def write(self, piece: str | None) -> None:
        """Tell of a piece of the answer, or with None that it starts over."""
        if piece is None:
            self._text = ""
            self._add("restart", {})
        elif piece:
            self._text += piece
            self._add("answer", {"text": piece})

    def end(self, answered: ConversationOutcome, problem: str) -> None:
        """Tell how it ended, in the words of `problem` if it has failed."""
        conversation = answered.conversation
        if answered.failure:
            self._add("error", {"conversation_id": self.conversation_id, "error": problem})
        else:
            if not self._events:
                self.show(conversation.contexts)
            answer = conversation.answer or ""
            if self._text != answer:
                if self._text:
                    self.write(None)
                self.write(answer)
            made_of = {"system": conversation.system, "model": conversation.model}
            self._add("done", {"conversation_id": self.conversation_id, **made_of})
        self.ended.set_result(answered)

    def fail(self) -> None:
        """Tell that it ended for a reason that nobody foresaw."""
        words = "Something went wrong here. It is logged; try again."
        self._add("error", {"conversation_id": self.conversation_id, "error": words})
        self.ended.set_exception(HttpError(500, words))
        self.ended.exception()  # seen, also if nobody waits for it

    async def events(self) -> AsyncIterator[Event]:
        """Yield all events from the first to the last, as they come."""
        position = 0
        while True:
            for event in self._events[position:]:
                position += 1
                yield event
                if event.kind in ("done", "error"):
                    return
            if position == len(self._events):
                await self._changed.wait()

    async def followed(self) -> ConversationOutcome:
        """Return what came of it, once it has ended; whoever waits may go without ending it."""
        return await asyncio.shield(self.ended)

    def _add(self, kind: Kind, data: dict[str, Any]) -> None:
        self._events.append(Event(kind=kind, data=data))
        self._changed.set()
        self._changed = asyncio.Event()
