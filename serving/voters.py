"""A random cookie, or the name that an API client gives -> who votes: a hash that says nothing of the person."""

import hashlib
import hmac
import re
import secrets

from starlette.requests import Request
from starlette.responses import Response

COOKIE = "rageval_voter"
_YEAR_S = 365 * 24 * 3600
_TOKEN = re.compile(r"[A-Za-z0-9_-]{22,64}")


def known_voter(request: Request) -> str | None:
    """Return who the cookie says is voting, or None if there is no cookie of ours."""
    token = request.cookies.get(COOKIE, "")
    return _hashed(token) if _TOKEN.fullmatch(token) else None


def voter_of(request: Request, response: Response) -> str:
    """Return who is voting, and give a cookie to whoever has none."""
    return known_voter(request) or _new_voter(request, response)


def named_voter(user: str, key: str) -> str:
    """Return who a client with the app's key says is voting; another key makes everybody another voter."""
    # Names can be guessed, unlike cookies: without the key nobody can try them against what is stored.
    return hmac.new(key.encode(), f"rageval user {user}".encode(), hashlib.sha256).hexdigest()[:32]


def _new_voter(request: Request, response: Response) -> str:
    token = secrets.token_urlsafe(16)
    response.set_cookie(
        COOKIE, token, max_age=_YEAR_S, httponly=True, samesite="strict", secure=request.url.scheme == "https"
    )
    return _hashed(token)


def _hashed(token: str) -> str:
    # The token is 128 random bits: no table can be made of its hashes, so the salt only keeps them from other uses.
    return hashlib.sha256(f"rageval voter {token}".encode()).hexdigest()[:32]
