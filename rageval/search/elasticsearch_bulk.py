"""Documents and vectors -> an Elasticsearch index, in requests that are as large as the server takes."""

from base64 import b64encode
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import elastic_transport
import elasticsearch
import orjson
from elasticsearch import Elasticsearch

from rageval.embedding.embedding_model import Matrix
from rageval.errors import DataError, ServiceError
from rageval.records import Document
from rageval.search.elasticsearch_errors import (
    Patience,
    api_error,
    error_of,
    is_blocked,
    is_busy,
    may_be_repeated,
    reason_of,
)
from rageval.search.search_index import metadata_text
from rageval.text.printable import plain_text
from rageval.text.scripts import searchable

BASE64_VECTORS: Final = (9, 3)
"""The first version that takes vectors so, which costs it a fraction of what numbers cost."""
_MOST_DOCUMENTS = 500
_MOST_BYTES = 10_000_000
"""In one request; Elasticsearch advises 5 to 15 MB, and refuses 100 MB as it comes."""
_AT_ONCE = 4
"""Requests: while the server writes one, others are under way or made."""
_LONGEST_ID = 512
_SHOWN = 5
_TOO_LARGE, _TOO_MANY = 413, 429


@dataclass(frozen=True, kw_only=True)
class _Line:
    """A document as it is sent."""

    document_id: str
    source: bytes


def check_ids(documents: Sequence[Document]) -> None:
    """Check that Elasticsearch takes the ids of documents: one that is too long would refuse a whole request.

    Raises:
        DataError: If any has more than 512 bytes.
    """
    sizes = {document.document_id: len(document.document_id.encode()) for document in documents}
    if long := {name: size for name, size in sizes.items() if size > _LONGEST_ID}:
        shown = "; ".join(f"{name[:80]}... ({size})" for name, size in list(long.items())[:_SHOWN])
        raise DataError(
            f"Elasticsearch takes ids of at most {_LONGEST_ID} bytes, and {len(long)} of {len(documents)} documents "
            f"have a longer one; shorten them, or set index.backend to embedded: {shown}"
            + ("; ..." if len(long) > _SHOWN else "")
        )


