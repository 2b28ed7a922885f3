"""An Elasticsearch URL -> a client that is known to work, and its errors in our words."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import elasticsearch
from elasticsearch import Elasticsearch

from rageval.adapters.search_index import URL_VARIABLE
from rageval.errors import ConfigError, CredentialsError, ServiceError

CLIENT_MAJOR = elasticsearch.__version__[0]
_CLIENT_VERSION = ".".join(str(number) for number in elasticsearch.__version__)
_KEY, _USER, _PASSWORD = "ELASTICSEARCH_API_KEY", "ELASTICSEARCH_USERNAME", "ELASTICSEARCH_PASSWORD"
_CA_CERTS = "ELASTICSEARCH_CA_CERTS"
_TIMEOUT_S = 120.0
_PREFLIGHT_TIMEOUT_S = 10.0
_LONGEST_REASON = 300


def connect(url: str, supported_majors: frozenset[int]) -> tuple[Elasticsearch, str]:
    """Return a client whose server answers, accepts the credentials and has a fitting version, and its address.

    Credentials come from ELASTICSEARCH_API_KEY, or ELASTICSEARCH_USERNAME and ELASTICSEARCH_PASSWORD, or the URL.
    Certificates are always verified, against ELASTICSEARCH_CA_CERTS where it is set.

    Args:
        url: The server's URL, http or https, maybe with user and password.
        supported_majors: Major versions of servers that may be used.

    Returns:
        The client, and the URL without user and password, for messages.

    Raises:
        ConfigError: If the URL is not one, or the file of certificates does not exist.
        ServiceError: If the server cannot be reached, or has another version.
        CredentialsError: If the server refuses the credentials.
    """
    address, credentials = _split_credentials(url)
    client = Elasticsearch(
        address, request_timeout=_TIMEOUT_S, **_certificates(address), **_authentication(credentials)
    )
    try:
        _check_version(client, address, supported_majors)
    except BaseException:
        client.close()
        raise
    return client, address


@contextmanager
def translated_errors(address: str) -> Iterator[None]:
    """Turn the client's errors into ours.

    Raises:
        ServiceError: If the server cannot be reached, or refuses a request.
        CredentialsError: If the server refuses the credentials, or they do not allow a request.
    """
    try:
        yield
    except (elasticsearch.AuthenticationException, elasticsearch.AuthorizationException) as error:
        raise CredentialsError(
            f"Elasticsearch at {address} refused the credentials: {_api_reason(error)}; set {_KEY}, or {_USER} and "
            f"{_PASSWORD}, to ones that may monitor the cluster and manage the run's indexes"
        ) from error
    except elasticsearch.ApiError as error:
        raise ServiceError(
            f"Elasticsearch at {address} refused a request: {_api_reason(error)}; its log says more"
        ) from error
    except elasticsearch.TransportError as error:
        raise ServiceError(
            f"Elasticsearch at {address} cannot be reached: {error.message}; start it or unset {URL_VARIABLE}"
        ) from error


def reason_of(error: Any) -> str:
    """Return the most specific reason in Elasticsearch's description of an error; a long one loses its middle."""
    cause = error
    while isinstance(cause, Mapping) and cause.get("caused_by"):
        cause = cause["caused_by"]
    reason = str(cause.get("reason") if isinstance(cause, Mapping) else cause)
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[:200]} ... {reason[-100:]}"


def _check_version(client: Elasticsearch, address: str, supported_majors: frozenset[int]) -> None:
    with translated_errors(address):
        # Without the versioned media type of the client's own requests, which a server of another major version
        # refuses before it says which one it is.
        reply = client.options(request_timeout=_PREFLIGHT_TIMEOUT_S, max_retries=0).perform_request(
            "GET", "/", headers={"accept": "*/*"}
        )
    version = str(reply.body["version"]["number"])
    if int(version.split(".", maxsplit=1)[0]) not in supported_majors:
        expected = " or ".join(str(major) for major in sorted(supported_majors))
        raise ServiceError(
            f"Elasticsearch at {address} has version {version}, expected {expected}.x, because the installed client is "
            f"elasticsearch {_CLIENT_VERSION}; use a server of that version, or unset {URL_VARIABLE} to search with "
            "LanceDB"
        )


def _split_credentials(url: str) -> tuple[str, tuple[str, str] | None]:
    """Return the URL with its port and without user and password, and these two."""
    parts = urlsplit(url)
    try:
        default = {"http": 80, "https": 443}[parts.scheme]
        port = parts.port or default
    except (KeyError, ValueError):
        port = None
    if port is None or not parts.hostname:
        # The value itself may hold a password, so it is not shown.
        raise ConfigError(f"{URL_VARIABLE} must be a URL such as https://localhost:9200, and its value is not one")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    credentials = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    return f"{parts.scheme}://{host}:{port}{parts.path.rstrip('/')}", credentials


def _authentication(from_url: tuple[str, str] | None) -> dict[str, Any]:
    key, user = os.environ.get(_KEY), os.environ.get(_USER)
    if key:
        return {"api_key": key}
    if user:
        return {"basic_auth": (user, os.environ.get(_PASSWORD, ""))}
    return {"basic_auth": from_url} if from_url else {}


def _certificates(address: str) -> dict[str, Any]:
    path = os.environ.get(_CA_CERTS)
    if not path or not address.startswith("https:"):
        return {}
    if not Path(path).is_file():
        raise ConfigError(f"{_CA_CERTS} must be the path of a PEM file, and {path} is no file")
    return {"ca_certs": path}


def _api_reason(error: elasticsearch.ApiError) -> str:
    body = error.body
    reason = reason_of(body["error"]) if isinstance(body, Mapping) and "error" in body else error.message
    return f"HTTP {error.status_code} {reason}".strip()
