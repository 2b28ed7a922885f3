"""What goes wrong with Elasticsearch -> our errors, in words that say what is the matter and what to do."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import elastic_transport
import elasticsearch
from urllib3.exceptions import ProtocolError

from rageval.errors import CredentialsError, InputError, ServiceError
from rageval.search.search_index import URL_VARIABLE

KEY_VARIABLE = "ELASTICSEARCH_API_KEY"
USER_VARIABLE, PASSWORD_VARIABLE = "ELASTICSEARCH_USERNAME", "ELASTICSEARCH_PASSWORD"
CA_VARIABLE, FINGERPRINT_VARIABLE = "ELASTICSEARCH_CA_CERTS", "ELASTICSEARCH_CERT_FINGERPRINT"
BUILDING, READING = "monitor the cluster and manage the run's indexes", "read the index"
"""What credentials have to allow."""
_BLOCK = "cluster_block_exception"
_BUSY = frozenset({429, 502, 503, 504})
_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 15.0)
"""Between attempts: about a minute, in which a node starts, or a queue empties."""
_LONGEST_REASON = 300
_sleep = time.sleep
_Reply = TypeVar("_Reply")


class Patience:
    """Pauses between attempts, each longer than the one before, until nothing has got on for a minute."""

    def __init__(self) -> None:
        """Begin with the shortest pause."""
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget the pauses so far: something has got on."""
        self._pauses = iter(_PAUSES_S)
        self._deadline = time.monotonic() + sum(_PAUSES_S)

    def pause(self) -> bool:
        """Wait a while; returns False, at once, if it has been long enough."""
        pause_s = next(self._pauses, None)
        if pause_s is None or time.monotonic() + pause_s > self._deadline:
            return False
        _sleep(pause_s)
        return True


def patiently(ask: Callable[[], _Reply], *, unreachable: bool = True) -> _Reply:
    """Return the reply to a request that may be repeated; a busy server, or one that starts, is asked again.

    A request that timed out is not repeated: it has taken its time already.

    Args:
        ask: Makes the request.
        unreachable: Whether a server that cannot be reached is asked again, too, because it could be a moment ago.

    Raises:
        elasticsearch.ApiError, elasticsearch.TransportError: The last one, if it never worked.
    """
    patience = Patience()
    while True:
        try:
            return ask()
        except (elasticsearch.ApiError, elastic_transport.ConnectionError) as error:
            wanted = unreachable or isinstance(error, elasticsearch.ApiError)
            if not (wanted and may_be_repeated(error) and patience.pause()):
                raise


def may_be_repeated(error: elasticsearch.ApiError | elastic_transport.ConnectionError) -> bool:
    """Return whether a request that has failed may succeed a little later."""
    if isinstance(error, elasticsearch.ApiError):
        return is_busy(error.status_code, error_of(error))
    return not isinstance(error, elastic_transport.TlsError)


@contextmanager
def translated_errors(address: str, rights: str = BUILDING) -> Iterator[None]:
    """Turn the client's errors into ours.

    Args:
        address: The server's, for messages.
        rights: What the credentials have to allow.

    Raises:
        ServiceError: If the server cannot be reached, is busy, blocked, or refuses a request.
        CredentialsError: If the server refuses the credentials, or they do not allow a request.
    """
    try:
        yield
    except elasticsearch.UnsupportedProductError as error:
        raise _other_product(address) from error
    except elasticsearch.ApiError as error:
        raise api_error(address, error.status_code, error_of(error), rights) from error
    except elasticsearch.SerializationError as error:
        raise _other_product(address) from error
    except elasticsearch.TransportError as error:
        raise _unreachable(address, error) from error


def error_of(error: elasticsearch.ApiError | elastic_transport.ConnectionError) -> Any:
    """Return Elasticsearch's description of an error; without one, the text that came instead, or None."""
    body = error.body if isinstance(error, elasticsearch.ApiError) else None
    return body["error"] if isinstance(body, Mapping) and "error" in body else (body or None)


