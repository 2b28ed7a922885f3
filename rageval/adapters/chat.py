"""Requests -> replies: the only place that calls a model, paces, retries and cancels.

One event loop in a thread of its own owns all model traffic of the process, so the limits hold across all
tasks, models, answers and judgements. Callers are plain functions: they hand over requests and wait.
"""

import asyncio
import os
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import openai
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type
from tenacity.wait import wait_base

from rageval.adapters.chat_errors import (
    FormatRefusedError,
    RateLimitedError,
    TransientError,
    describe,
    empty_reply,
    translate,
)
from rageval.adapters.chat_replies import read_completion
from rageval.adapters.prices import cost_usd
from rageval.adapters.request_budget import RequestBudget
from rageval.config import ModelConfig
from rageval.errors import (
    ConfigError,
    CredentialsError,
    RagevalError,
    RequestFailedError,
    RunStoppedError,
    ServiceError,
)
from rageval.fingerprint import request_fingerprint
from rageval.pacing import retry_after_s
from rageval.prompts import Message
from rageval.records import Usage

OPENAI_URL = "https://api.openai.com/v1"
NO_KEY = "none"
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_CHECK_TIMEOUT_S = 15.0
_FAILURES_IN_A_ROW = 20
_BAD_REQUEST = (openai.BadRequestError, openai.UnprocessableEntityError)


@dataclass(frozen=True, kw_only=True)
class ChatRequest:
    """What one model is asked; `response_format` is dropped where the server does not know it."""

    messages: Sequence[Message]
    response_format: Mapping[str, Any] | None = None

    def fingerprint(self, model: ModelConfig) -> str:
        """Return the identity of this request to that model, see `rageval.fingerprint`."""
        parameters = request_parameters(model)
        if self.response_format:
            parameters["response_format"] = self.response_format
        return request_fingerprint(self.messages, model.served_name, parameters)


@dataclass(frozen=True, kw_only=True)
class ChatReply:
    """The text of a reply, or the error that stands for it."""

    text: str | None
    error: str | None
    attempts: int
    finish_reason: str | None = None
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = None
    latency_s: float | None = None
    started_at: datetime


@dataclass(kw_only=True)
class ModelCounts:
    """How far one model is; for progress displays."""

    expected: int = 0
    done: int = 0
    failed: int = 0
    in_flight: int = 0
    cost_usd: float = 0.0
    refusals: int = 0


@dataclass(kw_only=True)
class _Endpoint:
    client: openai.AsyncOpenAI
    key: str
    url: str
    structured: bool | None = None
    """Whether the server knows `response_format`; None until a reply has shown it."""

    def redact(self, text: str) -> str:
        """Return the text without the key, which a server may have repeated in an error."""
        return text if self.key == NO_KEY else text.replace(self.key, "[key]")


@dataclass(kw_only=True)
class _Traffic:
    """Everything that requests of one (endpoint, key, model) share."""

    endpoint: _Endpoint
    budget: RequestBudget
    failures_in_a_row: int = 0


def request_parameters(model: ModelConfig) -> dict[str, Any]:
    """Return the parameters of a request that the configuration sets, and no others."""
    # As JSON has them: YAML also knows dates, and numbers for keys.
    parameters: dict[str, Any] = model.model_dump(mode="json", include={"extra_body"})["extra_body"]
    if model.temperature is not None:
        parameters["temperature"] = model.temperature
    if model.max_completion_tokens is not None:
        parameters["max_completion_tokens"] = model.max_completion_tokens
    return parameters


def endpoint_url(model: ModelConfig) -> str:
    """Return the endpoint that serves the model."""
    return (model.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL).rstrip("/")


