"""The metrics of a flow run -> a Prometheus Pushgateway, if RAGEVAL_PUSHGATEWAY_URL names one.

A flow's process ends before anybody scrapes it, so it pushes: when the flow starts, while it runs, and at its end. A
thread of its own does it, and a gateway that does not take it costs a warning and never a run. The address may hold a
password, so no log and no error repeats it.
"""

import http.client
import logging
import os
import threading
import time
import urllib.error
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from functools import partial
from typing import Final
from urllib.parse import unquote, urlsplit

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import basic_auth_handler, push_to_gateway

from rageval.errors import ConfigError, RagevalError
from rageval.pipeline.flow_metrics import FlowMetrics
from rageval.telemetry.tracing import timed_stages

VARIABLE = "RAGEVAL_PUSHGATEWAY_URL"
"""The environment variable that names the gateway."""
LAST_SUCCESS: Final = "rageval_flow_last_success_timestamp_seconds"
"""A group of its own at the gateway, because a run that fails must not take it away."""
_JOB: Final = "rageval"
_JOB_OF_SUCCESS: Final = "rageval_success"
_EVERY_S = 15.0
_TIMEOUT_S = 3.0
_LAST_S = 5.0
_logger = logging.getLogger("rageval")
_is_pushing: ContextVar[bool] = ContextVar("rageval_is_pushing", default=False)


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """Where to push to."""

    url: str
    """Without user and password."""
    user: str | None = None
    password: str | None = None

    def push(self, job: str, group: Mapping[str, str], registry: CollectorRegistry) -> str:
        """Replace the metrics of a group by those of a registry; returns why that failed, or nothing."""
        handler = partial(basic_auth_handler, username=self.user, password=self.password)
        try:
            push_to_gateway(self.url, job, registry, dict(group), timeout=_TIMEOUT_S, handler=handler)
        except urllib.error.HTTPError as error:
            with error:
                return f"refused them with HTTP {error.code}"
        except (OSError, http.client.HTTPException, ValueError) as error:
            return f"cannot be reached ({_reason(error)})"
        return ""


def _reason(error: Exception) -> str:
    """Return why a server cannot be reached, in the system's words: others may repeat what stands in the address."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, TimeoutError):
        return f"no answer within {_TIMEOUT_S:g} s"
    return reason.strerror if isinstance(reason, OSError) and reason.strerror else type(reason).__name__


def gateway() -> Gateway | None:
    """Return where to push to as the environment says, or None for nowhere.

    Raises:
        ConfigError: If it is no address of an HTTP server; it may hold a password, so it is not repeated.
    """
    given = os.environ.get(VARIABLE, "").strip()
    if not given:
        return None
    try:
        parts = urlsplit(given if "://" in given else f"http://{given}")
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        user, password = parts.username, parts.password
    except ValueError:
        usable = False
    # With a / or a # in a password, what comes before it would be taken for the host.
    if not usable or "@" in parts.path + parts.query + parts.fragment:
        raise ConfigError(
            f"{VARIABLE} is no address of a Pushgateway; expected http://host:9091 or https://user:password@host, "
            "with what is special in a password as %XX"
        )
    return Gateway(
        url=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}",
        user=None if user is None else unquote(user),
        password=unquote(password or ""),
    )


@contextmanager
def pushed_metrics(flow: str, deployment: str) -> Iterator[FlowMetrics | None]:
    """Push the metrics of the flow that the block runs, unless it is part of one that pushes, or nobody wants them.

    Args:
        flow: Name of the flow.
        deployment: Name of the deployment that it runs for; empty if for none.

    Yields:
        What is pushed, which is to be told of the flow's engine; None if nothing is pushed.

    Raises:
        ConfigError: See `gateway`.
    """
    to = None if _is_pushing.get() else gateway()
    if to is None:
        yield None
        return
    token = _is_pushing.set(True)
    try:
        with timed_stages() as stages:
            metrics = FlowMetrics(stages)
            group = {"flow": flow} | ({"deployment": deployment} if deployment else {})
            with _Pusher(to, group, metrics):
                yield metrics
    finally:
        _is_pushing.reset(token)


class _Pusher:
    """The thread that pushes from the start to the end of a flow."""

    def __init__(self, to: Gateway, group: Mapping[str, str], metrics: FlowMetrics) -> None:
        self._to, self._group, self._metrics = to, group, metrics
        self._registry = CollectorRegistry()
        self._registry.register(metrics)
        self._ended = threading.Event()
        self._said = False
        # In this context, so that a warning says what it is about.
        self._thread = threading.Thread(
            target=copy_context().run, args=[self._push_until_the_end], name="pushgateway", daemon=True
        )

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._metrics.end("completed")
        else:
            self._metrics.end("failed" if issubclass(kind, RagevalError) else "crashed")
        self._ended.set()
        self._thread.join(_LAST_S)

    def _push_until_the_end(self) -> None:
        self._push(_JOB, self._registry)
        while not self._ended.wait(_EVERY_S):
            self._push(_JOB, self._registry)
        self._push(_JOB, self._registry)
        if self._metrics.state == "completed":
            self._push(_JOB_OF_SUCCESS, _success())

    def _push(self, job: str, registry: CollectorRegistry) -> None:
        problem = self._to.push(job, self._group, registry)
        if problem and not self._said:
            self._said = True
            _logger.warning("Metrics are missing: the Pushgateway of %s %s", VARIABLE, problem)


def _success() -> CollectorRegistry:
    registry = CollectorRegistry()
    Gauge(LAST_SUCCESS, "When a run of the flow completed last", registry=registry).set(time.time())
    return registry
