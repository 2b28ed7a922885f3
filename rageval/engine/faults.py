"""What went wrong with a request -> what it means: try again, a row with a reason, or the end of the run."""

import re
import ssl
from collections.abc import Mapping
from typing import Final

from rageval.config.models import ModelConfig
from rageval.engine.refusals import refuses_key, refuses_model, wants_header
from rageval.engine.replies import Completion
from rageval.errors import (
    ConfigError,
    CredentialsError,
    RagevalError,
    RequestFailedError,
    RunStoppedError,
    ServiceError,
)
from rageval.safety.server_message import Redact, ServerMessage, quoted, read_message
from rageval.safety.urls import shown

NOT_A_COMPLETION: Final = "the reply is not the JSON of a chat completion"
_TRANSIENT_STATUS: Final = frozenset({408, 409, 425})
FORMAT_STATUS: Final = frozenset({400, 404, 405, 415, 422, 500, 501})
"""What servers answer to a `response_format` that they do not know; 500 and 501 where it breaks them."""

_SPENT_CODES: Final = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_credits",
     "insufficient_balance", "exceeded_current_quota_error", "budget_exceeded"}
)  # fmt: skip
# In providers' own messages; they name no code, or every one another.
_SPENT = re.compile(
    r"insufficient[ _](?:quota|balance|credits?|funds)|balance is (?:too low|insufficient)|out of credits?\b"
    r"|no (?:more )?credits? (?:left|remaining)"
    r"|(?:hard|spend(?:ing)?|budget) limit (?:has been |was |is )?(?:reached|exceeded)"
    r"|budget has been exceeded|exceeded your current quota|(?:per|/|a) ?month\b|monthly (?:limit|quota)"
    r"|\u4f59\u989d\u4e0d\u8db3|\u6b20\u8d39",
    re.IGNORECASE,
)
_DAY = re.compile(r"per[ _-]?day|/ ?day\b|\ba day\b|\bdaily\b|\b[RT]PD\b", re.IGNORECASE)
_MINUTE = re.compile(r"per[ _-]?min|/ ?min|\b[RT]PM\b", re.IGNORECASE)
_ABOUT_CONTENT = re.compile(
    r"content[ _]?(?:management|filter|policy|moderation|safety)|moderat(?:ion|ed)|flagged|blocked by|inspection"
    r"|usage policies|inappropriate|safety",
    re.IGNORECASE,
)


class TransientError(Exception):
    """A fault that the next attempt may not meet."""


class FormatRefusedError(TransientError):
    """The server refused a request that asked for structured output: worth one more attempt without it."""


class RateLimitedError(Exception):
    """The server refused the request because of a limit (429).

    Args:
        message: What the server says.
        headers: Those of its reply.
        body: Its body, which may name a time to wait.
    """

    def __init__(self, message: str, headers: Mapping[str, str], body: str = "") -> None:
        super().__init__(message)
        self.headers = headers
        self.body = body


class RefusedRequestError(RequestFailedError):
    """The server refused the request as it is: a row, and a reason to stop where every request gets the same."""


class RefusedUnlessProvenError(RefusedRequestError):
    """The server refused the request, or the key or model of all requests: which of them, only others' replies tell.

    Args:
        message: Why this one request failed.
        ends: What ends the run if no request with that key and model gets a reply.
    """

    def __init__(self, message: str, ends: RagevalError) -> None:
        super().__init__(message)
        self.ends = ends


def translate(error: Exception, model: ModelConfig, url: str, redact: Redact) -> Exception:
    """Return what an error of the SDK means for the request or for the run.

    Args:
        error: What the SDK raised.
        model: Whom the request was for.
        url: Its endpoint.
        redact: Removes the key from the server's message, which may repeat it.
    """
    import openai  # noqa: PLC0415 - slow to import, and whoever has such an error has imported it

    match error:
        case TimeoutError():
            return TransientError(f"no reply within {model.timeout_s:g} s")
        case openai.APIStatusError():
            said = read_message(error.response.content)
            return from_status(error.status_code, said, error.response.headers, model, url, redact)
        case openai.APIConnectionError() if isinstance(cause := _first_cause(error), RagevalError):
            return cause  # of a key that was to be read anew
        case openai.APIConnectionError():
            # Attempts are timed by the engine, so what the SDK takes for a timeout is a connection that failed too.
            return TransientError(f"connection failed: {type(_first_cause(error)).__name__}")
        case openai.APIResponseValidationError():
            return TransientError(NOT_A_COMPLETION)
        case _:
            return TransientError(f"{type(error).__name__}")


def unreachable(error: Exception, model: ModelConfig, url: str) -> RagevalError:
    """Return what ends a run before anything is sent, because its endpoint did not answer."""
    cause = _first_cause(error)
    if isinstance(cause, RagevalError):
        return cause
    if isinstance(cause, ssl.SSLError):
        return ServiceError(
            f"no connection to {url} of the model {model.name!r} can be secured ({cause.reason or 'refused'}); name "
            "its authority in tls.ca_file and, where it wants one, a certificate in tls.client_certificate"
        )
    return ServiceError(
        f"the endpoint {url} of the model {model.name!r} cannot be reached; check that it runs, or name another one "
        "with --base-url"
    )