def api_key(model: ModelConfig) -> str:
    """Return the key of the model's endpoint; a server on this machine needs none.

    Raises:
        CredentialsError: If the variable is not set, or holds what cannot be sent.
    """
    key = os.environ.get(model.api_key_env, "").strip()
    if key and not model.is_local:
        if not key.isascii() or not key.isprintable():
            raise CredentialsError(
                f"the key in {model.api_key_env} holds characters that no key can hold; copy it again without them"
            )
        return key
    if model.is_local or urlsplit(endpoint_url(model)).hostname in _LOOPBACK:
        return NO_KEY
    raise CredentialsError(
        f"the model {model.name!r} needs a key for {endpoint_url(model)}, but the environment variable "
        f"{model.api_key_env} is not set; set it, name another one with --api-key-env, or use --model local"
    )


class _Backoff(wait_base):
    """Jittered exponential backoff; a refusal's wait is the budget's business, so it only gets the jitter."""

    def __init__(self, first_s: float, most_s: float = 20.0) -> None:
        self._first_s = first_s
        self._most_s = most_s

    def __call__(self, retry_state: RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        if isinstance(error, RateLimitedError):
            return random.uniform(0, 0.05)  # noqa: S311 - jitter, not a secret
        doublings = min(retry_state.attempt_number - 1, 30)  # refusals count too: there may be thousands
        longest = min(self._most_s, self._first_s * 2.0**doublings)
        return random.uniform(longest / 2, longest)  # noqa: S311 - jitter, not a secret


class ChatEngine:
    """All model traffic of one process.

    Args:
        backoff_s: Seconds before the second attempt after a fault; doubles with every further one, up to 20.
    """

    def __init__(self, *, backoff_s: float = 0.5) -> None:
        self.counts: dict[str, ModelCounts] = {}
        """Progress per model and kind of request, by the label given to `submit`."""
        self._backoff_s = backoff_s
        self._stopped: RagevalError | None = None
        self._endpoints: dict[tuple[str, str], _Endpoint] = {}
        self._traffic: dict[tuple[str, str, str], _Traffic] = {}
        # Each submit, and what it is cancelled with: `start_run` may have forgotten that before its caller wakes up.
        self._running: dict[asyncio.Task[None], RagevalError | None] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="rageval-chat", daemon=True)
        self._thread.start()

    def start_run(self) -> None:
        """Forget stops, broken keys and counts of earlier runs in this process."""
        self._stopped = None
        self.counts.clear()
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

    def stop(self, error: RagevalError) -> None:
        """Cancel everything in flight; every waiting and every later caller gets the error until `start_run`."""
        self._stopped = error
        self._loop.call_soon_threadsafe(self._cancel_running, error)

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

    async def _check(self, model: ModelConfig) -> None:
        endpoint = self._endpoint(model)
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT_S):
                await endpoint.client.models.list()
        except (openai.AuthenticationError, openai.PermissionDeniedError):
            raise _refused_key(model) from None  # the cause may repeat the key
        except (openai.APIConnectionError, TimeoutError) as error:
            raise ServiceError(
                f"the endpoint {endpoint.url} of the model {model.name!r} cannot be reached; "
                "check that it runs, or name another one with --base-url"
            ) from error
        except openai.OpenAIError:
            return  # it answers; not every server lists its models

    def _endpoint(self, model: ModelConfig) -> _Endpoint:
        url, key = endpoint_url(model), api_key(model)
        if (url, key) not in self._endpoints:
            timeout = openai.Timeout(None, connect=10.0)
            http_client = openai.DefaultAsyncHttpxClient(
                timeout=timeout, limits=openai.DEFAULT_CONNECTION_LIMITS.__class__(keepalive_expiry=30.0)
            )
            client = openai.AsyncOpenAI(
                base_url=url, api_key=key, max_retries=0, timeout=timeout, http_client=http_client
            )
            self._endpoints[url, key] = _Endpoint(client=client, key=key, url=url)
        return self._endpoints[url, key]

    def _traffic_of(self, model: ModelConfig) -> _Traffic:
        endpoint = self._endpoint(model)
        name = (endpoint.url, endpoint.key, model.served_name)
        if name not in self._traffic:
            budget = RequestBudget(rpm=model.rpm, tpm=model.tpm, max_concurrency=model.max_concurrency)
            self._traffic[name] = _Traffic(endpoint=endpoint, budget=budget)
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
            counts.done += 1
            counts.failed += reply.error is not None
            counts.cost_usd += reply.cost_usd or 0.0

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
        self, request: ChatRequest, model: ModelConfig, traffic: _Traffic, counts: ModelCounts
    ) -> ChatReply:
        call = _Call(request=request, model=model, traffic=traffic, counts=counts)
        try:
            async with call.deadline:
                retrying = AsyncRetrying(
                    retry=retry_if_exception_type((TransientError, RateLimitedError)),
                    stop=call.is_exhausted,
                    wait=_Backoff(self._backoff_s),
                    sleep=call.sleep,
                    reraise=True,
                )
                reply: ChatReply = await retrying(call.attempt)
        except TimeoutError:
            return self._given_up(
                call, f"no answer within the deadline of {model.deadline_s:g} s; last: {call.last_error}"
            )
        except (TransientError, RateLimitedError) as error:
            return self._given_up(call, f"{error} (attempt {call.faults} of {model.max_attempts})")
        except RequestFailedError as error:
            return call.failed(str(error))
        traffic.failures_in_a_row = 0
        return reply

    @staticmethod
    def _given_up(call: "_Call", error: str) -> ChatReply:
        traffic = call.traffic
        traffic.failures_in_a_row += 1
        if traffic.failures_in_a_row >= _FAILURES_IN_A_ROW:
            stopped = RunStoppedError(
                f"the last {_FAILURES_IN_A_ROW} requests to {call.model.name!r} at {traffic.endpoint.url} all failed, "
                f"the last one with: {error}"
            )
            traffic.budget.breaks(stopped)
            raise stopped
        return call.failed(error)


