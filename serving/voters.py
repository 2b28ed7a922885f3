"""A cookie that the app has signed, or the name that an API client gives -> who votes: a hash that says nothing more.

Where no key is asked for, anybody can have any number of cookies. Such voters are visitors: marked as such, and few of
them are new on one answer, of one client, and in a minute.
"""

import hashlib
import hmac
import os
import re
import secrets
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from rageval.monitoring.records import VISITOR
from serving.limits import RateLimit, client_of
from serving.problems import HttpError
from serving.settings import ChatSettings

COOKIE = "rageval_voter"
_YEAR_S = 365 * 24 * 3600
_COOKIE = re.compile(r"([A-Za-z0-9_-]{22})\.([0-9a-f]{64})")
_KEPT = 10_000
_KEY_BYTES = 32


class Voters:
    """Knows who votes by the cookies that it has signed."""

    def __init__(self, settings: ChatSettings) -> None:
        self._key, self._mark = settings.cookie_key, "" if settings.api_key else VISITOR

    def of(self, request: Request, response: Response) -> str:
        """Return who is voting, and give a cookie to whoever has none that was signed here."""
        if (known := _COOKIE.fullmatch(request.cookies.get(COOKIE, ""))) and hmac.compare_digest(
            self._signature(known[1]), known[2]
        ):
            return self._mark + _hashed(known[1])
        token = secrets.token_urlsafe(16)
        response.set_cookie(
            COOKIE, f"{token}.{self._signature(token)}", max_age=_YEAR_S, httponly=True, samesite="strict",
            secure=request.url.scheme == "https",
        )  # fmt: skip
        return self._mark + _hashed(token)

    def _signature(self, token: str) -> str:
        return hmac.new(self._key, f"rageval voter {token}".encode(), hashlib.sha256).hexdigest()


class NewVisitors:
    """Lets few visitors vote that have not voted before. Lives in one event loop; an app that starts anew forgets."""

    def __init__(self, settings: ChatSettings) -> None:
        self._of_answer, self._of_client = settings.visitors_per_answer, settings.visitors_per_answer_and_client
        self._rate = RateLimit(settings.new_visitors_per_minute, settings.new_visitors_at_once)
        self._known: OrderedDict[str, None] = OrderedDict()
        self._voted: OrderedDict[str, dict[str, str]] = OrderedDict()

    def admit(self, conversation_id: str, voter: str, host: str) -> None:
        """Note a visitor's vote on an answer that there is.

        Raises:
            HttpError: If too many others have voted on it, or too many new visitors have come from this client.
        """
        voted, client = self._voted.get(conversation_id, {}), client_of(host)
        if voter in voted:
            return
        if len(voted) >= self._of_answer or list(voted.values()).count(client) >= self._of_client:
            raise HttpError(429, "So many people have voted on this answer that no further vote on it is taken.")
        if voter not in self._known and (wait_s := self._rate.wait_s(host)):
            raise HttpError(429, f"Too many new people vote. Try again in {wait_s} s.", retry_after_s=wait_s)
        self._known[voter] = None
        self._voted[conversation_id] = {**voted, voter: client}
        for kept in (self._known, self._voted):
            if len(kept) > _KEPT:
                kept.popitem(last=False)


def named_voter(user: str, key: str) -> str:
    """Return who a client with the app's key says is voting; another key makes everybody another voter."""
    # Names can be guessed, unlike cookies: without the key nobody can try them against what is stored.
    return hmac.new(key.encode(), f"rageval user {user}".encode(), hashlib.sha256).hexdigest()[:32]


def cookie_key(file: Path, api_key: str) -> bytes:
    """Return what cookies are signed with: the same for all apps with a key, else for all that share a file.

    Where the file can neither be read nor made, the cookies are known until the app ends.
    """
    if api_key:
        return hashlib.sha256(f"rageval cookies {api_key}".encode()).digest()
    made = secrets.token_bytes(_KEY_BYTES)
    temporary = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as new:
            new.write(made)
        with suppress(FileExistsError):
            file.hardlink_to(temporary)  # whole, and only if no other app was first
        temporary.unlink()
        found = file.read_bytes()
    except OSError:
        return made
    return found if len(found) == _KEY_BYTES else made


def _hashed(token: str) -> str:
    # The token is 128 random bits: no table can be made of its hashes, so the salt only keeps them from other uses.
    return hashlib.sha256(f"rageval voter {token}".encode()).hexdigest()[:32]
