"""A model's configuration -> its endpoint, its key, and the parameters that its requests carry."""

import base64
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

import openai

from rageval.config.models import ModelConfig
from rageval.errors import ConfigError, CredentialsError
from rageval.safety.allowances import OPENAI_URL, allowances, check_endpoint, check_variable
from rageval.safety.urls import secret_values, shown
from rageval.safety.variables import filled_in, filled_in_everywhere, filled_in_values

NO_KEY = "none"
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_AZURE = (".azure.com", ".azure.us", ".azure.cn")
"""Hosts that take a key in a header of their own."""
_HTTP = re.compile(r"https?://[^/?#\s]")
_CONNECT_TIMEOUT_S = 10.0
_KEEP_ALIVE_S = 30.0
_BREAKS_BELIEVED = 3
_SHORTEST_KEY = 8


@dataclass(kw_only=True)
class Endpoint:
    """An address and a key, and the one client that uses them."""

    client: openai.AsyncOpenAI | None
    """None where something else than a model is asked, see `rageval.engine.requests.Transport`."""
    key: str
    url: str
    """For messages: without user, password and query, and as it is configured where a variable is filled in."""
    address: str = field(repr=False)
    """What requests are sent to."""
    hidden: set[str] = field(default_factory=set, repr=False)
    """Everything else that was filled in."""
    redacted: Callable[[str], str] = field(default=str, repr=False)
    """Removes whatever else must not be shown."""
    structured: bool | None = None
    """Whether the server knows `response_format`; None until a reply has shown it."""
    format_breaks: int = 0
    """Requests that failed on the server (500) with a format, and got a reply without."""

    @property
    def chat(self) -> openai.AsyncOpenAI:
        """The client of a model."""
        if self.client is None:
            raise TypeError(f"{self.url} serves no models")
        return self.client

    def learn_format(self, formatted: bool, *, broke: bool) -> None:
        """Learn from a good reply to a request that wants a format: it was sent with it, or had to do without.

        Args:
            formatted: Whether it was sent with it.
            broke: Whether it had failed on the server with it. That may be an accident, so it takes a few.
        """
        if self.structured is not None:
            return
        if formatted or not broke:
            self.structured = formatted
        else:
            self.format_breaks += 1
            if self.format_breaks >= _BREAKS_BELIEVED:
                self.structured = False

    def redact(self, text: str) -> str:
        """Return the text without key and whatever was filled in, which a server may have repeated in an error."""
        return self.redacted(without_keys(text, self.key, self.hidden))


def without_keys(text: str, key: str, hidden: Iterable[str] = ()) -> str:
    """Return the text with a placeholder for the key and for everything else that must not be shown.

    What is short only stands in for a key, and is part of any word.
    """
    text = text if len(key) < _SHORTEST_KEY else text.replace(key, "[key]")
    for value in sorted(hidden, key=len, reverse=True):
        text = text.replace(value, "[key]")
    return text


def connect(address: str, key: str) -> Endpoint:
    """Return a client that never retries and has no timeout but for connecting: both are the engine's business."""
    timeout = openai.Timeout(None, connect=_CONNECT_TIMEOUT_S)
    limits = type(openai.DEFAULT_CONNECTION_LIMITS)(keepalive_expiry=_KEEP_ALIVE_S)
    # Where a server sends a run of Prefect's API on to, nobody has named.
    http_client = openai.DefaultAioHttpClient(timeout=timeout, limits=limits, follow_redirects=allowances() is None)
    client = openai.AsyncOpenAI(
        **client_settings(address, key), max_retries=0, timeout=timeout, http_client=http_client
    )
    return Endpoint(client=client, key=key, url=shown(address), address=address)


def client_settings(address: str, key: str) -> dict[str, Any]:
    """Return what a client takes for an endpoint and a key.

    A query stays at the end of every address. A login of the URL is sent in the place of a key.
    """
    scheme, _, rest = address.partition("://")
    place, slash, path = rest.partition("/")
    login, _, host = place.rpartition("@")
    parts = urlsplit(f"{scheme}://{host}{slash}{path}")
    headers = {}
    if login:
        headers["Authorization"] = f"Basic {base64.b64encode(unquote(login).encode()).decode()}"
    if parts.hostname and parts.hostname.endswith(_AZURE):
        headers["api-key"] = key
    return {
        "base_url": urlunsplit(parts._replace(query="", fragment="")),
        "api_key": key,
        "default_query": dict(parse_qsl(parts.query, keep_blank_values=True)),
        "default_headers": headers,
    }


def request_parameters(model: ModelConfig) -> dict[str, Any]:
    """Return the parameters of a request that the configuration sets, and no others, by which it is known again."""
    parameters = model.body
    if model.temperature is not None:
        parameters["temperature"] = model.temperature
    if model.max_completion_tokens is not None:
        parameters["max_completion_tokens"] = model.max_completion_tokens
    if model.service_tier:
        parameters["service_tier"] = model.service_tier
    return parameters


def sent_parameters(model: ModelConfig) -> dict[str, Any]:
    """Return the parameters as they are sent: with the values of variables, which are neither stored nor shown.

    Raises:
        ConfigError: If a variable is not set.
    """
    sent: dict[str, Any] = filled_in_everywhere(request_parameters(model))
    return sent


def hidden_values(model: ModelConfig) -> set[str]:
    """Return what must not be shown of all that requests to the model carry, beside its key.

    Raises:
        ConfigError: If a variable is not set.
    """
    values = filled_in_values(model.base_url) | filled_in_values(request_parameters(model))
    return values if model.base_url else values | secret_values(os.environ.get("OPENAI_BASE_URL", ""))


def endpoint_address(model: ModelConfig) -> str:
    """Return the endpoint that serves the model; it may hold a key, see `endpoint_url`.

    Raises:
        ConfigError: If a variable is not set, its value makes no address, or the run may not ask there.
    """
    address = filled_in(_configured(model))
    if model.base_url != address and not _HTTP.match(address):
        raise ConfigError(
            f"the endpoint {endpoint_url(model)} of the model {model.name!r} is no address with what is filled in; "
            "expected one such as https://host/v1"
        )
    if allowances():
        # As it is connected to: what one reader of an address takes for its path, another one may take for a login.
        check_endpoint(client_settings(address, NO_KEY)["base_url"].rstrip("/"), endpoint_url(model))
    return address.rstrip("/")


def endpoint_url(model: ModelConfig) -> str:
    """Return the endpoint of the model as it may be stored and shown."""
    return shown(_configured(model)).rstrip("/")


def _configured(model: ModelConfig) -> str:
    return model.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL


def api_key(model: ModelConfig) -> str:
    """Return the key of the model's endpoint; a server on this machine needs none, nor does one with a login.

    Raises:
        CredentialsError: If the variable is not set, or holds what cannot be sent.
        ConfigError: If the run may not read it.
    """
    check_variable(model.api_key_env)
    key = os.environ.get(model.api_key_env, "").strip()
    if key and not model.is_local:
        if not key.isascii() or not key.isprintable():
            raise CredentialsError(
                f"the key in {model.api_key_env} holds characters that no key can hold; copy it again without them"
            )
        return key
    address = urlsplit(endpoint_address(model))
    if model.is_local or address.hostname in _LOOPBACK or address.username:
        return NO_KEY
    raise CredentialsError(
        f"the model {model.name!r} needs a key for {endpoint_url(model)}, but the environment variable "
        f"{model.api_key_env} is not set; set it, name another one with --api-key-env, or use --model local"
    )
