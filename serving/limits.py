"""So many requests a minute of each client: a token bucket per client, for the latest clients."""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from math import ceil

_CLIENTS = 20_000
_NAME = 64


class ClientLimit:
    """Buckets that hold `burst` tokens and are refilled at `per_minute`. Lives in one thread."""

    def __init__(self, per_minute: float, burst: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._burst, self._clock = per_minute / 60, burst, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, client: str) -> int:
        """Take a token and return 0, or return the whole seconds until there is one."""
        now = self._clock()
        level, at = self._buckets.pop(client, (float(self._burst), now))
        level = min(self._burst, level + (now - at) * self._per_s)
        is_free = level >= 1
        self._buckets[client] = (level - is_free, now)
        if len(self._buckets) > _CLIENTS:
            self._buckets.popitem(last=False)
        return 0 if is_free else ceil((1 - level) / self._per_s)


def client_of(host: str) -> str:
    """Return what tells clients apart: the address, or of IPv6 the network that one customer gets."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host[:_NAME]  # what a proxy reports may be anything
    if isinstance(address, ipaddress.IPv6Address):
        return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))
    return host
