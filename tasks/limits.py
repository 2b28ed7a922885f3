"""A chunk of requests -> a place at the limit that all runs and workers share, held while the chunk is asked.

The limit is a global concurrency limit of the Prefect server. It is taken once per chunk, because a call takes 0.2 s;
the requests themselves are paced by the engine, at the share of the provider's limit that this process's places give.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from functools import cache
from types import TracebackType
from typing import Self

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.responses import GlobalConcurrencyLimitResponse
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency
from prefect.context import SettingsContext, get_settings_context
from prefect.exceptions import ObjectNotFound

from rageval.config.models import ModelConfig
from rageval.engine.request_engine import RequestEngine
from rageval.engine.requests import ChatReply, ChatRequest
from rageval.engine.sharing import LimitShare
from rageval.errors import RunStoppedError, ServiceError

_LOOK_EVERY_S = 1.0
_LEASE_S = 60.0
_WAIT_S = 5.0


def check_limits(models: Iterable[ModelConfig]) -> None:
    """Look for every limit that the models share with other runs.

    Raises:
        ServiceError: If one is not there, or is switched off: Prefect would take either for "no limit".
    """
    for name in _names(models):
        _read_limit(name)


class LimitSlots:
    """Places at the limits of some models, taken before the first request to one of them and given back at the end.

    Without requests none is taken. The places of all models are taken in one call, so that two chunks never wait for
    each other's.
    """

    def __init__(self, models: Iterable[ModelConfig], engine: RequestEngine) -> None:
        self._names = _names(models)
        self._engine = engine
        self._held = ExitStack()
        self._taken = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    def ask(
        self,
        requests: Sequence[ChatRequest],
        model: ModelConfig,
        on_reply: Callable[[int, ChatReply], None],
        *,
        label: str,
    ) -> Future[None]:
        """Hand the requests to the engine, see `RequestEngine.submit`, once there is a place."""
        if requests:
            self.take()
        return self._engine.submit(requests, model, on_reply, label=label)

    def take(self) -> None:
        """Wait for a place at every limit.

        Raises:
            RagevalError: What the run was stopped with meanwhile.
        """
        if self._taken or not self._names:
            return
        with ExitStack() as lease:
            while not self._taken:
                self._taken = self._try_to_take(lease)
            for name in self._names:
                self._held.callback(_limit(name).leave, self._engine)
                _limit(name).join(self._engine)
            self._held.push(lease.pop_all())  # given back first: until then it is counted as this process's

    def _try_to_take(self, lease: ExitStack) -> bool:
        self._engine.raise_if_stopped()
        try:
            # A lease that cannot be renewed must not cancel the chunk: its replies are paid for.
            lease.enter_context(
                concurrency(
                    self._names, strict=True, lease_duration=_LEASE_S, timeout_seconds=_WAIT_S,
                    raise_on_lease_renewal_failure=False,
                )
            )  # fmt: skip
        except TimeoutError:
            return False
        except ConcurrencySlotAcquisitionError as error:
            raise RunStoppedError(
                f"no place could be taken at the Prefect global concurrency limits {', '.join(self._names)}: {error}; "
                "check that the Prefect server runs and has them, and start again"
            ) from error
        return True


class _Limit:
    """One limit as this process sees it; looks every second how many places are taken, while it holds any."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._share = LimitShare()
        self._held: list[RequestEngine] = []
        """For each place of this process the engine that asks from it."""
        self._others = 0
        self._lock = threading.Lock()
        self._idle = threading.Event()

    def join(self, engine: RequestEngine) -> None:
        """Count one more place of this process, which this engine asks from."""
        with self._lock:
            self._held.append(engine)
            if len(self._held) == 1:
                self._idle = threading.Event()
                # A worker of a cluster knows the Prefect server from its task's settings alone.
                watched = (self._idle, get_settings_context().model_copy())
                threading.Thread(target=self._watch, args=watched, name=f"limit-{self._name}", daemon=True).start()
        self._look()

    def leave(self, engine: RequestEngine) -> None:
        """Count one place of this engine less."""
        with self._lock:
            self._held.remove(engine)
            if not self._held:
                self._idle.set()
        self._pace()

    def _watch(self, idle: threading.Event, settings: SettingsContext) -> None:
        with settings:
            while not idle.wait(_LOOK_EVERY_S):
                self._look()

    def _look(self) -> None:
        before = len(self._held)
        try:
            taken = _read_limit(self._name).active_slots
        except (ServiceError, httpx.HTTPError):
            pass  # the server will be back, or its absence ends the run elsewhere
        else:
            self._others = max(0, taken - min(before, len(self._held)))
        self._pace()

    def _pace(self) -> None:
        with self._lock:
            if self._held:
                held = len(self._held)
                share = self._share.update(time.monotonic(), held=held, taken=held + self._others)
                self._held[-1].share(self._name, share)  # any of them: engines of one process share limits


@cache
def _limit(name: str) -> _Limit:
    return _Limit(name)


def _names(models: Iterable[ModelConfig]) -> list[str]:
    return sorted({model.shared_limit for model in models} - {""})


def _read_limit(name: str) -> GlobalConcurrencyLimitResponse:
    with get_client(sync_client=True) as client:
        try:
            limit = client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound:
            raise ServiceError(
                f"the Prefect server at {client.api_url} has no global concurrency limit {name!r}, which shared_limit "
                f"names; create it with: python -m deployments.bootstrap --limit {name}=100"
            ) from None
    if not limit.active:
        raise ServiceError(
            f"the global concurrency limit {name!r}, which shared_limit names, is switched off; switch it on with: "
            f"prefect gcl update {name} --enable"
        )
    return limit
