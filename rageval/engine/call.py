"""One request on its way: its attempts, what each teaches its budget, and the reply that comes of it."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tenacity import RetryCallState
from tenacity.wait import wait_base

from rageval.config.models import ModelConfig
from rageval.engine.budget import RequestBudget, Ticket
from rageval.engine.counts import ModelCounts
from rageval.engine.endpoint import Endpoint
from rageval.engine.evidence import Evidence
from rageval.engine.faults import (
    FORMAT_STATUS,
    FormatRefusedError,
    RateLimitedError,
    TransientError,
    translate,
    unusable,
)
from rageval.engine.hedging import Hedging, first_good
from rageval.engine.pacing import retry_after_s
from rageval.engine.parameters import sent_parameters
from rageval.engine.prices import cost_usd
from rageval.engine.replies import Completion, decode_completion
from rageval.engine.requests import ChatReply, ChatRequest, Transport
from rageval.engine.spending import Spending
from rageval.engine.stream import BrokenStreamError, stream_completion
from rageval.errors import CredentialsError, RagevalError, RunStoppedError
from rageval.records import Usage
from rageval.telemetry.tracing import model_call, note_reply


@dataclass(kw_only=True)
class Traffic:
    """Everything that requests of one run to one (endpoint, key, model) share."""

    endpoint: Endpoint
    budget: RequestBudget
    """Shared with the other runs of the process."""
    spending: Spending
    transport: Transport | None = None
    """How a system of its user's own is asked; None for a model."""
    hedging: Hedging = field(default_factory=Hedging)
    evidence: Evidence = field(default_factory=Evidence)
    _broken: RagevalError | None = None

    def breaks(self, error: RagevalError) -> None:
        """End every request that has not been sent: none can succeed any more, such as with a refused key."""
        self._broken = error
        self.budget.look_again()

    def raise_if_broken(self) -> None:
        """Raise why no request can succeed any more, if so it is."""
        if self._broken:
            raise self._broken


class Backoff(wait_base):
    """Jittered exponential backoff; a refusal's wait is the budget's business, so it only gets the jitter."""

    def __init__(self, first_s: float, most_s: float = 20.0) -> None:
        self._first_s = first_s
        self._most_s = most_s

    def __call__(self, retry_state: RetryCallState) -> float:
        """Return the seconds to wait before the next attempt."""
        error = retry_state.outcome.exception() if retry_state.outcome else None
        if isinstance(error, RateLimitedError):
            return random.uniform(0, 0.05)  # noqa: S311 - jitter, not a secret
        doublings = min(retry_state.attempt_number - 1, 30)  # refusals count too: there may be thousands
        longest = min(self._most_s, self._first_s * 2.0**doublings)
        return random.uniform(longest / 2, longest)  # noqa: S311 - jitter, not a secret


