"""Requests -> replies: the only place that calls a model, paces, retries and cancels.

One event loop in a thread of its own owns all model traffic of the process, so the limits hold across all
tasks, models, answers and judgements. Callers are plain functions: they hand over requests and wait.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from tenacity import AsyncRetrying, retry_if_exception_type

from rageval.config.models import ModelConfig
from rageval.config.tls import TlsConfig
from rageval.engine.call import Backoff, Call, Traffic
from rageval.engine.counts import ModelCounts
from rageval.engine.endpoint import Account, Endpoint
from rageval.engine.faults import (
    RateLimitedError,
    RefusedRequestError,
    RefusedUnlessProvenError,
    TransientError,
    translate,
    unreachable,
)
from rageval.engine.keys import ApiKey
from rageval.engine.requests import Caller, ChatReply, ChatRequest
from rageval.engine.spending import Spending
from rageval.engine.traffic_loop import traffic_loop
from rageval.errors import CredentialsError, RagevalError, RequestFailedError, RunStoppedError

_CHECK_TIMEOUT_S = 15.0
_FAILURES_IN_A_ROW = 20
_REFUSALS_IN_A_ROW = 100
"""The same for requests that the server refuses as they are, once others have got a reply: those may all be odd."""


class RequestEngine:
    """All model traffic of one run; a context manager, at whose end nothing of it is in flight.

    Engines of one process share limits and connections. What is counted, spent, stopped and given up is each one's own.

    Args:
        max_cost_usd: The dollars at which no request is admitted any more and every `submit` is stopped, once the
            requests in flight have ended; None for no ceiling.
        spent_usd: What earlier starts of the run have spent of it; None if that is unknown.
        backoff_s: Seconds before the second attempt after a fault; doubles with every further one, up to 20.
        loop: Where requests wait, and whose time goes for limits and time-outs; None for the process's own.
    """

    def __init__(
        self,
        *,
        max_cost_usd: float | None = None,
        spent_usd: float | None = 0.0,
        backoff_s: float = 0.5,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.counts: dict[str, ModelCounts] = {}
        """Progress per model and kind of request, by the label given to `submit`."""
        self.spending = Spending(ceiling_usd=max_cost_usd, spent_usd=spent_usd)
        """What the run has spent, over all models, answers and judgements."""
        self._backoff_s = backoff_s
        self._stopped: RagevalError | None = None
        self._interrupted: RagevalError | None = None
        self._traffic: dict[tuple[Account, str], Traffic] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self._held = ExitStack()
        self._shared = self._held.enter_context(traffic_loop(loop))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def check(self, model: ModelConfig) -> None:
        """Ask the endpoint for its models, which costs nothing, so that a bad address or key shows at once.

        Raises:
            CredentialsError: If the key is missing or refused.
            ServiceError: If nothing answers there.
        """
        self._shared.call(self._check(model))

    def check_caller(self, caller: Caller) -> None:
        """Find out whether a system of its user's own can be asked, as far as that can be told without asking.

        Raises:
            InputError: If it cannot.
        """
        self._shared.call(self._check_caller(caller))

    def expect(self, label: str, records: int, *, stored: int = 0) -> None:
        """Tell progress displays how many records there will be in all, or that some were stored before."""
        counts = self.counts.setdefault(label, ModelCounts())
        counts.expected += records
        counts.done += stored
        counts.stored += stored

    def counted(self, label: str, *, done: int = 0, failed: int = 0, stored: int = 0) -> None:
        """Tell progress displays of records that ask no model: so many are done now, or were stored before."""
        counts = self.counts.setdefault(label, ModelCounts())
        counts.done += done + stored
        counts.stored += stored
        counts.failed += failed

    def share(self, shared_limit: str, share: float) -> None:
        """Keep that share (above 0, at most 1) of the limits of the models with that `shared_limit` from now on."""
        self._shared.call(self._shared.share(shared_limit, share))

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
        sent = self._complete_all(requests, model, on_reply, counts)
        return asyncio.run_coroutine_threadsafe(sent, self._shared.loop)

    def stop(self, error: BaseException, *, requests_alone: bool = False) -> None:
        """Cancel everything in flight; every waiting and every later caller gets the error.

        An error that is no reason to stop a run, such as a Ctrl-C, reaches them as one that is.

        Args:
            error: Why.
            requests_alone: Whether what asks no model goes on to its end, such as the scores of answers that are there.
        """
        self._stopped = error if isinstance(error, RunStoppedError) else RunStoppedError("the run was stopped")
        self._interrupted = self._interrupted if requests_alone else self._stopped
        if not self._is_closed:
            self._shared.loop.call_soon_threadsafe(self._cancel_running)

    @property
    def stopped(self) -> RagevalError | None:
        """What the run was stopped with, if it was."""
        return self._stopped

    def raise_if_stopped(self) -> None:
        """Raise what the run was stopped with, if it was; for whoever waits for something else than a reply."""
        if self._stopped:
            raise self._stopped

    def raise_if_interrupted(self) -> None:
        """Raise what the run was stopped with, if everything has to end; for what asks no model."""
        if self._interrupted:
            raise self._interrupted

    def forget_refusals(self) -> None:
        """Ask models again that no request could succeed with any more, such as for a refused key or spent credit."""
        self._shared.call(self._forget_refusals())

    def close(self) -> None:
        """Cancel what is in flight; the engine cannot be used any more. A second call does nothing."""
        with self._held:
            if not self._is_closed:
                self._is_closed = True
                self._shared.call(self._end())

    def _cancel_running(self) -> None:
        for task in self._running:
            task.cancel()

    async def _end(self) -> None:
        self._stopped = self._stopped or RunStoppedError("the request engine was closed")
        self._cancel_running()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _forget_refusals(self) -> None:
        self._traffic.clear()

    async def _check(self, model: ModelConfig) -> None:
        endpoint = self._shared.endpoint(model)
        import openai  # noqa: PLC0415 - slow to import, and the endpoint has

        await endpoint.key.ready()
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT_S):
                await endpoint.chat.models.list()
        except openai.AuthenticationError as error:
            raise translate(error, model, endpoint.url, endpoint.redact) from None  # the cause may repeat the key
        except (openai.APIConnectionError, TimeoutError) as error:
            raise unreachable(error, model, endpoint.url) from error
        except openai.BadRequestError as error:
            meaning = translate(error, model, endpoint.url, endpoint.redact)
            if isinstance(meaning, RefusedUnlessProvenError) and isinstance(meaning.ends, CredentialsError):
                raise meaning.ends from None  # the cause may repeat the key
        except openai.OpenAIError:
            return  # it answers; not every server lists its models, nor may every key see the list

    async def _check_caller(self, caller: Caller) -> None:
        await self._shared.transport(caller).check()

    def _traffic_of(self, model: ModelConfig, caller: Caller | None) -> Traffic:
        endpoint = self._shared.endpoint(model) if caller is None else _of_caller(caller)
        name = (endpoint.account, model.served_name)
        if name not in self._traffic:
            budget = self._shared.budget(endpoint, model, is_own=caller is not None)
            transport = self._shared.transport(caller) if caller else None
            self._traffic[name] = Traffic(endpoint=endpoint, budget=budget, spending=self.spending, transport=transport)
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
        if not requests:
            return
        traffic = self._traffic_of(model, requests[0].caller)

        async def one(position: int) -> None:
            reply = await self._complete(requests[position], model, traffic, counts)
            on_reply(position, reply)
            counts.count(reply)

        async def every() -> None:
            async with asyncio.TaskGroup() as group:
                for position in range(len(requests)):
                    group.create_task(one(position))

        task = asyncio.create_task(every())
        self._running.add(task)
        try:
            await task
        except asyncio.CancelledError:
            if self._stopped:
                raise self._stopped from None
            raise
        except BaseExceptionGroup as group:
            raise _worst(group) from group
        finally:
            self._running.discard(task)

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
                call.traffic.breaks(error.ends)
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
            traffic.breaks(stopped)
            raise stopped
        return call.failed(error)


def _of_caller(caller: Caller) -> Endpoint:
    """Return what limits and messages know of a system of its user's own."""
    account = Account(
        address=caller.address, key="", key_file="", key_command=(), key_header="", headers=(), tls=TlsConfig()
    )
    return Endpoint(client=None, account=account, key=ApiKey("", ()), url=caller.url, redacted=caller.redact)


def _worst(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error of a group that explains it: one of ours before any other."""
    flat: list[BaseException] = []
    for error in group.exceptions:
        flat.append(_worst(error) if isinstance(error, BaseExceptionGroup) else error)
    return min(flat, key=lambda error: not isinstance(error, RagevalError))
