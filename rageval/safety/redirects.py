"""Where a web server may send a run of Prefect's API on to: what its worker names, or a public address.

A server that a run may ask could otherwise have it ask the services beside the worker, or the address that tells a
machine of a cloud its own credentials.
"""

import ipaddress
import socket
from types import SimpleNamespace
from typing import Any

import aiohttp
from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from rageval.errors import DataError
from rageval.safety.allowances import allowances
from rageval.safety.urls import is_within, shown

_TRANSLATED = [
    ipaddress.ip_network(network) for network in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
]
"""In these an address of the older kind is carried, which may be any."""


def is_public(address: str) -> bool:
    """Return whether an IP address is one of the internet: not this machine, its network, or its neighbours."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped:
            found = found.ipv4_mapped
        elif any(found in network for network in _TRANSLATED):
            return False
    return found.is_global and not found.is_multicast


class _PublicResolver(ThreadedResolver):
    """Finds addresses of hosts, and refuses those that a redirect leads to unless they are public.

    It is asked when a connection is made, so an answer that changes after a check does not help.
    """

    def __init__(self) -> None:
        super().__init__()
        self.of_redirects: set[tuple[str, int]] = set()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await super().resolve(host, port, family)
        if (host, port) in self.of_redirects:
            for address in found:
                _check_public(address["host"], host)
        return found


async def guarded_client(loop: Any, **settings: Any) -> aiohttp.ClientSession:
    """Return a client that follows a redirect only to where the run may be sent; fsspec calls it.

    Args:
        loop: The event loop that it is for.
        settings: Those of the client.
    """
    resolver = _PublicResolver()

    async def look(_: aiohttp.ClientSession, __: SimpleNamespace, to: aiohttp.TraceRequestRedirectParams) -> None:
        headers = to.response.headers
        await _check_redirect(to.url.join(URL(headers.get("Location") or headers.get("URI") or "")), resolver)

    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(look)
    connector = aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False, loop=loop)
    return aiohttp.ClientSession(connector=connector, trace_configs=[trace], loop=loop, **settings)


async def _check_redirect(url: URL, resolver: _PublicResolver) -> None:
    allowed = allowances()
    if allowed is None or any(is_within(str(url), top) for top in (*allowed.files, *allowed.outputs)):
        return
    host, port = url.raw_host or "", url.port or 0
    resolver.of_redirects.add((host, port))
    try:
        _check_public(host, shown(str(url)))
    except ValueError:  # a name
        await resolver.resolve(host, port, socket.AF_UNSPEC)


def _check_public(address: str, name: str) -> None:
    """Make sure that an address is public.

    Raises:
        DataError: If it is not.
        ValueError: If it is no address.
    """
    if not is_public(address):
        raise DataError(
            f"a file's server sends this run on to {name}, which is no public address, and a run that was started "
            "through Prefect's API does not follow there; name it in RAGEVAL_ALLOW_FILES of the worker's environment, "
            "or start the run in a shell"
        )
