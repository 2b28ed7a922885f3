"""The Prefect server of this process: the configured one, if it answers as one, else a local one."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx
import prefect
from prefect.client.base import ServerType
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.logging import get_logger
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, get_current_settings, temporary_settings

from flows.folders import check_prefect_home
from flows.local_server.current import local_server
from rageval.errors import ConfigError, CredentialsError, InputError, ServiceError
from rageval.safety.proxies import reach_this_machine_directly
from rageval.safety.urls import shown_address

_TIMEOUT = httpx.Timeout(30.0, connect=4.0)
_SHOWN = 80
_EXAMPLE = "http://127.0.0.1:4200/api"
_OTHERWISE = "unset PREFECT_API_URL: a run from the command line then starts a server of its own"
_checked: set[str] = set()
"""Addresses of servers that have answered."""
_log = get_logger("flows.server")


def begin(say: Callable[[str], None] | None = None) -> None:
    """Find or start a local server if none is configured, without waiting for it; `ready` does.

    Args:
        say: Told what is waited for; None for Prefect's log.

    Raises:
        ConfigError: If no server may be started, or a folder that it needs cannot be written.
    """
    _look_at_proxies()
    settings = get_current_settings()
    if settings.api.url:
        return
    if not settings.server.ephemeral.enabled:
        raise ConfigError(
            "PREFECT_API_URL is not set, and PREFECT_SERVER_EPHEMERAL_ENABLED forbids to start a server. Start one "
            f"with `prefect server start`, then `export PREFECT_API_URL={_EXAMPLE}`"
        )
    check_prefect_home(settings.home)
    local_server(say or _log.info)


def ready(say: Callable[[str], None] | None = None) -> None:
    """See to it that Prefect's clients find a server, before a flow is called.

    Args:
        say: Told what is waited for, if a server has to be started; None for Prefect's log.

    Raises:
        ConfigError: If no server is configured and none may be started, an address is none, or a folder that it
            needs cannot be written.
        CredentialsError: If the configured one wants other credentials.
        ServiceError: If it does not answer as a Prefect server of this major version, or one that is started ends.
    """
    begin(say)
    url = get_current_settings().api.url
    if not url:
        server = local_server(say or _log.info)
        server.ready(say or _log.info)
        _checked.add(server.api_url)
    elif url not in _checked:
        _check(url)


@contextmanager
def running_server() -> Iterator[SyncPrefectClient]:
    """Yield a client of the configured server, once it has answered.

    Raises:
        ConfigError: If no server is configured: Prefect would start one that ends with this process.
        CredentialsError: If it wants other credentials.
        ServiceError: If it does not answer as a Prefect server of this major version.
    """
    _look_at_proxies()
    url = get_current_settings().api.url
    if not url:
        raise ConfigError(
            "deployments need a Prefect server that goes on running, but PREFECT_API_URL is not set. Start one with "
            f"`prefect server start`, then `export PREFECT_API_URL={_EXAMPLE}`"
        )
    _check(url)
    with get_client(sync_client=True) as client:
        yield client


def _look_at_proxies() -> None:
    """Reach this machine directly, and refuse a proxy that no client of Prefect can be made with.

    Raises:
        ConfigError: If there is one.
    """
    reach_this_machine_directly()
    proxies = {name: address for name, address in getproxies().items() if name != "no"}
    for name, address in proxies.items():
        try:
            httpx.HTTPTransport(proxy=address if "://" in address else f"http://{address}").close()
        except (ValueError, ImportError, httpx.InvalidURL) as error:
            raise ConfigError(
                f"Prefect cannot use the proxy {_shown(address)} of {name.upper()}_PROXY: {_first_sentence(error)}. "
                "Name one that starts with http://, install what it needs, or unset the variable"
            ) from None


def _check(url: str) -> None:
    """Ask the configured server for its version.

    Raises:
        ConfigError: If the address is none.
        CredentialsError: If it wants other credentials.
        ServiceError: If it does not answer as a Prefect server of this major version.
    """
    if not _is_address(url):
        raise ConfigError(
            f"PREFECT_API_URL should be the address of a Prefect server, such as {_EXAMPLE}, found {_shown(url)!r}. "
            f"Correct it, or {_OTHERWISE}"
        )
    server = f"the Prefect server at {_shown(url)} (PREFECT_API_URL)"
    try:
        _check_version(_version(), server)
    except httpx.HTTPStatusError as error:
        raise _refused(error.response.status_code, server, _way(url)) from None
    except httpx.TransportError as error:
        raise ServiceError(
            f"{server} does not answer{_way(url)}: {_first_sentence(error)}. Start it with `prefect server start`, "
            f"correct the address, such as {_EXAMPLE}, or {_OTHERWISE}"
        ) from None
    _checked.add(url)


def _version() -> Any:
    """Return what the server says of its version; None if it says something that is no JSON."""
    with (
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}),  # they take minutes
        get_client(sync_client=True, httpx_settings={"timeout": _TIMEOUT}) as client,
    ):
        if client.server_type == ServerType.CLOUD:  # it is always of the right one, and does not say which
            client.hello()
            return prefect.__version__
        try:
            return client.api_version()
        except ValueError:
            return None


def _check_version(found: Any, server: str) -> None:
    major = re.match(r"(\d+)\.\d", found) if isinstance(found, str) else None
    ours = prefect.__version__
    if not major:
        raise ServiceError(
            f"what answers in the place of {server} is another program. Correct the address, such as {_EXAMPLE} with "
            f"/api at its end, or {_OTHERWISE}"
        )
    if major[1] != ours.partition(".")[0]:
        raise ServiceError(
            f"{server} is of version {found[:_SHOWN]}, and this is Prefect {ours}: their major versions have to be the "
            f"same. Name another server, install the same version there, or {_OTHERWISE}"
        )


def _refused(status: int, server: str, way: str) -> InputError:
    if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        return CredentialsError(
            f"{server} refuses this client{way} with status {status}. Set PREFECT_API_AUTH_STRING, or for Prefect "
            "Cloud PREFECT_API_KEY, to what it was started with"
        )
    return ServiceError(
        f"{server} does not answer as one{way}, but with status {status}. Correct the address, such as {_EXAMPLE} with "
        f"/api at its end, look at the server's log, or {_OTHERWISE}"
    )


def _is_address(url: str) -> bool:
    try:
        found = httpx.URL(url)
        return found.scheme in {"http", "https"} and bool(found.host) and (found.port or 1) < 1 << 16
    except (ValueError, httpx.InvalidURL):
        return False


def _way(url: str) -> str:
    """Return in words through which proxy the address is reached, if through any."""
    parts, proxies = urlsplit(url), getproxies()
    name = next((name for name in (parts.scheme, "all") if name in proxies), None)
    if name is None or proxy_bypass(parts.hostname or ""):
        return ""
    return (
        f" through the proxy {_shown(proxies[name])} of {name.upper()}_PROXY (if it is reached without one, name "
        f"{parts.hostname} in NO_PROXY)"
    )


def _shown(url: str) -> str:
    return shown_address(url)[:_SHOWN]


def _first_sentence(error: Exception) -> str:
    """Return what an error of the HTTP client says, without its advice and any address in it."""
    said = re.sub(r"\w+://\S*", "its address", str(error)) or type(error).__name__
    return re.split(r"\.\s|\n", said)[0].rstrip(".")
