"""Models -> their connections and limits, which all runs of a process share, on the event loop of all model traffic.

Two runs of one process ask a server under the same limits, so there is one budget for each account and model.
"""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from rageval.config.models import ModelConfig
from rageval.engine.budget import RequestBudget
from rageval.engine.endpoint import Account, Endpoint, account_of, connect, endpoint_url, hidden_values
from rageval.engine.requests import Caller, Transport

_Result = TypeVar("_Result")


class TrafficLoop:
    """An event loop in a thread of its own, and what requests on it share.

    Args:
        loop: Where requests wait, and whose time goes for limits and time-outs; None for a new one.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.loop = loop or asyncio.new_event_loop()
        self._endpoints: dict[Account, Endpoint] = {}
        self._transports: dict[Caller, Transport] = {}
        self._budgets: dict[tuple[Account, str], RequestBudget] = {}
        self._of_limit: dict[str, list[RequestBudget]] = {}
        self._shares: dict[str, float] = {}
        self._thread = threading.Thread(target=self.loop.run_forever, name="rageval-chat", daemon=True)
        self._thread.start()

    def call(self, coroutine: Coroutine[Any, Any, _Result]) -> _Result:
        """Run it on the loop, and return its result; not to be called from the loop's own thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def endpoint(self, model: ModelConfig) -> Endpoint:
        """Return the one client of the model's account.

        Raises:
            InputError: See `account_of` and `connect`.
        """
        account = account_of(model)
        if account not in self._endpoints:
            self._endpoints[account] = connect(account)
        endpoint = self._endpoints[account]
        endpoint.url = endpoint_url(model)
        endpoint.hidden |= hidden_values(model)
        return endpoint

    def transport(self, caller: Caller) -> Transport:
        """Return what is open for a system of its user's own.

        Raises:
            InputError: See `Caller.connect`.
        """
        if caller not in self._transports:
            self._transports[caller] = caller.connect()
        return self._transports[caller]

    def budget(self, endpoint: Endpoint, model: ModelConfig, *, is_own: bool = False) -> RequestBudget:
        """Return the limits of all requests to the model by that account.

        Args:
            endpoint: Where it is asked.
            model: It, or the limits of a system of its user's own.
            is_own: Whether it is such a system: all of them behind one address have the same limits.
        """
        name = (endpoint.account, "" if is_own else model.served_name)
        if name not in self._budgets:
            budget = RequestBudget(
                rpm=model.rpm, tpm=model.tpm, max_concurrency=model.max_concurrency, clock=self.loop.time
            )
            budget.share(self._shares.get(model.shared_limit, 1.0))
            self._of_limit.setdefault(model.shared_limit, []).append(budget)
            self._budgets[name] = budget
        return self._budgets[name]

    async def share(self, shared_limit: str, share: float) -> None:
        """Keep that share of the limits of the models with that `shared_limit` from now on."""
        self._shares[shared_limit] = share
        for budget in self._of_limit.get(shared_limit, ()):
            budget.share(share)

    def close(self) -> None:
        """Give back connections and thread."""
        self.call(self._close_clients())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    async def _close_clients(self) -> None:
        for endpoint in self._endpoints.values():
            await endpoint.chat.close()
        for transport in self._transports.values():
            await transport.close()


class _OfProcess:
    """The loop of this process while anybody uses it: limits hold for a process, however many runs it has."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._loop: TrafficLoop

    @contextmanager
    def used(self) -> Iterator[TrafficLoop]:
        with self._lock:
            if not self._users:
                self._loop = TrafficLoop()
            self._users += 1
        try:
            yield self._loop
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self._loop.close()


_OF_PROCESS: Final = _OfProcess()


@contextmanager
def traffic_loop(loop: asyncio.AbstractEventLoop | None) -> Iterator[TrafficLoop]:
    """Yield the loop that all engines of the process share, or one on the given event loop, which nobody else uses."""
    if loop is None:
        with _OF_PROCESS.used() as shared:
            yield shared
        return
    own = TrafficLoop(loop)
    try:
        yield own
    finally:
        own.close()
