"""What a run has spent, and its ceiling: every request of every model passes here on its way out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rageval.errors import RunStoppedError

_KEEPING_S = 0.05


class Spending:
    """The dollars of one run. Lives in one event loop.

    At the ceiling no request is admitted any more. Those in flight are paid for whatever happens, so they are
    waited for and their replies kept before the run is ended.
    """

    def __init__(self) -> None:
        self.ceiling_usd: float | None = None
        self.spent_usd = 0.0
        self.elsewhere_usd = 0.0
        """What other processes have spent of the same ceiling."""
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def start(self, *, ceiling_usd: float | None, spent_usd: float) -> None:
        """Begin a run that may spend so much, of which so much is spent already."""
        self.ceiling_usd = ceiling_usd
        self.spent_usd = spent_usd
        self.elsewhere_usd = 0.0

    @property
    def is_at_ceiling(self) -> bool:
        """Whether nothing more may be spent."""
        return self.ceiling_usd is not None and self.spent_usd + self.elsewhere_usd >= self.ceiling_usd

    def add(self, cost_usd: float | None) -> None:
        """Count what a reply cost, whether or not it could be used."""
        self.spent_usd += cost_usd or 0.0

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
        """Return the error that ends a run at its ceiling."""
        return RunStoppedError(
            f"it has spent ${self.spent_usd + self.elsewhere_usd:,.4f}, which reaches its ceiling run.max_cost_usd = "
            f"{self.ceiling_usd or 0.0:g}; give a higher --max-cost-usd to go on"
        )