def _first_cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def unusable(completion: Completion, model: ModelConfig, url: str, redact: Redact) -> Exception | None:
    """Return why a reply cannot be used, or None if it can."""
    said, finish_reason = completion.fault, completion.finish_reason
    if completion.unusable is not None:
        return RefusedRequestError(quoted(completion.unusable, redact))
    if said is not None:
        if completion.fault_status:
            return from_status(completion.fault_status, said, {}, model, url, redact)
        text = quoted(said.text, redact)
        return TransientError(text if finish_reason == "error" else f"{NOT_A_COMPLETION}{text and f': {text}'}")
    if finish_reason == "content_filter":
        return RequestFailedError("the provider's content filter withheld the reply (finish_reason content_filter)")
    if completion.text and completion.text.strip():
        return None
    if completion.text is None and completion.contexts is not None:
        return None  # a system that retrieves only
    if completion.refusal:
        return RequestFailedError(f"the model refused to reply: {quoted(completion.refusal, redact)}")
    if not completion.has_choices:
        return TransientError("the reply holds no choices")
    if finish_reason == "length":
        return RequestFailedError(
            "the reply is empty and was cut for its length: raise max_completion_tokens (reasoning tokens count too)"
        )
    what = "holds nothing but thinking" if completion.thinking else "is empty"
    return RequestFailedError(f"the reply {what} (finish_reason {finish_reason or 'not given'})")


def from_status(
    status: int, said: ServerMessage, headers: Mapping[str, str], model: ModelConfig, url: str, redact: Redact
) -> Exception:
    """Return what an HTTP status and the server's message mean for the request or for the run.

    The status may also stand in the error of a reply of status 200, as some gateways hand it on.
    """
    text = quoted(said.text, redact)
    row = f"HTTP {status}: {text or 'the server does not say why'}"
    quote = f': "{text}"' if text else ""
    if status == 401:
        return _refused_key(model, url, f"HTTP 401{quote}")
    spent = _stopped(model, f"the credit at {url} is spent ({row}); add credit")
    if _is_spent(status, said) or (status == 402 and not text):
        return spent
    if status == 402:
        return RefusedUnlessProvenError(row, spent)
    if status == 403:
        return RefusedUnlessProvenError(row, _refused_key(model, url, f"HTTP 403{quote}"))
    if status == 404:
        return RefusedUnlessProvenError(row, _unknown_model(model, url, f"HTTP 404{quote}"))
    if status == 429:
        # The limit a day is told from the one a minute by the provider's words alone.
        if _DAY.search(said.body) and not _MINUTE.search(said.body):
            return _stopped(model, f"the limit of requests a day at {url} is reached ({row}); wait until it resets")
        return RateLimitedError(row, headers, said.body)
    if status in _TRANSIENT_STATUS or status >= 500:
        return TransientError(row)
    if _ABOUT_CONTENT.search(said.text) or any(_ABOUT_CONTENT.search(code) for code in said.codes):
        return RequestFailedError(row)  # of this prompt: others may all be filtered too, and still be worth asking
    ends = _refused_by_gateway(said, model, url, f"HTTP {status}{quote}")
    return RefusedUnlessProvenError(row, ends) if ends else RefusedRequestError(row)


def _refused_by_gateway(said: ServerMessage, model: ModelConfig, url: str, why: str) -> RagevalError | None:
    """Return what a server has refused of all requests, as far as it says so; None where it is this one's parameters.

    Its words may repeat the prompt, so they count only while no request has got a reply.
    """
    if refuses_key(said):
        return _refused_key(model, url, why)
    if refuses_model(said):
        return _unknown_model(model, url, why)
    if wants_header(said):
        return ConfigError(
            f"the endpoint {url} wants another header for the model {model.name!r} ({why}); set it in `headers`"
        )
    return None


def _is_spent(status: int, said: ServerMessage) -> bool:
    if said.codes & _SPENT_CODES:
        return True
    if status in (402, 403):
        return _SPENT.search(said.text) is not None
    if status == 429:  # a limit a minute is called a quota, too
        return _SPENT.search(said.text) is not None and not _MINUTE.search(said.body) and not _DAY.search(said.body)
    # A 400 may repeat the prompt, which may speak of anything: only how such a message begins is looked at.
    return (
        status == 400
        and re.match(r"your credit balance|budget has been exceeded", said.text, re.IGNORECASE) is not None
    )


def _refused_key(model: ModelConfig, url: str, why: str) -> CredentialsError:
    place = f"in {model.api_key_env}"
    if model.key_file:
        place = f"in the file {shown(model.key_file)}"
    elif model.key_command:
        place = f"of the command {model.key_command[0]}"
    return CredentialsError(
        f"the endpoint {url} refused the key {place} for the model {model.name!r} ({why}); put a valid key there"
    )


def _unknown_model(model: ModelConfig, url: str, why: str) -> ConfigError:
    return ConfigError(
        f"the endpoint {url} does not know the model {model.served_name!r} ({why}); "
        "check the model's name and the endpoint"
    )


def _stopped(model: ModelConfig, why: str) -> RagevalError:
    return RunStoppedError(f"the model {model.name!r} cannot be asked any more: {why}")