class IndexFilling:
    """The filling of one index."""

    def __init__(self, client: Elasticsearch, address: str, index: str, filter_by: str, *, takes_base64: bool) -> None:
        """Note where the documents go; nothing is sent yet.

        Args:
            client: The client; its errors are not translated here.
            address: The server's address, for messages.
            index: Name of the index, which exists.
            filter_by: The documents' metadata by which searches are filtered; empty for none.
            takes_base64: Whether the server takes vectors in Base64, see `BASE64_VECTORS`.
        """
        self._client = client
        self._address = address
        self._index = index
        self._filter_by = filter_by
        self._takes_base64 = takes_base64
        self._most = _MOST_DOCUMENTS
        self._refused: list[tuple[str, Any]] = []
        self._is_given_up = False

    def fill(self, documents: Sequence[Document], vectors: Matrix) -> None:
        """Send all documents.

        Several requests are under way at once. One that is too large is halved, and so are those after it; a busy
        server is asked again. If all documents of the first request are refused, nothing more is sent.

        Raises:
            ServiceError: If documents were refused, with the reason of each of the first, or of all of them.
        """
        chunks = self._chunks(self._lines(documents, vectors))
        first = next(chunks)
        self._send(first)
        if len(self._refused) == len(first):
            raise self._refusal(len(first), len(documents))
        with ThreadPoolExecutor(_AT_ONCE, "bulk") as pool:
            try:
                self._send_all(chunks, pool)
            except BaseException:  # Ctrl-C, too
                self._is_given_up = True
                raise
        if self._refused:
            raise self._refusal(len(documents), len(documents))

    def _send_all(self, chunks: Iterator[list[_Line]], pool: ThreadPoolExecutor) -> None:
        under_way: deque[Future[None]] = deque()
        for chunk in chunks:
            under_way.append(pool.submit(self._send, chunk))
            if len(under_way) > _AT_ONCE:
                under_way.popleft().result()
        for request in under_way:
            request.result()

    def _chunks(self, lines: Iterator[_Line]) -> Iterator[list[_Line]]:
        chunk: list[_Line] = []
        size = 0
        for line in lines:
            if chunk and (len(chunk) >= self._most or size + len(line.source) > _MOST_BYTES):
                yield chunk
                chunk, size = [], 0
            chunk.append(line)
            size += len(line.source)
        yield chunk

    def _lines(self, documents: Sequence[Document], vectors: Matrix) -> Iterator[_Line]:
        # In the order of their ids, by which equal scores are ordered.
        for position in sorted(range(len(documents)), key=lambda position: documents[position].document_id):
            document = documents[position]
            source = {
                "document_id": document.document_id,
                "filter_value": plain_text(document.filter_value(self._filter_by)),
                "title": searchable(plain_text(document.title)),
                "text": searchable(plain_text(document.text)),
                "metadata": searchable(plain_text(metadata_text(document, self._filter_by))),
                "vector": self._sent(vectors[position]),
            }
            line = orjson.dumps(source, option=orjson.OPT_SERIALIZE_NUMPY)
            yield _Line(document_id=document.document_id, source=line)

    def _sent(self, vector: Matrix) -> Any:
        """Return a vector as the server takes it: in Base64 as float32 with the highest byte first, or as numbers."""
        return b64encode(vector.astype(">f4").tobytes()).decode() if self._takes_base64 else vector

    def _send(self, chunk: list[_Line]) -> None:
        """Send documents until each was accepted or refused for good; the request may be halved on the way."""
        parts, patience = deque([chunk]), Patience()
        while parts and not self._is_given_up:
            part = parts.popleft()
            try:
                items = self._client.bulk(index=self._index, operations=list(_operations(part))).body["items"]
            except (elasticsearch.ApiError, elastic_transport.ConnectionError) as error:
                parts.extendleft(reversed(self._smaller(part, error, patience)))
                continue
            again, reason = self._take(part, items)
            if len(again) < len(part):
                patience.begin_anew()
            if again:
                if not patience.pause():
                    raise api_error(self._address, _TOO_MANY, reason)
                # A request counts twice while its documents are written, so one that was taken may still be too much.
                parts.extendleft(reversed(self._halves(again)))

    def _smaller(
        self, part: list[_Line], error: elasticsearch.ApiError | elastic_transport.ConnectionError, patience: Patience
    ) -> list[list[_Line]]:
        """Return what to send after a request has failed as a whole; raises the error if that would not help.

        A server, or a proxy before it, may close the connection in place of saying that a request is too large.
        """
        status = error.status_code if isinstance(error, elasticsearch.ApiError) else None
        if status == _TOO_LARGE and len(part) == 1:
            raise self._too_large(part[0], f"HTTP {status} {reason_of(error_of(error))}".strip()) from error
        if status != _TOO_LARGE and not (may_be_repeated(error) and patience.pause()):
            if status == _TOO_MANY and len(part) == 1:
                raise self._too_large(part[0], f"HTTP {status} {reason_of(error_of(error))}") from error
            raise error
        return self._halves(part, lasting=status in {_TOO_LARGE, _TOO_MANY})

    def _halves(self, part: list[_Line], *, lasting: bool = True) -> list[list[_Line]]:
        """Return the halves of a request that was too much; if that lasts, those after it are made no larger."""
        half = len(part) // 2
        if not half:
            return [part]
        if lasting:
            self._most = min(self._most, half)
        return [part[:half], part[half:]]

    def _take(self, part: Sequence[_Line], items: Sequence[Mapping[str, Any]]) -> tuple[list[_Line], Any]:
        """Note which documents were refused; returns those that the server was too busy for, and its last reason."""
        again, reason = [], None
        for line, item in zip(part, items, strict=True):
            [result] = item.values()
            status, error = int(result["status"]), result.get("error")
            if status < 300:
                continue
            if status == _TOO_MANY and is_busy(status, error):
                again.append(line)
                reason = error
            elif is_blocked(error) or status >= 500:
                # The index takes no documents at all; the server itself has waited a minute for it.
                raise api_error(self._address, status, error)
            else:
                self._refused.append((line.document_id, error))
        return again, reason

    def _too_large(self, line: _Line, reason: str) -> ServiceError:
        return ServiceError(
            f"Elasticsearch at {self._address} does not take the document {line.document_id[:80]}, {len(line.source):,}"
            f" bytes with its vector, even alone: {reason}; shorten it, or raise what the server takes "
            "(http.max_content_length, indexing_pressure.memory.limit, and the limit of a proxy before it)"
        )

    def _refusal(self, sent: int, documents: int) -> ServiceError:
        """Return the error that names the first of the refused documents, or what is the matter with all of them."""
        reasons = {reason_of(error) for _, error in self._refused}
        if len(self._refused) == sent > 1 == len(reasons):
            return ServiceError(
                f"Elasticsearch at {self._address} refused every document that it was sent, {sent} of {documents}, for "
                f"one reason: {reasons.pop()}; the index was not changed; look at the index templates and ingest "
                "pipelines of the server that apply to it, and run again"
            )
        first = sorted(self._refused, key=lambda refused: refused[0])[:_SHOWN]
        shown = "; ".join(f"{name[:80]} ({reason_of(error)})" for name, error in first)
        return ServiceError(
            f"Elasticsearch at {self._address} refused {len(self._refused)} of {documents} documents, and the index "
            f"was not changed; correct them and run again: {shown}" + ("; ..." if len(self._refused) > _SHOWN else "")
        )


def _operations(part: Sequence[_Line]) -> Iterator[Any]:
    for line in part:
        yield {"index": {"_id": line.document_id}}
        yield line.source
