"""The key of an endpoint -> the header of each request, also of a key that expires in the middle of a run."""

import asyncio
import os
import shlex
import subprocess
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from pathlib import Path

import httpx2

from rageval.engine.refusals import refuses_key
from rageval.errors import CredentialsError
from rageval.safety.allowances import check_command, check_key_file
from rageval.safety.server_message import read_message
from rageval.safety.urls import shown
from rageval.safety.variables import filled_in

AUTHORIZATION = "Authorization"
NO_KEY = "none"
"""Stands for a key where none is needed; the SDK is never told another one."""
_REFUSALS = {400, 401, 403}
_COMMAND_TIMEOUT_S = 60.0
_LONGEST = 20_000


class ApiKey(httpx2.Auth):
    """A key that is put into every request; one that can be read anew is, when it is refused, once a request.

    Args:
        value: The key; empty if it is read when it is first needed.
        headers: Names of the headers that carry it: `Authorization` as a bearer's token, any other as it is.
        read: Reads it anew; None where it stays what it is. It may take a while.
    """

    def __init__(self, value: str, headers: Sequence[str], read: Callable[[], str] | None = None) -> None:
        self.known = {value} - {""}
        """Every key that it has been."""
        self._value = value
        self._headers = headers
        self._read = read
        self._reading = asyncio.Lock()

    async def ready(self) -> None:
        """Read the key if that has not been done.

        Raises:
            CredentialsError: If it cannot be read.
            ConfigError: If the run may not read it.
        """
        await self._renewed("")

    def sync_auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Send a request with the key, and once more with a new one if it is refused."""
        if self._read and not self._value:
            self._take(self._read())
        sent = self._put(request)
        response = yield request
        if self._read and response.status_code in _REFUSALS:
            response.read()
            if _is_refusal(response):
                self._take(self._read())
                if self._put(request) != sent:
                    yield request

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Send a request with the key, and once more with a new one if it is refused; others may have got that."""
        await self.ready()
        sent = self._put(request)
        response = yield request
        if self._read and response.status_code in _REFUSALS:
            await response.aread()
            if _is_refusal(response):
                await self._renewed(sent)
                if self._put(request) != sent:
                    yield request

    async def _renewed(self, sent: str) -> None:
        async with self._reading:
            if self._read and self._value == sent:
                self._take(await asyncio.to_thread(self._read))

    def _take(self, value: str) -> None:
        self._value = value
        self.known.add(value)

    def _put(self, request: httpx2.Request) -> str:
        if request.headers.get(AUTHORIZATION) == f"Bearer {NO_KEY}":  # the SDK does not go without
            del request.headers[AUTHORIZATION]
        for name in self._headers:
            request.headers[name] = f"Bearer {self._value}" if name == AUTHORIZATION else self._value
        return self._value


def _is_refusal(response: httpx2.Response) -> bool:
    """Return whether a key was refused: by a 401, or by what a 400 or 403 says."""
    return response.status_code == 401 or refuses_key(read_message(response.content))


def read_key(file: str, command: Sequence[str]) -> str:
    """Return the key that a file holds, or that a command prints.

    Raises:
        CredentialsError: If there is none.
        ConfigError: If the run may not read the file, or run the command.
    """
    where, text = (f"the file {shown(file)}", _of_file(file)) if file else (_named(command), _of_command(command))
    return checked_key(text.strip(), f"from {where}")


def checked_key(key: str, where: str) -> str:
    """Return a key, which can be sent.

    Raises:
        CredentialsError: If it cannot, or is none; it is not repeated.
    """
    if not key:
        raise CredentialsError(f"the key {where} is empty; the key and nothing else is expected there")
    if not key.isascii() or not key.isprintable():
        raise CredentialsError(f"the key {where} holds characters that no key can hold; copy it again without them")
    return key


def _of_file(given: str) -> str:
    path = filled_in(given)
    check_key_file(path, shown(given))
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as file:
            return file.read(_LONGEST)
    except OSError as error:
        raise CredentialsError(
            f"the file {shown(given)} of key_file cannot be read ({error.strerror}); name one that holds the key and "
            "nothing else"
        ) from None


def _of_command(command: Sequence[str]) -> str:
    check_command(shlex.join(command))
    try:
        ran = subprocess.run(  # noqa: S603 - the user's own command, as separate words and without a shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # it may hold a key, so nothing of it could be shown
            timeout=_COMMAND_TIMEOUT_S,
            check=False,
            env=os.environ,
        )
    except OSError as error:
        raise CredentialsError(f"{_named(command)} cannot be started ({error.strerror}); see `key_command`") from None
    except subprocess.TimeoutExpired:
        raise CredentialsError(
            f"{_named(command)} has not ended within {_COMMAND_TIMEOUT_S:g} s; it may wait for a login: run it by hand"
        ) from None
    if ran.returncode:
        raise CredentialsError(f"{_named(command)} ended with the status {ran.returncode}; run it by hand to see why")
    return ran.stdout[:_LONGEST].decode("utf-8", "replace")


def _named(command: Sequence[str]) -> str:
    """Return a command by its program alone: what follows may be nobody else's business."""
    return f"the command {command[0]} of key_command"
