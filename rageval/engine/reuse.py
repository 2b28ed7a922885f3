"""A way of asking -> one that first looks whether an earlier run has asked the same."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future

from rageval.config.models import ModelConfig
from rageval.engine.chunks import Ask
from rageval.engine.earlier_runs import EarlierRuns
from rageval.engine.request_engine import RequestEngine
from rageval.engine.requests import ChatReply, ChatRequest


def reusing(ask: Ask, earlier: EarlierRuns, engine: RequestEngine) -> Ask:
    """Return an `Ask` that takes the replies of earlier runs, which the engine counts, and asks only for the others."""

    def ask_the_others(
        requests: Sequence[ChatRequest],
        model: ModelConfig,
        on_reply: Callable[[int, ChatReply], None],
        *,
        label: str,
    ) -> Future[None]:
        # What stands behind a system of its user's own may have changed since, and nothing shows that.
        found = [
            None if request.caller else earlier.reply(request.fingerprint(model), request.verdicts)
            for request in requests
        ]
        others = [position for position, reply in enumerate(found) if reply is None]
        for position, reply in enumerate(found):
            if reply is not None:
                on_reply(position, reply)
        engine.expect(label, 0, stored=len(found) - len(others))
        return ask(
            [requests[position] for position in others],
            model,
            lambda number, reply: on_reply(others[number], reply),
            label=label,
        )

    return ask_the_others
