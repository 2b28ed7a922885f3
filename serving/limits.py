"""So many requests a minute: token buckets of each client, of each site that IPv6 gives many clients to, and of all."""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from math import ceil

_CLIENTS = 20_000
_NAME = 64
_SITE, _ALL = 10, 100
"""How many clients' worth a site has, and the app as a whole."""


class ClientLimit:
    """Buckets that hold `burst` tokens and are refilled at `per_minute`. Lives in one thread."""

    def __init__(self, per_minute: float, burst: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._burst, self._clock = per_minute / 60, burst, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, client: str) -> int:
        """Return 0 if there is a token, or the whole seconds until there is one."""
        level = self._level(client)
        return 0 if level >= 1 else ceil((1 - level) / self._per_s)

    def take(self, client: str) -> None:
        """Take a token."""
        self._buckets[client] = (self._level(client) - 1, self._clock())
        self._buckets.move_to_end(client)
        if len(self._buckets) > _CLIENTS:
            self._buckets.popitem(last=False)

    def _level(self, client: str) -> float:
        now = self._clock()
        level, at = self._buckets.get(client, (float(self._burst), now))
        return min(self._burst, level + (now - at) * self._per_s)


class RateLimit:
    """A limit for each client that many clients of one owner do not get around."""

    def __init__(self, per_minute: float, burst: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._levels = tuple(
            (name_of, ClientLimit(times * per_minute, times * burst, clock=clock))
            for name_of, times in ((client_of, 1), (site_of, _SITE), (lambda _: "all", _ALL))
        )

    def wait_s(self, host: str) -> int:
        """Take a token from each bucket of an address and return 0, or none and return the seconds to wait."""
        buckets = [(limit, name) for name_of, limit in self._levels if (name := name_of(host))]
        if wait_s := max(limit.wait_s(name) for limit, name in buckets):
            return wait_s
        for limit, name in buckets:
            limit.take(name)
        return 0


def client_of(host: str) -> str:
    """Return what tells clients apart: the address, or of IPv6 the network that one customer gets."""
    address = _address(host)
    if isinstance(address, ipaddress.IPv6Address):
        return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))
    return host[:_NAME]  # what a proxy reports may be anything


def site_of(host: str) -> str:
    """Return the network of IPv6 that one owner gets; they may have 65,536 of what counts as a client."""
    address = _address(host)
    if isinstance(address, ipaddress.IPv6Address) and not address.ipv4_mapped:
        return str(ipaddress.ip_network((address, 48), strict=False))
    return ""


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
