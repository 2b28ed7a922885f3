"""What a run has spent, and its ceiling: every request of every model passes here on its way out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rageval.errors import RunStoppedError

_KEEPING_S = 0.05


class Spending:
    """The dollars of one run. Lives in one event loop.

    At the ceiling no request is admitted any more. Those in flight are paid for whatever happens, so they are
    waited for and their replies kept before the run is ended. The same happens under a ceiling once a reply does not
    say what it took: nobody could tell any more when the ceiling is reached.
    """

    def __init__(self, *, ceiling_usd: float | None, spent_usd: float | None) -> None:
        """Begin.

        Args:
            ceiling_usd: What the run may spend; None for no ceiling.
            spent_usd: What it has spent already; None if nobody knows.
        """
        self.ceiling_usd = ceiling_usd
        self.spent_usd = spent_usd or 0.0
        self.elsewhere_usd = 0.0
        """What other processes have spent of the same ceiling."""
        self._unknown = "the cost of some replies to earlier starts is unknown" if spent_usd is None else None
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def known_usd(self) -> float | None:
        """What was spent, or None if the cost of any reply is unknown."""
        return None if self._unknown else self.spent_usd

    @property
    def is_at_ceiling(self) -> bool:
        """Whether nothing more may be spent."""
        if self.ceiling_usd is None:
            return False
        return self._unknown is not None or self.spent_usd + self.elsewhere_usd >= self.ceiling_usd

    def check(self) -> None:
        """Refuse a ceiling of which nobody knows how much is spent already.

        Raises:
            RunStoppedError: If it is one.
        """
        if self.ceiling_usd is not None and self._unknown:
            raise self.reached()

    def add(self, cost_usd: float | None, *, model: str) -> None:
        """Count what a reply of a model cost, whether or not it could be used; None if that is unknown."""
        if cost_usd is None:
            self._unknown = self._unknown or f"a reply of {model!r} does not say how many tokens it took"
        else:
            self.spent_usd += cost_usd

    @asynccontextmanager
    async def request(self) -> AsyncIterator[None]:
        """Admit one request while the block runs.

        Raises:
            RunStoppedError: At the ceiling, once nothing is in flight.
        """
        if self.is_at_ceiling:
            await self._idle.wait()
            await asyncio.sleep(_KEEPING_S)  # the last reply has arrived, and is only now handed on and stored
            raise self.reached()
        self._in_flight += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()

    def reached(self) -> RunStoppedError:
        """Return the error that ends a run at its ceiling, or without knowing how far from it."""
        if self._unknown:
            return RunStoppedError(
                f"{self._unknown}, so the ceiling max_cost_usd = {self.ceiling_usd or 0.0:g} cannot hold; leave "
                "--max-cost-usd out to go on without one, or ask a server that reports usage"
            )
        return RunStoppedError(
            f"it has spent ${self.spent_usd + self.elsewhere_usd:,.4f}, which reaches its ceiling run.max_cost_usd = "
            f"{self.ceiling_usd or 0.0:g}; give a higher --max-cost-usd to go on"
        )
