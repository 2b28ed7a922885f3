"""What a local server answers beside Prefect's app: how long it has been idle, and its UI without typing a password.

Prefect's UI asks for the password of a server that has one, and keeps it in the browser's storage for that address.
`rageval server open` gets a ticket from the server, which only who knows the password can do, and opens an address with
it. The page there puts the password where the UI looks for it. A ticket is taken once, and within a minute: an address
is seen by whoever lists the processes of the machine.
"""

import base64
import hmac
import json
import secrets
import time
from collections.abc import Callable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

STATUS: Final = "/rageval/status"
TICKET: Final = "/rageval/ticket"
OPEN: Final = "/rageval/open"
_VALID_S: Final = 60.0
_MOST_TICKETS: Final = 100
_USED: Final = "This address was used before, or is older than a minute. `rageval server open` makes another one."
_PAGE: Final = """<!doctype html><title>Prefect</title>
<script nonce="{nonce}">localStorage.setItem("prefect-password", {password}); location.replace("/");</script>
"""


class Tickets:
    """Tickets that were given out and not yet taken."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def give(self) -> str:
        """Return a new one."""
        now = time.monotonic()
        self._until = {ticket: until for ticket, until in self._until.items() if until > now}
        if len(self._until) >= _MOST_TICKETS:
            self._until.clear()
        ticket = secrets.token_urlsafe(32)
        self._until[ticket] = now + _VALID_S
        return ticket

    def take(self, ticket: str) -> bool:
        """Return whether it may be used; nobody can use it again."""
        return self._until.pop(ticket, 0.0) > time.monotonic()


def add_pages(app: Any, idle: Callable[[], float], auth: str, ends_after_s: float | None) -> None:
    """Put these pages before those of Prefect's app.

    Args:
        app: Prefect's app.
        idle: Returns for how many seconds nothing was asked.
        auth: User and password, as user:password.
        ends_after_s: How long it may be idle, if that ends it.
    """
    expected = f"Basic {base64.b64encode(auth.encode()).decode()}"
    tickets = Tickets()

    def refused(request: Request) -> Response | None:
        given = request.headers.get("authorization", "")
        return None if hmac.compare_digest(given.encode(), expected.encode()) else Response(status_code=401)

    async def status(request: Request) -> Response:
        return refused(request) or JSONResponse({"idle_s": idle(), "ends_after_s": ends_after_s})

    async def ticket(request: Request) -> Response:
        return refused(request) or JSONResponse({"ticket": tickets.give()})

    async def opened(request: Request) -> Response:
        if not tickets.take(request.query_params.get("ticket", "")):
            return HTMLResponse(_USED, status_code=403)
        nonce = secrets.token_urlsafe(16)
        password = json.dumps(expected.removeprefix("Basic "))
        headers = {
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "Content-Security-Policy": f"default-src 'none'; script-src 'nonce-{nonce}'; frame-ancestors 'none'",
        }
        return HTMLResponse(_PAGE.format(nonce=nonce, password=password), headers=headers)

    app.router.routes[:0] = [
        Route(STATUS, status),
        Route(TICKET, ticket, methods=["POST"]),
        Route(OPEN, opened),
    ]
