"""How the tests of the request engine ask: questions in, replies out, against the fake model server."""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from rageval.config.models import ModelConfig
from rageval.engine.request_engine import RequestEngine
from rageval.engine.requests import ChatReply, ChatRequest
from tests.fake_llm import Body, FakeLLM, Reply

WAIT_S = 150.0
"""For what takes milliseconds on an idle machine."""


class Asker:
    """An engine with short backoffs, and the model `m` on the fake server unless the test says otherwise."""

    def __init__(self, llm: FakeLLM, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.engine = RequestEngine(backoff_s=0.01, loop=loop)
        self._llm = llm

    def next_run(self, **ceiling: float | None) -> None:
        """Ask through another engine from here on, whose time is the machine's."""
        self.engine.close()
        self.engine = RequestEngine(backoff_s=0.01, **ceiling)

    def start(
        self,
        questions: int | Sequence[str],
        on_reply: Callable[[int, ChatReply], None] = lambda _position, _reply: None,
        *,
        response_format: Mapping[str, Any] | None = None,
        on_piece: Callable[[str | None], None] | None = None,
        label: str = "answers",
        **settings: Any,
    ) -> Future[None]:
        """Submit the questions, or so many of them, and do not wait."""
        texts = [f"q{number}" for number in range(questions)] if isinstance(questions, int) else questions
        requests = [
            ChatRequest(
                messages=[{"role": "user", "content": text}], response_format=response_format, on_piece=on_piece
            )
            for text in texts
        ]
        model = ModelConfig(**{"name": "m", "base_url": self._llm.url, **settings})
        return self.engine.submit(requests, model, on_reply, label=label)

    def __call__(self, questions: int | Sequence[str] = 1, **settings: Any) -> list[ChatReply]:
        """Return the replies in the order of the questions; each has to come exactly once."""
        replies: dict[int, ChatReply] = {}

        def keep(position: int, reply: ChatReply) -> None:
            assert position not in replies
            replies[position] = reply

        self.start(questions, keep, **settings).result(WAIT_S)
        expected = questions if isinstance(questions, int) else len(questions)
        assert sorted(replies) == list(range(expected))
        return [replies[position] for position in range(expected)]


def script(llm: FakeLLM, *replies: str | Reply) -> None:
    """Let the server send these replies one after the other, and the last one for ever."""
    left = list(replies)

    def reply(_: Body) -> str | Reply:
        return left.pop(0) if len(left) > 1 else left[0]

    llm.reply = reply


def until(condition: Callable[[], bool]) -> None:
    """Wait for it; the test's own time-out ends a wait for what never comes."""
    tick = threading.Event()
    while not condition():
        tick.wait(0.01)
