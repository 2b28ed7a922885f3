"""Requests -> replies: the only place that calls a model, paces, retries and cancels.

One event loop in a thread of its own owns all model traffic of the process, so the limits hold across all
tasks, models, answers and judgements. Callers are plain functions: they hand over requests and wait.
"""

import asyncio
import atexit
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import lru_cache
from typing import Any

import openai
from tenacity import AsyncRetrying, retry_if_exception_type

from rageval.config.models import ModelConfig
from rageval.engine.budget import RequestBudget
from rageval.engine.call import Backoff, Call, Traffic
from rageval.engine.counts import ModelCounts
from rageval.engine.endpoint import (
    Endpoint,
    api_key,
    connect,
    endpoint_address,
    endpoint_url,
    hidden_values,
)
from rageval.engine.faults import (
    RateLimitedError,
    RefusedRequestError,
    RefusedUnlessProvenError,
    TransientError,
    translate,
)
from rageval.engine.requests import ChatReply, ChatRequest
from rageval.engine.spending import Spending
from rageval.errors import RagevalError, RequestFailedError, RunStoppedError, ServiceError

_CHECK_TIMEOUT_S = 15.0
_FAILURES_IN_A_ROW = 20
_REFUSALS_IN_A_ROW = 100
"""The same for requests that the server refuses as they are, once others have got a reply: those may all be odd."""


