"""Questions -> what a team's own search finds in an Elasticsearch index that is there already, which is only read.

The one request that is ever made is `POST /<index>/_msearch`: the right to read the index suffices.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import elasticsearch

from rageval.config.existing_index import ExistingIndexConfig
from rageval.corpus.opening import read_text
from rageval.embedding.embedding_model import Matrix
from rageval.errors import ConfigError, IndexMismatchError, ServiceError
from rageval.records import Question
from rageval.safety.allowances import check_index
from rageval.search.elasticsearch_client import open_client, server_url
from rageval.search.elasticsearch_errors import (
    READING,
    api_error,
    error_of,
    is_blocked,
    reason_of,
    translated_errors,
    type_of,
)
from rageval.search.elasticsearch_search import ElasticsearchQuery, replies_to
from rageval.search.own_search import PassageHit, PassageResult
from rageval.text.json_template import JsonTemplate
from rageval.text.printable import plain_text

_HEADERS: Final = {
    # Both the 8 and the 9 speak version 8 of the API, and an index of a team may be on either.
    "accept": "application/vnd.elasticsearch+json; compatible-with=8",
    "content-type": "application/vnd.elasticsearch+x-ndjson; compatible-with=8",
}
_HEADER: Final = {"allow_partial_search_results": False}
_GONE: Final = frozenset({"index_not_found_exception", "index_closed_exception"})


class ExistingIndex:
    """A search in an index that something else has built and fills; implements `OwnSearch`."""

    def __init__(self, settings: ExistingIndexConfig, question_boost: float, depth: int) -> None:
        """Read the query; nothing is sent yet.

        Args:
            settings: The index, its fields and its query.
            question_boost: How much more a match in the title counts, without a query of one's own.
            depth: How many documents are wanted.

        Raises:
            ConfigError: If the query cannot be used, no server is named, or the run may not search the index.
            DataError: If its file is not there.
        """
        check_index(settings.index)
        self._settings, self._depth = settings, depth
        self._template = _template(settings, question_boost, depth)
        self._client, self._url = open_client(server_url(wanted_by=f"the index {settings.index} is to be searched"))

    @property
    def needs_vectors(self) -> bool:
        """Whether the query has a place for a vector."""
        return "vector" in self._template.names

    @property
    def identity(self) -> str:
        """The settings and the query."""
        return f"{self._url} {self._settings.model_dump_json()} {self._template.body} {self._depth}"

    def search(self, questions: Sequence[Question], vectors: Matrix | None) -> list[PassageResult]:
        """Return what is found for each question, see `OwnSearch`; the latency is the server's own `took`.

        Raises:
            IndexMismatchError: If there is no such index, or it is closed.
            CredentialsError: If the credentials may not read it.
            ServiceError: If the server cannot be used, or refuses the query.
        """
        rows = [None] * len(questions) if vectors is None else [row.tolist() for row in vectors]
        searches = [
            ElasticsearchQuery(name=question.question, body=self._body(question, row))
            for question, row in zip(questions, rows, strict=True)
        ]
        with translated_errors(self._url, READING):
            try:
                return list(self._results(searches))
            except elasticsearch.BadRequestError as error:  # what cannot be parsed is refused with all beside it
                raise ServiceError(
                    f"Elasticsearch at {self._url} refuses the query for the index {self._settings.index}: "
                    f"{reason_of(error_of(error))}; correct the query, or the names of fields"
                ) from error

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def _results(self, searches: Sequence[ElasticsearchQuery]) -> Iterator[PassageResult]:
        for reply in replies_to(self._ask, self._url, searches, _HEADER):
            latency_s = float(reply.get("took", 0)) / 1000
            if "error" in reply:
                self._raise_unless_of_one_question(reply)
                reason = f"HTTP {reply['status']} {reason_of(reply['error'])}"
                yield PassageResult(latency_s=latency_s, error=reason)
            else:
                yield PassageResult(hits=self._hits(reply), latency_s=latency_s)

    def _raise_unless_of_one_question(self, reply: Mapping[str, Any]) -> None:
        """Raise what no other question would change."""
        status, error = reply["status"], reply["error"]
        if type_of(error) in _GONE:
            raise IndexMismatchError(
                f"the index {self._settings.index} at {self._url} is not there or closed: {reason_of(error)}; correct "
                "elasticsearch.index of the retriever"
            )
        if status in (401, 403) or status >= 500 or is_blocked(error):
            raise api_error(self._url, status, error, READING)

    def _ask(self, lines: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        path = f"/{quote(self._settings.index, safe=',*')}/_msearch"
        body: Mapping[str, Any] = self._client.perform_request(
            "POST", path, params={"max_concurrent_searches": 1}, headers=_HEADERS, body=lines
        ).body
        return body

    def _body(self, question: Question, vector: list[float] | None) -> dict[str, Any]:
        values = {
            "question": plain_text(question.question),
            "vector": vector,
            "depth": self._depth,
            "filters": self._filters(question),
            "filter_value": plain_text(question.filter_value),
        }
        return {"size": self._depth, "_source": self._fields, **self._template.filled(values)}

    @property
    def _fields(self) -> list[str]:
        named = (self._settings.id_field, self._settings.text_field, self._settings.title_field)
        return [name for name in named if name]

    def _filters(self, question: Question) -> list[dict[str, Any]]:
        fixed = [{"term": {one.field: one.value}} for one in self._settings.filters]
        if not (self._settings.filter_field and question.filter_value):
            return fixed
        return [*fixed, {"term": {self._settings.filter_field: plain_text(question.filter_value)}}]

    def _hits(self, reply: Mapping[str, Any]) -> tuple[PassageHit, ...]:
        settings, hits = self._settings, []
        for rank, hit in enumerate(reply["hits"]["hits"], 1):
            source = hit.get("_source") or hit.get("fields") or {}
            score = hit.get("_score")  # a search that sorts has none
            hits.append(
                PassageHit(
                    document_id=_text(source, settings.id_field) if settings.id_field else str(hit["_id"]),
                    text=_text(source, settings.text_field),
                    title=_text(source, settings.title_field) if settings.title_field else "",
                    score=1 / rank if score is None else float(score),
                )
            )
        return tuple(hits)


def _template(settings: ExistingIndexConfig, question_boost: float, depth: int) -> JsonTemplate:
    if settings.query:
        return settings.body_of(settings.query)
    if not settings.query_file:
        return settings.default_body(question_boost, depth)
    try:
        return settings.body_of(read_text(settings.query_file))
    except ValueError as error:
        raise ConfigError(f"the query in {settings.query_file} cannot be used: {error}") from None


def _text(source: Any, field: str) -> str:
    """Return what a document has in a field: parts of a list one below the other; empty where it has nothing."""
    value = _value(source, field)
    if isinstance(value, Mapping):  # as a field of the type semantic_text once came
        value = value.get("text")
    parts = value if isinstance(value, list) else [value]
    return "\n".join(str(part) for part in parts if part is not None)


def _value(source: Any, field: str) -> Any:
    """Return the value of a field by its dotted name, which may be a name as a whole, or lead through objects."""
    if not isinstance(source, Mapping):
        return None
    if field in source:
        return source[field]
    parts = field.split(".")
    for stop in range(len(parts) - 1, 0, -1):
        if (inner := source.get(".".join(parts[:stop]))) is not None:
            return _value(inner, ".".join(parts[stop:]))
    return None
