"""What went wrong with a request -> what it means: try again, a row with a reason, or the end of the run."""

from collections.abc import Callable, Mapping

import openai

from rageval.config import ModelConfig
from rageval.errors import ConfigError, CredentialsError, RagevalError, RequestFailedError, RunStoppedError

_SPENT_CODES = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_credits"}
_TRANSIENT_STATUS = {408, 409, 425}
_MESSAGE_LIMIT = 500
NOT_A_COMPLETION = "the reply is not the JSON of a chat completion"
Redact = Callable[[str], str]


class TransientError(Exception):
    """A fault that the next attempt may not meet."""


class FormatRefusedError(TransientError):
    """The server refused a request that asked for structured output: worth one more attempt without it."""


class RateLimitedError(Exception):
    """The server refused the request because of a limit (429)."""

    def __init__(self, message: str, headers: Mapping[str, str]) -> None:
        super().__init__(message)
        self.headers = headers


def translate(error: Exception, model: ModelConfig, url: str, redact: Redact) -> Exception:
    """Return what an error of the SDK means for the request or for the run.

    Args:
        error: What the SDK raised.
        model: Whom the request was for.
        url: Its endpoint.
        redact: Removes the key from the server's words, which may repeat it.
    """
    match error:
        case TimeoutError():
            return TransientError(f"no reply within {model.timeout_s:g} s")
        case openai.APIStatusError():
            return _from_status(error, model, url, describe(error, redact))
        case openai.APIConnectionError():
            # Attempts are timed by the engine, so what the SDK takes for a timeout is a connection that failed too.
            return TransientError(f"connection failed: {type(_first_cause(error)).__name__}")
        case openai.APIResponseValidationError() | ValueError():
            return TransientError(NOT_A_COMPLETION)
        case _:
            return TransientError(f"{type(error).__name__}")


def _first_cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def empty_reply(text: str | None, finish_reason: str | None) -> Exception | None:
    """Return why a reply cannot be used, or None if it can."""
    if finish_reason == "content_filter":
        return RequestFailedError("the provider's content filter withheld the reply (finish_reason content_filter)")
    if text and text.strip():
        return None
    if finish_reason is None:
        return TransientError("the reply holds no choices")
    if finish_reason == "length":
        return RequestFailedError(
            "the reply is empty and was cut for its length: raise max_completion_tokens (reasoning tokens count too)"
        )
    return RequestFailedError(f"the reply is empty (finish_reason {finish_reason})")


def _from_status(error: openai.APIStatusError, model: ModelConfig, url: str, message: str) -> Exception:
    status, code = error.status_code, error.code or ""
    if status in (401, 403):
        return CredentialsError(
            f"the endpoint {url} refused the key in {model.api_key_env} for the model {model.name!r} "
            f"(HTTP {status}); put a valid key there"
        )
    if status == 404:
        return ConfigError(
            f"the endpoint {url} does not know the model {model.served_name!r} (HTTP 404); "
            "check the model's name and the endpoint"
        )
    if status == 402 or code in _SPENT_CODES:
        return _stopped(model, f"the credit at {url} is spent ({code or 'HTTP 402'}); add credit")
    if status == 429:
        # The limit a day is told from the one a minute by the provider's words alone.
        if "per day" in message.lower():
            return _stopped(model, f"the limit of requests a day at {url} is reached; wait until it resets")
        return RateLimitedError(f"HTTP 429: {message}", error.response.headers)
    if status in _TRANSIENT_STATUS or status >= 500:
        return TransientError(f"HTTP {status}: {message}")
    return RequestFailedError(f"HTTP {status}: {message}")


def _stopped(model: ModelConfig, why: str) -> RagevalError:
    return RunStoppedError(f"the model {model.name!r} cannot be asked any more: {why}")


def describe(error: openai.APIStatusError, redact: Redact) -> str:
    """Return the server's own words about an error, without the key and cut to a sane length."""
    body = error.body
    message = body.get("message") if isinstance(body, dict) else None
    return quoted(message if isinstance(message, str) else error.message, redact)


def quoted(text: str, redact: Redact) -> str:
    """Return a server's words on one line, without the key and cut to a sane length."""
    printable = text.encode("utf-8", "replace").decode()
    return redact(" ".join(printable.split()))[:_MESSAGE_LIMIT]
