"""What the chat app allows, and to whom."""

import ipaddress
import os
import secrets
from dataclasses import dataclass, field

API_KEY_VARIABLE = "RAGEVAL_CHAT_API_KEY"
"""The environment variable with the key that clients have to send; without it, none is asked for."""
MAX_QUESTION, MAX_COMMENT, MAX_USER = 2000, 2000, 200
"""Characters."""


def api_key() -> str:
    """Return the key that the environment asks clients for; empty for none."""
    return os.environ.get(API_KEY_VARIABLE, "").strip()


@dataclass(frozen=True, kw_only=True)
class ChatSettings:
    """Limits of the chat app; the defaults suit a page that is open to a few hundred people."""

    questions_per_minute: float = 20.0
    """Of one client, which is an address."""
    requests_per_minute: float = 120.0
    """Of one client, to the API as a whole: questions, votes, failed tries of the key."""
    burst: int = 10
    """Questions, and six times as many requests, that a client may send at once after a quiet minute."""
    visitors_per_answer: int = 5
    """People who vote on one answer, where no key is asked for."""
    visitors_per_answer_and_client: int = 2
    """Of these from one client."""
    new_visitors_per_minute: float = 2.0
    """People of one client who have not voted before."""
    new_visitors_at_once: int = 30
    """Of these after some quiet minutes, such as a class that tries it."""
    max_in_flight: int = 256
    """Questions that are worked on at once; more are turned away with 503."""
    max_connections: int = 512
    """Open connections in all; half of the files that the process may open, if that is less."""
    connections_per_client: int = 256
    """Of these of one client, and requests under way of one behind a proxy."""
    max_body_bytes: int = 32 * 1024
    """The largest body of a request: 2,000 characters may take twelve bytes each in JSON."""
    shutdown_s: float = 30.0
    """Seconds that questions in flight have to end when the app does."""
    api_key: str = field(default="", repr=False)
    """Empty for none."""
    cookie_key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    """What the cookies of voters are signed with."""
    allowed_hosts: tuple[str, ...] = ("*",)
    """Names that the app may be called by, so that no other name can be pointed at it."""
    allows_addresses: bool = False
    """Whether it may also be called by any address, which no other name can be."""

    def allows(self, name: str) -> bool:
        """Return whether the app may be called by a name or address."""
        if {"*", name} & set(self.allowed_hosts):
            return True
        try:
            return self.allows_addresses and bool(ipaddress.ip_address(name))
        except ValueError:
            return False
