"""A model's configuration -> its endpoint, its key, and the parameters that its requests carry."""

import base64
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit, urlunsplit

import httpx2

from rageval.config.models import ModelConfig
from rageval.config.tls import TlsConfig
from rageval.engine.chat_post import ChatPost
from rageval.engine.headers import hidden_in_headers, sent_headers
from rageval.engine.keys import AUTHORIZATION, NO_KEY, ApiKey, checked_key, read_key
from rageval.engine.parameters import request_parameters
from rageval.engine.tls import tls_context
from rageval.errors import ConfigError, CredentialsError
from rageval.safety.allowances import OPENAI_URL, allowances, check_endpoint, check_key_header, check_variable
from rageval.safety.urls import secret_values, shown
from rageval.safety.variables import filled_in, filled_in_values

if TYPE_CHECKING:
    import openai

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_AZURE = (".azure.com", ".azure.us", ".azure.cn")
"""Hosts that take a key in a header of their own."""
_HTTP = re.compile(r"https?://[^/?#\s]")
_CONNECT_TIMEOUT_S = 10.0
_KEEP_ALIVE_S = 30.0
_BREAKS_BELIEVED = 3
_SHORTEST_KEY = 8


@dataclass(frozen=True, kw_only=True)
class Account:
    """An address, and who asks there: models of the same one share connections, and each its limits."""

    address: str = field(repr=False)
    """What requests are sent to."""
    key: str = field(repr=False)
    """Empty where it is read elsewhere, or none is sent."""
    key_file: str
    key_command: tuple[str, ...]
    key_header: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    """Names and texts, with what is filled in."""
    tls: TlsConfig


@dataclass(kw_only=True)
class Endpoint:
    """An account, and the one client that uses it."""

    client: "openai.AsyncOpenAI | None"
    """None where something else than a model is asked, see `rageval.engine.requests.Transport`."""
    account: Account
    key: ApiKey
    url: str
    """For messages: without user, password and query, and as it is configured where a variable is filled in."""
    posting: ChatPost | None = None
    """None as `client`."""
    hidden: set[str] = field(default_factory=set, repr=False)
    """Everything else that was filled in."""
    redacted: Callable[[str], str] = field(default=str, repr=False)
    """Removes whatever else must not be shown."""
    structured: bool | None = None
    """Whether the server knows `response_format`; None until a reply has shown it."""
    format_breaks: int = 0
    """Requests that failed on the server (500) with a format, and got a reply without."""

    @property
    def chat(self) -> "openai.AsyncOpenAI":
        """The client of a model."""
        if self.client is None:
            raise TypeError(f"{self.url} serves no models")
        return self.client

    @property
    def post(self) -> ChatPost:
        """What sends chat completions to a model."""
        if self.posting is None:
            raise TypeError(f"{self.url} serves no models")
        return self.posting

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
        return self.redacted(without_keys(text, self.key.known, self.hidden))


def without_keys(text: str, keys: Iterable[str], hidden: Iterable[str] = ()) -> str:
    """Return the text with a placeholder for the keys and for everything else that must not be shown.

    What is short only stands in for a key, and is part of any word.
    """
    for key in keys:
        text = text if len(key) < _SHORTEST_KEY else text.replace(key, "[key]")
    for value in sorted(hidden, key=len, reverse=True):
        text = text.replace(value, "[key]")
    return text


def connect(account: Account) -> Endpoint:
    """Return a client that never retries and has no timeout but for connecting: both are the engine's business.

    Raises:
        ConfigError: If a file of certificates cannot be used.
    """
    import openai  # noqa: PLC0415 - slow to import, and known to be needed only here

    timeout = openai.Timeout(None, connect=_CONNECT_TIMEOUT_S)
    limits = type(openai.DEFAULT_CONNECTION_LIMITS)(keepalive_expiry=_KEEP_ALIVE_S)
    key, look = key_of(account), looking_out(account)

    async def look_out(request: httpx2.Request) -> None:
        look(request)

    http_client = openai.DefaultAioHttpClient(
        **http_settings(account), auth=key, timeout=timeout, limits=limits, event_hooks={"request": [look_out]}
    )
    client = openai.AsyncOpenAI(**client_settings(account), max_retries=0, timeout=timeout, http_client=http_client)
    posting = ChatPost(client, http_client)
    return Endpoint(client=client, posting=posting, account=account, key=key, url=shown(account.address))


def client_settings(account: Account) -> dict[str, Any]:
    """Return what a client takes for an account but for its key; a query stays at the end of every address."""
    _, parts = _split(account.address)
    return {
        "base_url": urlunsplit(parts._replace(query="", fragment="")),
        "api_key": NO_KEY,  # see `ApiKey`
        "default_query": dict(parse_qsl(parts.query, keep_blank_values=True)),
        "default_headers": _own_headers(account),
    }


