"""Whether a key and a model work at all: what the refusal of one request leaves open, and others' replies tell."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager

_REFUSALS_BELIEVED = 4
"""So many refused requests, and none that got a reply, say that no request will get one."""
_NUMBERS = re.compile(r"\d+")


class Evidence:
    """What has become of the requests of one (endpoint, key, model). Lives in one event loop."""

    def __init__(self) -> None:
        self.is_proven = False
        """Whether a request has got a reply."""
        self.failures_in_a_row = 0
        self._last_failure = ""
        self._open = 0
        self._refused = 0
        self._is_hopeless = False
        self._changed = asyncio.Event()

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count a request that waits or is under way while the block runs."""
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1
            self._changed.set()

    def replied(self) -> None:
        """Note that a request got a reply."""
        self.is_proven = True
        self.failures_in_a_row = 0
        self._changed.set()

    def failed(self, error: str, *, alike: bool) -> int:
        """Note that a request failed for good.

        Args:
            error: Why.
            alike: Whether only failures for the same reason, numbers in it apart, add up.

        Returns:
            How many have failed in a row.
        """
        kind = _NUMBERS.sub("0", error)
        self.failures_in_a_row = self.failures_in_a_row + 1 if not alike or kind == self._last_failure else 1
        self._last_failure = kind
        return self.failures_in_a_row

    async def is_refused_alone(self) -> bool:
        """Wait until it is known whether a refusal was of one request, or is of all requests.

        Returns:
            True once another request has got a reply; False once a few were refused, or all there are.
        """
        self._refused += 1
        self._changed.set()
        while not self.is_proven and not self._is_hopeless:
            if self._refused >= min(_REFUSALS_BELIEVED, self._open):
                self._is_hopeless = True
                self._changed.set()
            else:
                self._changed.clear()
                await self._changed.wait()
        return self.is_proven