@dataclass(kw_only=True)
class _Call:
    """One request on its way through its attempts."""

    request: ChatRequest
    model: ModelConfig
    traffic: _Traffic
    counts: ModelCounts
    attempts: int = 0
    faults: int = 0
    format_refused: bool = False
    last_error: str = "it waited for the limits"
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    paid: ChatReply | None = None
    """A reply that came but could not be used: its tokens were spent all the same."""
    deadline: asyncio.Timeout = field(default_factory=lambda: asyncio.timeout(None))

    def is_exhausted(self, _: RetryCallState) -> bool:
        return self.faults >= self.model.max_attempts

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def failed(self, error: str) -> ChatReply:
        paid = self.paid
        return ChatReply(
            text=None,
            error=error,
            attempts=self.attempts,
            finish_reason=paid.finish_reason if paid else None,
            usage=paid.usage if paid else Usage(),
            cost_usd=paid.cost_usd if paid else None,
            started_at=self.started_at,
        )

    async def attempt(self) -> ChatReply:
        budget, model = self.traffic.budget, self.model
        characters = sum(len(message["content"]) for message in self.request.messages)
        reserved = budget.estimate(characters, model.max_completion_tokens)
        async with budget.admit(reserved, on_turn=self._stop_clock()) as sent:
            if self.attempts == 0:
                self.started_at = datetime.now(UTC)
            self.attempts += 1
            self.counts.in_flight += 1
            try:
                reply, headers = await self._send()
            except (TransientError, RateLimitedError) as error:
                self.last_error = str(error)
                self._learn_from(error, sent)
                raise
            except (CredentialsError, ConfigError, RunStoppedError) as error:
                budget.breaks(error)
                raise
            finally:
                self.counts.in_flight -= 1
            budget.succeeded(headers, started=sent)
            self._learn_usage(reply.usage, characters, reserved)
        return reply

    def _stop_clock(self) -> Callable[[], None]:
        """Stop the time of the deadline, and return what starts it again.

        A request does not answer for those before it in the queue: under a low limit, the last of a hundred
        would be given up before its turn.
        """
        clock = asyncio.get_running_loop().time
        ends_at = self.deadline.when()
        left_s = self.model.deadline_s if ends_at is None else ends_at - clock()
        self.deadline.reschedule(None)
        return lambda: self.deadline.reschedule(clock() + left_s)

    def _learn_usage(self, usage: Usage, characters: int, reserved: float) -> None:
        if usage.prompt_tokens is not None:
            self.traffic.budget.used(
                characters=characters,
                reserved=reserved,
                prompt=usage.prompt_tokens,
                completion=usage.completion_tokens or 0,
                max_completion_tokens=self.model.max_completion_tokens,
            )

    def _learn_from(self, error: TransientError | RateLimitedError, sent: float) -> None:
        if isinstance(error, RateLimitedError):
            self.counts.refusals += 1
            wait_s = retry_after_s(error.headers)
            if wait_s is not None and wait_s > self.model.deadline_s:
                stopped = RunStoppedError(
                    f"{self.traffic.endpoint.url} asks to wait {wait_s:.0f} s before the model {self.model.name!r} is "
                    f"asked again, longer than its deadline_s of {self.model.deadline_s:g}; start again after that"
                )
                self.traffic.budget.breaks(stopped)
                raise stopped
            self.traffic.budget.refused(error.headers, started=sent, retry_after=wait_s)
        elif isinstance(error, FormatRefusedError):
            self.format_refused = True
        else:
            self.faults += 1
            self.traffic.budget.slowed(started=sent)

    async def _send(self) -> tuple[ChatReply, Mapping[str, str]]:
        endpoint, wanted = self.traffic.endpoint, self.request.response_format
        formatted = wanted is not None and endpoint.structured is not False and not self.format_refused
        body = request_parameters(self.model)
        if formatted:
            body["response_format"] = wanted
        try:
            reply, headers = await self._post(body)
        except (openai.OpenAIError, ValueError, TimeoutError) as error:
            # Not only while nothing is known: another reply may have shown meanwhile that formats are refused.
            if formatted and not endpoint.structured and isinstance(error, _BAD_REQUEST):
                raise FormatRefusedError(describe(error, endpoint.redact)) from None
            raise translate(error, self.model, endpoint.url, endpoint.redact) from None  # it may repeat the key
        if wanted is not None and endpoint.structured is None:
            endpoint.structured = formatted
        problem = empty_reply(reply.text, reply.finish_reason)
        if problem:
            self.paid = reply
            raise problem
        return reply, headers

    async def _post(self, body: Mapping[str, Any]) -> tuple[ChatReply, Mapping[str, str]]:
        started = time.monotonic()
        async with asyncio.timeout(self.model.timeout_s):
            raw = await self.traffic.endpoint.client.chat.completions.with_raw_response.create(
                model=self.model.served_name,
                messages=list(self.request.messages),  # type: ignore[arg-type]  # plain dicts are what it sends
                extra_body=dict(body),
            )
            completion = read_completion(raw.parse())
        latency_s = time.monotonic() - started
        reply = ChatReply(
            text=completion.text,
            error=None,
            attempts=self.attempts,
            finish_reason=completion.finish_reason,
            usage=completion.usage,
            cost_usd=cost_usd(self.model, completion.usage),
            latency_s=latency_s,
            started_at=self.started_at,
        )
        return reply, raw.headers


def _refused_key(model: ModelConfig) -> CredentialsError:
    return CredentialsError(
        f"the endpoint {endpoint_url(model)} refused the key in {model.api_key_env} (model {model.name!r}); "
        "put a valid key there"
    )


def _worst(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error of a group that explains it: one of ours before any other."""
    flat: list[BaseException] = []
    for error in group.exceptions:
        flat.append(_worst(error) if isinstance(error, BaseExceptionGroup) else error)
    return min(flat, key=lambda error: not isinstance(error, RagevalError))


@lru_cache(maxsize=1)
def chat_engine() -> ChatEngine:
    """Return the engine of this process, started on first use."""
    return ChatEngine()