class ChatEngine:
    """All model traffic of one process.

    Args:
        backoff_s: Seconds before the second attempt after a fault; doubles with every further one, up to 20.
        loop: Where requests wait, and whose time goes for limits and time-outs; None for a new one.
    """

    def __init__(self, *, backoff_s: float = 0.5, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.counts: dict[str, ModelCounts] = {}
        """Progress per model and kind of request, by the label given to `submit`; another mapping for each run."""
        self.spending = Spending()
        """What the run has spent, over all models, answers and judgements."""
        self._backoff_s = backoff_s
        self._stopped: RagevalError | None = None
        self._endpoints: dict[tuple[str, str], Endpoint] = {}
        self._traffic: dict[tuple[str, str, str], Traffic] = {}
        self._shares: dict[str, float] = {}
        # Each submit, and what it is cancelled with: `start_run` may have forgotten that before its caller wakes up.
        self._running: dict[asyncio.Task[None], RagevalError | None] = {}
        self._loop = loop or asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="rageval-chat", daemon=True)
        self._thread.start()

    def start_run(self, *, max_cost_usd: float | None = None, spent_usd: float | None = 0.0) -> None:
        """Forget stops, broken keys, counts and spending of earlier runs in this process.

        Args:
            max_cost_usd: The dollars at which no request is admitted any more and every `submit` is stopped, once
                the requests in flight have ended; None for no ceiling.
            spent_usd: What earlier starts of the run have spent of it; None if that is unknown.
        """
        self._stopped = None
        self.spending.start(ceiling_usd=max_cost_usd, spent_usd=spent_usd)
        self.counts = {}
        self._call(self._forget())

    def check(self, model: ModelConfig) -> None:
        """Ask the endpoint for its models, which costs nothing, so that a bad address or key shows at once.

        Raises:
            CredentialsError: If the key is missing or refused.
            ServiceError: If nothing answers there.
        """
        self._call(self._check(model))

    def expect(self, label: str, records: int, *, stored: int = 0) -> None:
        """Tell progress displays how many records there will be in all, or that some were stored before."""
        counts = self.counts.setdefault(label, ModelCounts())
        counts.expected += records
        counts.done += stored
        counts.stored += stored

    def share(self, shared_limit: str, share: float) -> None:
        """Keep that share (above 0, at most 1) of the limits of the models with that `shared_limit` from now on."""
        self._call(self._share(shared_limit, share))

    def submit(
        self,
        requests: Sequence[ChatRequest],
        model: ModelConfig,
        on_reply: Callable[[int, ChatReply], None],
        *,
        label: str,
    ) -> Future[None]:
        """Send the requests as the model's limits allow.

        Args:
            requests: What to ask.
            model: Whom to ask.
            on_reply: Called once for each request as it ends, with its position and the reply; it runs on the
                engine's thread, so it has to be quick.
            label: What to count them under.

        Returns:
            A future that is done when every request has ended. It raises what ends a whole run: a refused key,
            an unknown model, spent credit, `stop`, or an error of `on_reply`. Other failures are replies.
        """
        counts = self.counts.setdefault(label, ModelCounts())
        return asyncio.run_coroutine_threadsafe(self._complete_all(requests, model, on_reply, counts), self._loop)

    def stop(self, error: BaseException) -> None:
        """Cancel everything in flight; every waiting and every later caller gets the error until `start_run`.

        An error that is no reason to stop a run, such as a Ctrl-C, reaches them as one that is.
        """
        self._stopped = error if isinstance(error, RunStoppedError) else RunStoppedError("the run was stopped")
        self._loop.call_soon_threadsafe(self._cancel_running, self._stopped)

    @property
    def stopped(self) -> RagevalError | None:
        """What the run was stopped with, if it was."""
        return self._stopped

    def raise_if_stopped(self) -> None:
        """Raise what the run was stopped with, if it was; for whoever waits for something else than a reply."""
        if self._stopped:
            raise self._stopped

    def close(self) -> None:
        """Cancel what is in flight and give back connections and thread; the engine cannot be used any more."""
        self.stop(RunStoppedError("the request engine was closed"))
        self._call(self._close_clients())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _cancel_running(self, error: RagevalError) -> None:
        for task in self._running:
            self._running[task] = error
            task.cancel()

    async def _close_clients(self) -> None:
        await asyncio.gather(*self._running, return_exceptions=True)
        for endpoint in self._endpoints.values():
            await endpoint.client.close()

    async def _forget(self) -> None:
        idle = [key for key, traffic in self._traffic.items() if traffic.budget.in_flight == 0]
        for key in idle:
            del self._traffic[key]

    async def _share(self, shared_limit: str, share: float) -> None:
        self._shares[shared_limit] = share
        for traffic in self._traffic.values():
            if traffic.shared_limit == shared_limit:
                traffic.budget.share(share)

    async def _check(self, model: ModelConfig) -> None:
        endpoint = self._endpoint(model)
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT_S):
                await endpoint.client.models.list()
        except openai.AuthenticationError as error:
            raise translate(error, model, endpoint.url, endpoint.redact) from None  # the cause may repeat the key
        except (openai.APIConnectionError, TimeoutError) as error:
            raise ServiceError(
                f"the endpoint {endpoint.url} of the model {model.name!r} cannot be reached; "
                "check that it runs, or name another one with --base-url"
            ) from error
        except openai.OpenAIError:
            return  # it answers; not every server lists its models, nor may every key see the list

    def _endpoint(self, model: ModelConfig) -> Endpoint:
        address, key = endpoint_address(model), api_key(model)
        if (address, key) not in self._endpoints:
            self._endpoints[address, key] = connect(address, key)
        endpoint = self._endpoints[address, key]
        endpoint.url = endpoint_url(model)
        endpoint.hidden |= hidden_values(model)
        return endpoint

    def _traffic_of(self, model: ModelConfig) -> Traffic:
        endpoint = self._endpoint(model)
        name = (endpoint.address, endpoint.key, model.served_name)
        if name not in self._traffic:
            budget = RequestBudget(
                rpm=model.rpm, tpm=model.tpm, max_concurrency=model.max_concurrency, clock=self._loop.time
            )
            budget.share(self._shares.get(model.shared_limit, 1.0))
            self._traffic[name] = Traffic(
                endpoint=endpoint, budget=budget, spending=self.spending, shared_limit=model.shared_limit
            )
        return self._traffic[name]

    async def _complete_all(
        self,
        requests: Sequence[ChatRequest],
        model: ModelConfig,
        on_reply: Callable[[int, ChatReply], None],
        counts: ModelCounts,
    ) -> None:
        if self._stopped:
            raise self._stopped
        traffic = self._traffic_of(model)

        async def one(position: int) -> None:
            reply = await self._complete(requests[position], model, traffic, counts)
            on_reply(position, reply)
            counts.count(reply)

        async def every() -> None:
            async with asyncio.TaskGroup() as group:
                for position in range(len(requests)):
                    group.create_task(one(position))

        task = asyncio.create_task(every())
        self._running[task] = None
        try:
            await task
        except asyncio.CancelledError:
            error = self._running[task]
            if error:
                raise error from None
            raise
        except BaseExceptionGroup as group:
            raise _worst(group) from group
        finally:
            del self._running[task]

    async def _complete(
        self, request: ChatRequest, model: ModelConfig, traffic: Traffic, counts: ModelCounts
    ) -> ChatReply:
        if counts.stored:  # an earlier start of the run got replies
            traffic.evidence.is_proven = True
        with traffic.evidence.request():
            return await self._attempted(Call(request=request, model=model, traffic=traffic, counts=counts))

    async def _attempted(self, call: Call) -> ChatReply:
        model = call.model
        try:
            async with call.deadline:
                retrying = AsyncRetrying(
                    retry=retry_if_exception_type((TransientError, RateLimitedError)),
                    stop=call.is_exhausted,
                    wait=Backoff(self._backoff_s),
                    sleep=asyncio.sleep,
                    reraise=True,
                )
                reply: ChatReply = await retrying(call.attempt)
        except TimeoutError:
            return self._given_up(
                call, f"no answer within the deadline of {model.deadline_s:g} s; last: {call.last_error}"
            )
        except (TransientError, RateLimitedError) as error:
            return self._given_up(call, f"{error} (attempt {call.faults} of {model.max_attempts})")
        except RefusedUnlessProvenError as error:
            if not await call.traffic.evidence.is_refused_alone():
                call.traffic.budget.breaks(error.ends)
                raise error.ends from None
            return self._given_up(call, str(error), alike=True)
        except RefusedRequestError as error:
            return self._given_up(call, str(error), alike=True)
        except RequestFailedError as error:
            return call.failed(str(error))
        call.traffic.evidence.replied()
        return reply

    @staticmethod
    def _given_up(call: Call, error: str, *, alike: bool = False) -> ChatReply:
        traffic = call.traffic
        most = _REFUSALS_IN_A_ROW if alike and traffic.evidence.is_proven else _FAILURES_IN_A_ROW
        if traffic.evidence.failed(error, alike=alike) >= most:
            stopped = RunStoppedError(
                f"the last {most} requests to {call.model.name!r} at {traffic.endpoint.url} all failed, "
                f"the last one with: {error}"
            )
            traffic.budget.breaks(stopped)
            raise stopped
        return call.failed(error)


def _worst(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error of a group that explains it: one of ours before any other."""
    flat: list[BaseException] = []
    for error in group.exceptions:
        flat.append(_worst(error) if isinstance(error, BaseExceptionGroup) else error)
    return min(flat, key=lambda error: not isinstance(error, RagevalError))


@lru_cache(maxsize=1)
def chat_engine() -> ChatEngine:
    """Return the engine of this process, started on first use and closed when the process ends."""
    engine = ChatEngine()
    atexit.register(engine.close)
    return engine
