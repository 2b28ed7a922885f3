"""Alerts -> people, by apprise: webhooks, e-mail, chats, whatever RAGEVAL_ALERT_URLS names.

The addresses hold tokens and passwords, and what apprise logs may repeat them: no log and no error here does.
"""

import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO

import apprise

from rageval.errors import ConfigError
from rageval.monitoring.records import Alert

VARIABLE = "RAGEVAL_ALERT_URLS"
"""The environment variable that names whom to tell: apprise URLs, with white space or commas between them."""
_STATUS = re.compile(r"error=([1-5]\d\d)\b")


@dataclass(frozen=True, kw_only=True)
class NotificationResult:
    """How telling went."""

    addresses: int
    """How many addresses there are."""
    failures: tuple[str, ...] = ()
    """Which of them could not be told, and why; never holds an address."""

    @property
    def reached(self) -> bool:
        """Whether any address has taken the message."""
        return len(self.failures) < self.addresses


def addresses() -> list[str]:
    """Return whom to tell, as the environment says.

    Raises:
        ConfigError: If one of them is no address that apprise knows; it is named by its place, because it may hold a
            token.
    """
    found = [url for url in re.split(r"[\s,]+(?=[A-Za-z][A-Za-z0-9+.-]*://)|\s+", os.environ.get(VARIABLE, "")) if url]
    for place, url in enumerate(found, start=1):
        with _its_words():
            if apprise.Apprise.instantiate(url, suppress_exceptions=True) is None:
                raise ConfigError(
                    f"address {place} of {VARIABLE} is none that apprise knows; expected URLs such as "
                    "json://host:8080/path or mailto://user:password@host, with blanks between them"
                )
    return found


def tell(alerts: Sequence[Alert]) -> NotificationResult:
    """Tell every address of all the alerts, in one message.

    Raises:
        ConfigError: See `addresses`.
    """
    urls = addresses()
    title = f"rageval: {len(alerts)} alert{'s' if len(alerts) > 1 else ''}: {', '.join(a.rule for a in alerts)}"
    body = "\n".join(f"{alert.rule}: {alert.message}" for alert in alerts)
    failures = [
        f"address {place} of {VARIABLE} ({url.partition('://')[0]}) {reason}"
        for place, url in enumerate(urls, start=1)
        if (reason := _failure(url, title, body))
    ]
    return NotificationResult(addresses=len(urls), failures=tuple(failures))


def _failure(url: str, title: str, body: str) -> str:
    """Send one message; returns why it failed, or nothing."""
    sender = apprise.Apprise()
    with _its_words() as words_so_far:
        sender.add(url)
        if sender.notify(body=body, title=title, notify_type=apprise.NotifyType.WARNING):
            return ""
        words = words_so_far.getvalue()
    if status := _STATUS.search(words):
        return f"refused the message with HTTP {status[1]}"
    return "cannot be reached" if "onnection" in words else "did not take the message"


@contextmanager
def _its_words() -> Iterator[StringIO]:
    """Keep what apprise logs from every log; yields it."""
    log, words = logging.getLogger("apprise"), StringIO()
    handler, before = logging.StreamHandler(words), log.propagate
    log.addHandler(handler)
    log.propagate = False
    try:
        yield words
    finally:
        log.removeHandler(handler)
        log.propagate = before
