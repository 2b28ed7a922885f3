"""An Elasticsearch URL -> a client that is known to work."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import elasticsearch
from elastic_transport.client_utils import parse_cloud_id
from elasticsearch import Elasticsearch

from rageval.errors import ConfigError, ServiceError
from rageval.search.elasticsearch_errors import (
    CA_VARIABLE,
    FINGERPRINT_VARIABLE,
    KEY_VARIABLE,
    PASSWORD_VARIABLE,
    USER_VARIABLE,
    patiently,
    translated_errors,
)
from rageval.search.search_index import CLOUD_VARIABLE, URL_VARIABLE

CLIENT_MAJOR = elasticsearch.__version__[0]
_CLIENT_VERSION = ".".join(str(number) for number in elasticsearch.__version__)
_TIMEOUT_S = 120.0
_PREFLIGHT_TIMEOUT_S = 10.0
_SHA256 = re.compile(r"(?:[0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}")


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server that answers."""

    client: Elasticsearch
    address: str
    """Its URL without user and password, for messages."""
    version: tuple[int, int]
    """The first two numbers."""


def server_url(wanted_by: str = "index.backend is elasticsearch") -> str:
    """Return the URL that ELASTICSEARCH_URL holds, or that ELASTICSEARCH_CLOUD_ID stands for.

    Args:
        wanted_by: Why there has to be one.

    Raises:
        ConfigError: If neither is set, or both, or the second one is none.
    """
    url, cloud_id = os.environ.get(URL_VARIABLE, "").strip(), os.environ.get(CLOUD_VARIABLE, "").strip()
    if url and cloud_id:
        raise ConfigError(f"{URL_VARIABLE} and {CLOUD_VARIABLE} are both set; unset the one that is not meant")
    if not (url or cloud_id):
        raise ConfigError(
            f"{wanted_by}, but {URL_VARIABLE} is not set; set it to the server's URL, such as "
            f"http://localhost:9200, or {CLOUD_VARIABLE} to the id of an Elastic Cloud, or index.backend to embedded"
        )
    if url:
        return url
    try:
        address = parse_cloud_id(cloud_id).es_address
    except ValueError:
        address = None
    if address is None:
        raise ConfigError(
            f"{CLOUD_VARIABLE} must be the Cloud ID that the deployment's page shows, NAME:LETTERS, and its value is "
            "not one"
        )
    return "https://{}:{}".format(*address)


def connect(url: str, supported_majors: frozenset[int], *, user: tuple[str, str] | None = None) -> Server:
    """Return a server that answers, accepts the credentials and has a fitting version.

    Args:
        url: The server's URL, http or https, maybe with user and password.
        supported_majors: Major versions of servers that may be used.
        user: Name and password of somebody else than the environment says.

    Raises:
        ConfigError: If the URL or the fingerprint is not one, or the file of certificates does not exist.
        ServiceError: If the server cannot be reached, or has another version.
        CredentialsError: If the server refuses the credentials.
    """
    client, address = open_client(url, user=user)
    try:
        version = _checked_version(client, address, supported_majors)
    except BaseException:
        client.close()
        raise
    return Server(client=client, address=address, version=version)


def open_client(url: str, *, user: tuple[str, str] | None = None) -> tuple[Elasticsearch, str]:
    """Return a client that has sent nothing yet, and its address.

    Credentials come from ELASTICSEARCH_API_KEY, or ELASTICSEARCH_USERNAME and ELASTICSEARCH_PASSWORD, or the URL.
    Certificates are always verified: against ELASTICSEARCH_CA_CERTS, by the fingerprint in
    ELASTICSEARCH_CERT_FINGERPRINT, or else against the authorities that the system knows.

    Raises:
        ConfigError: As `connect` does.
    """
    address, credentials = _split_credentials(url)
    # What may be repeated is repeated by `patiently`, with pauses; the client itself would ask four times at once.
    client = Elasticsearch(
        address,
        request_timeout=_TIMEOUT_S,
        max_retries=0,
        **_certificates(address),
        **({"basic_auth": user} if user else _authentication(credentials)),
    )
    return client, address


def _checked_version(client: Elasticsearch, address: str, supported_majors: frozenset[int]) -> tuple[int, int]:
    def ask() -> Any:
        # Without the versioned media type of the client's own requests, which a server of another major version
        # refuses before it says which one it is.
        return client.options(request_timeout=_PREFLIGHT_TIMEOUT_S).perform_request(
            "GET", "/", headers={"accept": "*/*"}
        )

    with translated_errors(address):
        reply = patiently(ask, unreachable=False)
    version = str(reply.body["version"]["number"])
    major, minor = (int(number) for number in version.split(".")[:2])
    if major not in supported_majors:
        expected = " or ".join(str(major) for major in sorted(supported_majors))
        raise ServiceError(
            f"Elasticsearch at {address} has version {version}, expected {expected}.x, because the installed client is "
            f"elasticsearch {_CLIENT_VERSION}; use a server of that version, or unset {URL_VARIABLE} to search with "
            "the embedded engine"
        )
    return major, minor


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
    key, user = os.environ.get(KEY_VARIABLE), os.environ.get(USER_VARIABLE)
    if key:
        return {"api_key": key}
    if user:
        return {"basic_auth": (user, os.environ.get(PASSWORD_VARIABLE, ""))}
    return {"basic_auth": from_url} if from_url else {}


def _certificates(address: str) -> dict[str, Any]:
    path, fingerprint = os.environ.get(CA_VARIABLE), os.environ.get(FINGERPRINT_VARIABLE)
    if not address.startswith("https:"):
        return {}
    if fingerprint:
        if not _SHA256.fullmatch(fingerprint):
            raise ConfigError(
                f"{FINGERPRINT_VARIABLE} must be the SHA-256 fingerprint of a certificate, 64 hexadecimal digits, and "
                f"{fingerprint!r} is not one"
            )
        return {"ssl_assert_fingerprint": fingerprint}
    if not path:
        return {}
    if not Path(path).is_file():
        raise ConfigError(f"{CA_VARIABLE} must be the path of a PEM file, and {path} is no file")
    return {"ca_certs": path}
