"""The chat app -> a socket, until a signal ends it."""

import asyncio
import ipaddress
import signal
import socket
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import uvicorn
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from rageval.errors import ConfigError
from serving.connections import Connection, Connections, log_refused_accepts_once
from serving.guard import Guard
from serving.settings import ChatSettings

_BACKLOG = 2048
_ACCEPTED_AT_ONCE = 32
"""So few that they are counted before the process runs out of files."""
_KEEP_ALIVE_S = 75
"""Longer than people read: a connection that is closed just when the next question comes is an error to its client."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes any that is free.

    Raises:
        ConfigError: If there is no such address here, or the port is taken.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"nothing can listen at {host}:{port} ({reason}); choose another --port, or another --host of this machine"
        ) from error


def address_of(listening: socket.socket) -> str:
    """Return the URL that a browser on this machine opens."""
    host, port = listening.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_loopback(host: str) -> bool:
    """Return whether nobody but this machine reaches the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def with_names(settings: ChatSettings, host: str, names: Sequence[str], *, is_behind_proxy: bool) -> ChatSettings:
    """Return the settings with the names that the app may be called by.

    A browser that is led to another name for this machine takes the app for that site, and lets its pages ask. Where a
    key is asked for, or a proxy is in front, such pages gain nothing: there any name goes unless some are given.

    Args:
        settings: Limits and key.
        host: Where the app listens.
        names: Names that somebody has allowed.
        is_behind_proxy: Whether a proxy in front is named.
    """
    given = tuple(name.lower() for name in names)
    if is_loopback(host):
        return replace(settings, allowed_hosts=("localhost", "127.0.0.1", "::1", host, *given))
    if not given and (settings.api_key or is_behind_proxy):
        return settings
    machine = socket.gethostname().lower()
    own = dict.fromkeys(("localhost", machine, f"{machine.partition('.')[0]}.local", *given))
    return replace(settings, allowed_hosts=tuple(own), allows_addresses=True)


class _Server(uvicorn.Server):
    """A server whose accepting neither fills the log nor outruns its limits."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        log_refused_accepts_once(asyncio.get_running_loop())
        for listening in sockets or ():
            listening.listen(_BACKLOG)  # asyncio takes as many at once as it lets wait


def server_of(app: Guard, settings: ChatSettings, *, proxies: Sequence[str] = ()) -> uvicorn.Server:
    """Return the server of an app.

    Args:
        app: The app.
        settings: How many connections there may be, and how long questions in flight are waited for at the end.
        proxies: Addresses of proxies whose word on who the client is counts; everybody else could claim anything.
    """
    trusted = ProxyHeadersMiddleware(cast("Any", app), list(proxies)).trusted_hosts
    connections = Connections(settings, trusted.__contains__, app.note_refused)
    config = uvicorn.Config(
        app,
        http=cast("type[asyncio.Protocol]", partial(Connection, connections)),
        ws="none",
        log_config=None,
        log_level="error",  # it warns of each request that is no HTTP, and whoever likes can send them
        access_log=False,
        server_header=False,
        lifespan="on",
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(settings.shutdown_s),
        backlog=_ACCEPTED_AT_ONCE,
    )
    return _Server(config)


def end_on_sigterm() -> None:
    """Let SIGTERM end the process as Ctrl-C does, so that what is open is closed."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