def is_busy(status: int, error: Any) -> bool:
    """Return whether the same request may be accepted a little later, as nothing but load or a start is in its way.

    A disk that is full is announced as 429, too, and stays full.
    """
    return status in _BUSY and not (status == 429 and type_of(error) == _BLOCK)


def is_blocked(error: Any) -> bool:
    """Return whether the cluster or an index accepts no request of this kind, whoever asks."""
    return type_of(error) == _BLOCK


def api_error(address: str, status: int, error: Any, rights: str = BUILDING) -> InputError:
    """Return our error for a request, or a part of one, that Elasticsearch did not do."""
    reason = f"HTTP {status} {reason_of(error)}".strip()
    if status == 401 or (status == 403 and type_of(error) in {"", "security_exception"}):
        return CredentialsError(
            f"Elasticsearch at {address} refused the credentials: {reason}; set {KEY_VARIABLE}, or {USER_VARIABLE} and "
            f"{PASSWORD_VARIABLE}, to ones that may {rights}"
        )
    if is_blocked(error) and status not in _BUSY - {429}:
        return ServiceError(
            f"Elasticsearch at {address} is blocked: {reason}; give it free disk space, or remove the block (settings "
            "cluster.blocks.* of the cluster, index.blocks.* of an index), and run again"
        )
    if status == 429:
        return ServiceError(
            f"Elasticsearch at {address} is too busy: {reason}; run again when it has less to do, or give it more "
            "memory and processors"
        )
    if status in _BUSY:
        return ServiceError(
            f"Elasticsearch at {address} is not ready: {reason}; wait until `GET _cluster/health` says yellow or green"
            ", and run again"
        )
    return ServiceError(f"Elasticsearch at {address} refused a request: {reason}; its log says more")


def reason_of(error: Any) -> str:
    """Return the most specific reason in Elasticsearch's description of an error; a long one loses its middle."""
    reason = str(_innermost(error).get("reason") or type_of(_innermost(error))) if error else ""
    reason = " ".join(reason.split()).rstrip(";.")
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[:200]} ... {reason[-100:]}"


def type_of(error: Any) -> str:
    """Return the type of Elasticsearch's error; empty if somebody else, such as a proxy, has answered."""
    return str(error.get("type") or "") if isinstance(error, Mapping) else ""


def _innermost(error: Any) -> Mapping[str, Any]:
    """Return the error at the bottom: of the first shard that failed, and of what caused that."""
    if not isinstance(error, Mapping):
        return {"reason": error}
    shards, roots = error.get("failed_shards"), error.get("root_cause")
    if shards:
        return _innermost(shards[0].get("reason"))
    if error.get("caused_by"):
        return _innermost(error["caused_by"])
    return roots[0] if roots and not error.get("reason") else error


def _other_product(address: str) -> ServiceError:
    return ServiceError(
        f"what answers at {address} is not Elasticsearch; set {URL_VARIABLE} to the URL of one, or unset it to search "
        "with the embedded engine"
    )


def _unreachable(address: str, error: elasticsearch.TransportError) -> ServiceError:
    if isinstance(error, elastic_transport.TlsError):
        return ServiceError(
            f"Elasticsearch at {address} cannot be trusted: {error.message}; set {CA_VARIABLE} to the PEM file of the "
            f"authority that signed its certificate, or {FINGERPRINT_VARIABLE} to the SHA-256 fingerprint of either; "
            f"where it speaks no TLS, {URL_VARIABLE} begins with http://"
        )
    if isinstance(error, elastic_transport.ConnectionTimeout):
        return ServiceError(
            f"Elasticsearch at {address} did not answer in time: {error.message}; look at its load and its log, and "
            "run again"
        )
    hint = ""
    if address.startswith("http:") and isinstance(error.__cause__, ProtocolError):
        hint = f"where it speaks TLS, {URL_VARIABLE} begins with https://; or "
    return ServiceError(
        f"Elasticsearch at {address} cannot be reached: {error.message}; {hint}start it or unset {URL_VARIABLE}"
    )
