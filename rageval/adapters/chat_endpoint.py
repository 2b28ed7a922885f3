"""A model's configuration -> its endpoint, its key, and the parameters that its requests carry."""

import os
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import openai

from rageval.config import ModelConfig
from rageval.errors import CredentialsError

OPENAI_URL = "https://api.openai.com/v1"
NO_KEY = "none"
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_AZURE = (".azure.com", ".azure.us", ".azure.cn")
"""Hosts that take a key in a header of their own."""
_CONNECT_TIMEOUT_S = 10.0
_KEEP_ALIVE_S = 30.0
_BREAKS_BELIEVED = 3
_SHORTEST_KEY = 8


@dataclass(kw_only=True)
class Endpoint:
    """An address and a key, and the one client that uses them."""

    client: openai.AsyncOpenAI
    key: str
    url: str
    structured: bool | None = None
    """Whether the server knows `response_format`; None until a reply has shown it."""
    format_breaks: int = 0
    """Requests that failed on the server (500) with a format, and got a reply without."""

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
        """Return the text without the key, which a server may have repeated in an error."""
        return without_key(text, self.key)


def without_key(text: str, key: str) -> str:
    """Return the text with a placeholder for the key; what is short stands in for a key and is part of any word."""
    return text if len(key) < _SHORTEST_KEY else text.replace(key, "[key]")


def connect(url: str, key: str) -> Endpoint:
    """Return a client that never retries and has no timeout but for connecting: both are the engine's business."""
    timeout = openai.Timeout(None, connect=_CONNECT_TIMEOUT_S)
    limits = type(openai.DEFAULT_CONNECTION_LIMITS)(keepalive_expiry=_KEEP_ALIVE_S)
    http_client = openai.DefaultAioHttpClient(timeout=timeout, limits=limits)
    client = openai.AsyncOpenAI(max_retries=0, timeout=timeout, http_client=http_client, **address_of(url, key))
    return Endpoint(client=client, key=key, url=url)


def address_of(url: str, key: str) -> dict[str, Any]:
    """Return the arguments of an SDK client for an address and a key; a query stays at the end of every address."""
    parts = urlsplit(url)
    azure = bool(parts.hostname and parts.hostname.endswith(_AZURE))
    return {
        "base_url": urlunsplit(parts._replace(query="", fragment="")),
        "api_key": key,
        "default_query": dict(parse_qsl(parts.query, keep_blank_values=True)),
        "default_headers": {"api-key": key} if azure else {},
    }


def request_parameters(model: ModelConfig) -> dict[str, Any]:
    """Return the parameters of a request that the configuration sets, and no others."""
    # As JSON has them: YAML also knows dates, and numbers for keys.
    parameters: dict[str, Any] = model.model_dump(mode="json", include={"extra_body"})["extra_body"]
    if model.temperature is not None:
        parameters["temperature"] = model.temperature
    if model.max_completion_tokens is not None:
        parameters["max_completion_tokens"] = model.max_completion_tokens
    if model.service_tier:
        parameters["service_tier"] = model.service_tier
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