@dataclass(kw_only=True)
class Call:
    """One request on its way through its attempts."""

    request: ChatRequest
    model: ModelConfig
    traffic: Traffic
    counts: ModelCounts
    attempts: int = 0
    faults: int = 0
    format_refused: bool = False
    format_broke: bool = False
    """Whether the server failed (500) where it was asked for structured output, which may have been an accident."""
    last_error: str = "it waited for the limits"
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    paid: ChatReply | None = None
    """A reply that came but could not be used: its tokens were spent all the same."""
    spent_usd: float | None = None
    """What the replies of its attempts have cost, as far as that is known."""
    cost_unknown: bool = False
    """Whether any of them did not say what it took."""
    deadline: asyncio.Timeout = field(default_factory=lambda: asyncio.timeout(None))

    def is_exhausted(self, _: RetryCallState) -> bool:
        """Return whether there were as many faults as attempts are allowed; refusals are no faults."""
        return self.faults >= self.model.max_attempts

    def failed(self, error: str) -> ChatReply:
        """Return the reply that stands for a request which has failed for good."""
        paid = self.paid
        return ChatReply(
            text=None,
            error=error,
            attempts=self.attempts,
            thinking=paid.thinking if paid else None,
            finish_reason=paid.finish_reason if paid else None,
            usage=paid.usage if paid else Usage(),
            cost_usd=paid.cost_usd if paid else None,
            started_at=self.started_at,
        )

    async def attempt(self) -> ChatReply:
        """Wait for the budget and send the request once.

        Raises:
            TransientError, RateLimitedError: If it is worth another attempt.
            RequestFailedError: If it is not.
            CredentialsError, RunStoppedError: If no request of this traffic can succeed any more.
        """
        budget, model = self.traffic.budget, self.model
        characters = sum(len(message["content"]) for message in self.request.messages)
        reserved = budget.estimate(characters, model.max_completion_tokens)
        async with budget.admit(reserved, self.traffic.raise_if_broken, on_turn=self._stop_clock()) as ticket:
            if self.attempts == 0:
                self.started_at = datetime.now(UTC)
            else:
                self.counts.retries += 1
            self.counts.in_flight += 1
            self.counts.allowed = budget.allowed
            try:
                reply, headers = await self._send_hedged(reserved)
            except (TransientError, RateLimitedError) as error:
                self.last_error = str(error)
                self._learn_from(error, ticket)
                raise
            except (CredentialsError, RunStoppedError) as error:
                self.traffic.breaks(error)
                raise
            finally:
                self.counts.in_flight -= 1
            self._learn_usage(reply.usage, characters, reserved)
            budget.succeeded(headers, ticket)
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

    def _learn_from(self, error: TransientError | RateLimitedError, ticket: Ticket) -> None:
        if isinstance(error, RateLimitedError):
            wait_s = retry_after_s(error.headers, error.body, datetime.now(UTC))
            if wait_s is not None and wait_s > self.model.deadline_s:
                stopped = RunStoppedError(
                    f"{self.traffic.endpoint.url} asks to wait {wait_s:.0f} s before the model {self.model.name!r} is "
                    f"asked again, longer than its deadline_s of {self.model.deadline_s:g}; start again after that"
                )
                self.traffic.breaks(stopped)
                raise stopped
            self.traffic.budget.refused(error.headers, ticket, retry_after=wait_s)
        elif isinstance(error, FormatRefusedError):
            self.format_refused = True
        else:
            self.faults += 1
            self.traffic.budget.failed(ticket)

    async def _send_hedged(self, reserved: float) -> tuple[ChatReply, Mapping[str, str]]:
        """Send the request, and once more if its reply is far later than usual; the first good reply counts."""
        late_after_s = self.traffic.hedging.late_after_s() if self.model.hedge and not self.request.on_piece else None
        if late_after_s is None:
            return await self._send()
        first = asyncio.create_task(self._send())
        racing = {first}
        try:
            await asyncio.wait(racing, timeout=late_after_s)
            if not first.done():
                self.traffic.hedging.sent += 1
                racing.add(asyncio.create_task(self._send_again(reserved)))
            return await first_good(racing)
        finally:
            for task in racing:
                if not task.cancel() and not task.cancelled():
                    task.exception()  # seen: asyncio would warn of the loser's error

    async def _send_again(self, reserved: float) -> tuple[ChatReply, Mapping[str, str]]:
        async with self.traffic.budget.admit(reserved, self.traffic.raise_if_broken):
            return await self._send()

    async def _send(self) -> tuple[ChatReply, Mapping[str, str]]:
        import openai  # noqa: PLC0415 - slow to import, and the endpoint has

        endpoint, wanted = self.traffic.endpoint, self.request.response_format
        formatted = wanted is not None and endpoint.structured is not False and not self.format_refused
        body = sent_parameters(self.model)
        if formatted:
            body["response_format"] = wanted
        try:
            with model_call(self.model, endpoint.url, self.attempts + 1) as span:
                completion, reply, headers = await self._post(body)
                note_reply(span, reply.usage, reply.finish_reason)
        except BrokenStreamError as error:
            raise TransientError(f"the reply broke off: {error}") from None
        except (openai.OpenAIError, TimeoutError) as error:
            status = error.status_code if isinstance(error, openai.APIStatusError) else None
            meaning = translate(error, self.model, endpoint.url, endpoint.redact)
            raise self._blamed(meaning, status, formatted=formatted) from None  # the cause may repeat the key
        problem = unusable(completion, self.model, endpoint.url, endpoint.redact)
        if problem:
            self.counts.requests_failed += 1
            self.paid = reply
            raise self._blamed(problem, completion.fault_status, formatted=formatted)
        if wanted is not None:
            endpoint.learn_format(formatted, broke=self.format_broke)
        self.counts.replied(reply)
        return reply, headers

    async def _post(self, body: Mapping[str, Any]) -> tuple[Completion, ChatReply, Mapping[str, str]]:
        started = time.monotonic()
        self.attempts += 1
        self.traffic.hedging.requests += 1
        async with self.traffic.spending.request():
            with self.counts.request():
                async with asyncio.timeout(self.model.timeout_s):
                    completion, headers = await self._complete(
                        {"model": self.model.served_name, "messages": list(self.request.messages), **body}
                    )
            price_usd = completion.cost_usd
            if price_usd is None:
                price_usd = cost_usd(self.model, completion.usage)
            # A reply without choices and usage is an error in disguise, which nobody is billed for.
            if price_usd is not None or completion.finish_reason is not None or completion.text:
                self.traffic.spending.add(price_usd, model=self.model.name)
                self.cost_unknown |= price_usd is None
                self.spent_usd = (price_usd or 0.0) + (self.spent_usd or 0.0)
        latency_s = time.monotonic() - started
        self.traffic.hedging.latencies_s.append(latency_s)
        reply = ChatReply(
            text=completion.text,
            error=None,
            attempts=self.attempts,
            thinking=completion.thinking,
            finish_reason=completion.finish_reason,
            usage=completion.usage,
            cost_usd=None if self.cost_unknown else self.spent_usd,
            latency_s=latency_s,
            started_at=self.started_at,
            contexts=completion.contexts,
            citations=completion.citations,
            first_token_s=completion.first_token_s,
        )
        return completion, reply, headers

    async def _complete(self, body: Mapping[str, Any]) -> tuple[Completion, Mapping[str, str]]:
        if self.traffic.transport:
            return await self.traffic.transport.send(self.request)
        endpoint, on_piece = self.traffic.endpoint, self.request.on_piece
        if on_piece:
            if self.attempts > 1:
                on_piece(None)
            return await stream_completion(endpoint.chat, body, on_piece)
        response = await endpoint.post.send(body)
        return decode_completion(response.content, response.headers.get("content-type", "")), response.headers

    def _blamed(self, problem: Exception, status: int | None, *, formatted: bool) -> Exception:
        """Return the problem, or that it may be the format's fault, so that one more attempt is made without it.

        Not only while nothing is known of the server: another reply may have shown meanwhile that formats are refused.
        """
        if not formatted or self.traffic.endpoint.structured or status not in FORMAT_STATUS:
            return problem
        self.format_broke = status == 500
        return FormatRefusedError(str(problem))
