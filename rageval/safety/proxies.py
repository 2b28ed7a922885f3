"""Proxies that the environment names: what runs on this machine is reached without them."""

import os
from urllib.request import getproxies_environment

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_EXCEPTIONS = ("NO_PROXY", "no_proxy")


def reach_this_machine_directly() -> None:
    """Except loopback addresses from the proxies of the environment, here and in all that is started from here.

    A proxy is meant for what lies outside. Few people except their own machine from it, where Prefect's temporary
    server and the embedded model listen.
    """
    named = getproxies_environment()
    excepted = [one for part in named.pop("no", "").split(",") if (one := part.strip())]
    if named and "*" not in excepted:
        missing = [one for one in LOOPBACK if one not in excepted]
        # Of the two spellings, programs differ in which one they prefer.
        os.environ.update(dict.fromkeys(_EXCEPTIONS, ",".join([*excepted, *missing])))