def http_settings(account: Account) -> dict[str, Any]:
    """Return what the connections of a client are made with.

    Raises:
        ConfigError: If a file of certificates cannot be used.
    """
    # Where a server sends a run of Prefect's API on to, nobody has named.
    return {"verify": tls_context(account.tls) or True, "follow_redirects": allowances() is None}


def key_of(account: Account) -> ApiKey:
    """Return what puts the account's key into requests; a header of that name that is configured stays as it is."""
    own = {name.lower() for name in _own_headers(account)}
    names: tuple[str, ...] = (_spelt(account.key_header or AUTHORIZATION),)
    host = urlsplit(account.address).hostname
    if not account.key_header and host and host.endswith(_AZURE):
        names = (AUTHORIZATION, "api-key")
    kept = [name for name in names if name.lower() not in own]
    is_read = bool(account.key_file or account.key_command)
    read = partial(read_key, account.key_file, account.key_command) if is_read else None
    return ApiKey(account.key, kept if is_read or account.key else (), read)


def looking_out(account: Account) -> Callable[[httpx2.Request], None]:
    """Return what takes all headers of the account off a request that a redirect leads to another server.

    The client itself does so with `Authorization` alone.
    """
    home = _origin(httpx2.URL(client_settings(account)["base_url"]))
    names = {AUTHORIZATION, "api-key", account.key_header or AUTHORIZATION, *(name for name, _ in account.headers)}

    def look(request: httpx2.Request) -> None:
        if _origin(request.url) != home:
            for name in names:
                request.headers.pop(name, None)

    return look


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _own_headers(account: Account) -> dict[str, str]:
    """Return the configured headers; a login of the URL is one, and is sent in the place of a key."""
    login, _ = _split(account.address)
    basic = {AUTHORIZATION: f"Basic {base64.b64encode(unquote(login).encode()).decode()}"} if login else {}
    return basic | {_spelt(name): text for name, text in account.headers}


def _spelt(name: str) -> str:
    """Return the name of a header as the SDK knows it."""
    return AUTHORIZATION if name.lower() == AUTHORIZATION.lower() else name


def _split(address: str) -> tuple[str, SplitResult]:
    """Return the login of an address, and its parts without."""
    scheme, _, rest = address.partition("://")
    place, slash, path = rest.partition("/")
    login, _, host = place.rpartition("@")
    return login, urlsplit(f"{scheme}://{host}{slash}{path}")


def hidden_values(model: ModelConfig) -> set[str]:
    """Return what must not be shown of all that requests to the model carry, beside its key.

    Raises:
        ConfigError: If a variable is not set.
    """
    values = filled_in_values(model.base_url) | filled_in_values(request_parameters(model))
    values |= hidden_in_headers(model.headers)
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
        _, parts = _split(address)
        check_endpoint(urlunsplit(parts._replace(query="", fragment="")).rstrip("/"), endpoint_url(model))
    return address.rstrip("/")


def endpoint_url(model: ModelConfig) -> str:
    """Return the endpoint of the model as it may be stored and shown."""
    return shown(_configured(model)).rstrip("/")


def _configured(model: ModelConfig) -> str:
    return model.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL


def account_of(model: ModelConfig) -> Account:
    """Return the address of the model, and who asks there.

    Raises:
        CredentialsError: If there is no key, or what cannot be sent.
        ConfigError: If a variable is not set, the address is none, or the run may not use one of them.
    """
    check_key_header(model.key_header)
    return Account(
        address=endpoint_address(model),
        key="" if model.key_file or model.key_command else _key_in_variable(model),
        key_file=model.key_file,
        key_command=model.key_command,
        key_header=model.key_header,
        headers=tuple(sent_headers(model.headers).items()),
        tls=model.tls,
    )


def _key_in_variable(model: ModelConfig) -> str:
    """Return the key; a server on this machine needs none, nor does one with a login, or a header that says who asks.

    Raises:
        CredentialsError: If the variable is not set, or holds what cannot be sent.
        ConfigError: If the run may not read it.
    """
    check_variable(model.api_key_env)
    key = os.environ.get(model.api_key_env, "").strip()
    if key and not model.is_local:
        return checked_key(key, f"in {model.api_key_env}")
    address = urlsplit(endpoint_address(model))
    if model.is_local or address.hostname in _LOOPBACK or address.username:
        return NO_KEY
    if any(header.is_credential for header in model.headers):
        return ""
    raise CredentialsError(
        f"the model {model.name!r} needs a key for {endpoint_url(model)}, but the environment variable "
        f"{model.api_key_env} is not set; set it, name another one with --api-key-env, or use --model local"
    )
