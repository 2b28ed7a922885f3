"""The URL of a web server -> its file, open, with the headers that came with it."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import aiohttp
import fsspec
from fsspec.implementations.http import HTTPStreamFile

from rageval.errors import DataError
from rageval.safety.allowances import allowances
from rageval.safety.redirects import guarded_client


@contextlib.contextmanager
def opened_url(url: str, name: str) -> Iterator[tuple[BinaryIO, Mapping[str, str]]]:
    """Open what is at the URL.

    Args:
        url: Where it is, with all that is filled in.
        name: What it is called in messages.

    Raises:
        DataError: If the server answers with another status than one of success.
    """
    # Block size 0 streams the body; any other asks for ranges, which not every server answers.
    options: dict[str, Any] = {"block_size": 0}
    if allowances():
        options["get_client"] = guarded_client
    if "%" in url and url.isascii() and " " not in url:
        options["encoded"] = True  # sent as it is: a signature may be of the very characters
    try:
        with fsspec.open(url, "rb", **options) as file:
            yield file, file.r.headers if isinstance(file, HTTPStreamFile) else {}
    except aiohttp.ClientResponseError as error:
        raise DataError(f"{name}: the server answered HTTP {error.status}; check the URL and who may read it") from None
