"""Documents and vectors -> an Elasticsearch index with BM25 and kNN search.

An index's name is an alias. Each build fills a new index, `<name>-<fingerprint>`, and moves the alias when all
documents are in it; a crash leaves the alias where it was, and the next build removes what is left over.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import elasticsearch
from elasticsearch import helpers

from rageval.adapters.elasticsearch_client import CLIENT_MAJOR, connect, reason_of, translated_errors
from rageval.adapters.search_index import (
    Found,
    IndexIdentity,
    Matrix,
    best_first,
    check_build,
    check_dimensions,
    check_search,
    not_built,
    plain_text,
)
from rageval.errors import IndexMismatchError, ServiceError
from rageval.records import Document, Hit
from rageval.scripts import searchable

_BATCH = 100
"""Searches in one request."""
_ITEMS_SHOWN = 5


class ElasticsearchIndex:
    """A search index in Elasticsearch; implements `SearchIndex`."""

    backend = "elasticsearch"

    def __init__(
        self,
        url: str,
        name: str,
        question_boost: float,
        index_options: str,
        supported_majors: frozenset[int] = frozenset({CLIENT_MAJOR}),
    ) -> None:
        """Connect, and check that the server can be used; nothing is built yet.

        Credentials come from the environment, see `connect`.

        Args:
            url: The server's URL, http or https.
            name: Name of the alias.
            question_boost: How much more a match in a document's question counts in text search.
            index_options: Type of the vector index: flat (exact), hnsw, int8_hnsw or bbq_hnsw.
            supported_majors: Major versions of servers that this client can talk to.

        Raises:
            ConfigError: If the URL is not one, or the file of certificates does not exist.
            ServiceError: If the server cannot be reached, or its major version is not supported.
            CredentialsError: If the server refuses the credentials.
        """
        self.name = name
        self.options: Mapping[str, str] = {"index_options": index_options}
        self._fields = [f"question^{question_boost}", "text", "section"]
        self._client, self._url = connect(url, supported_majors)

    def identity(self) -> IndexIdentity | None:
        """Return what the index was built from, or None if there is no index of this name.

        Raises:
            IndexMismatchError: If the name belongs to an index that something else has built.
        """
        current = self._current()
        return current[1] if current else None

    def build(self, documents: Sequence[Document], vectors: Matrix, identity: IndexIdentity) -> None:
        """Replace the index as a whole: fill a new one, check it, move the alias, remove the old one.

        Raises:
            ValueError: If documents, vectors and identity do not belong together.
            IndexMismatchError: If the name belongs to an index that something else has built.
            ServiceError: If documents were refused, or not all of them can be found afterwards.
        """
        check_build(documents, vectors, identity)
        current = self._current()
        target = f"{self.name}-{identity.fingerprint[:12]}"
        if current and current[0] == target:
            target += "-rebuilt"
        with translated_errors(self._url):
            self._remove_builds(keep=current[0] if current else None)
            self._create(target, identity)
            try:
                self._fill(target, documents, vectors)
                self._check(target, identity)
            except BaseException:
                self._client.indices.delete(index=target, ignore_unavailable=True)
                raise
            self._move_alias(target, current[0] if current else None)
            self._remove_builds(keep=target)

    def search_text(self, queries: Sequence[str], courses: Sequence[str], k: int) -> list[Found]:
        """Return the best `k` documents by BM25 for each query, within the course of the same position.

        A document's score is the best of its fields' scores. English stemming and stop words apply, and scripts
        without spaces are cut by `searchable`, as in LanceDB. The latency is the time that Elasticsearch says it took,
        in steps of a millisecond.

        Raises:
            ValueError: If there is not one course for each query, or `k` is below 1.
            IndexMismatchError: If the index has not been built.
            ServiceError: If a search fails.
        """
        check_search(queries, courses, k)
        self._required()
        bodies = [self._text_body(query, course, k) for query, course in zip(queries, courses, strict=True)]
        return [_found(reply, k) for reply in self._search(bodies)]

    def search_vector(self, vectors: Matrix, courses: Sequence[str], k: int) -> list[Found]:
        """Return the best `k` documents by cosine for each row, within the course of the same position.

        Exact with the index options `flat`. The latency is as in `search_text`.

        Raises:
            ValueError: If there is not one course for each row, or `k` is below 1.
            IndexMismatchError: If the index has not been built, or holds vectors of another length.
            ServiceError: If a search fails.
        """
        check_search(vectors, courses, k)
        if not courses:
            return []
        check_dimensions(self, self._required(), vectors)
        bodies = [_vector_body(vector, course, k) for vector, course in zip(vectors, courses, strict=True)]
        # Elasticsearch's score of a cosine is (1 + cosine) / 2.
        return [_found(reply, k, scale=2.0, offset=-1.0) for reply in self._search(bodies)]

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def _current(self) -> tuple[str, IndexIdentity] | None:
        """Return the index behind the alias and what it was built from."""
        with translated_errors(self._url):
            try:
                mappings = self._client.indices.get_mapping(index=self.name).body
            except elasticsearch.NotFoundError:
                return None
        expected = {field.name for field in fields(IndexIdentity)}
        if len(mappings) == 1:
            [(index, mapping)] = mappings.items()
            meta = mapping["mappings"].get("_meta", {})
            if index != self.name and set(meta) == expected:
                return index, IndexIdentity(**meta)
        raise IndexMismatchError(
            f"{self.name} at {self._url} stands for {', '.join(sorted(mappings))}, which this program did not build "
            "and will not replace; choose another index.name"
        )

    def _required(self) -> IndexIdentity:
        current = self._current()
        if current is None:
            raise not_built(self)
        return current[1]

    def _remove_builds(self, keep: str | None) -> None:
        """Remove all builds but one: the old index, and what a crash left over."""
        build = re.compile(re.escape(self.name) + r"-[0-9a-f]{12}(-rebuilt)?")
        for index in self._client.indices.get_alias(index=f"{self.name}-*").body:
            if index != keep and build.fullmatch(index):
                self._client.indices.delete(index=index, ignore_unavailable=True)

    def _create(self, target: str, identity: IndexIdentity) -> None:
        text = {"type": "text", "analyzer": "english"}
        vector = {
            "type": "dense_vector",
            "dims": identity.dimensions,
            "index": True,
            "similarity": "cosine",
            "index_options": {"type": self.options["index_options"]},
        }
        self._client.indices.create(
            index=target,
            # One shard: scores do not depend on how documents are spread.
            settings={"number_of_shards": 1, "auto_expand_replicas": "0-1"},
            mappings={
                "dynamic": "strict",
                "_meta": asdict(identity),
                "properties": {
                    "document_id": {"type": "keyword"},
                    "course": {"type": "keyword"},
                    "section": text,
                    "question": text,
                    "text": text,
                    "vector": vector,
                },
            },
        )

    def _fill(self, target: str, documents: Sequence[Document], vectors: Matrix) -> None:
        results = helpers.streaming_bulk(
            self._client, _actions(target, documents, vectors), raise_on_error=False, yield_ok=False, max_retries=5
        )
        refused = [_refusal(item) for ok, item in results if not ok]
        if refused:
            raise ServiceError(
                f"Elasticsearch at {self._url} refused {len(refused)} of {len(documents)} documents, and the index "
                f"{self.name} was not changed; correct them and run again: {'; '.join(refused[:_ITEMS_SHOWN])}"
                + ("; ..." if len(refused) > _ITEMS_SHOWN else "")
            )

    def _check(self, target: str, identity: IndexIdentity) -> None:
        self._client.indices.refresh(index=target)
        found = int(self._client.count(index=target).body["count"])
        # If someone else removes the index meanwhile, the server creates it anew, without our mapping.
        mapping = self._client.indices.get_mapping(index=target).body[target]["mappings"]
        if found != identity.documents or mapping.get("_meta") != asdict(identity):
            raise ServiceError(
                f"Elasticsearch at {self._url} holds {found} of {identity.documents} documents in {target} after "
                "indexing, or another process changed it; make sure that nothing else builds this index, and run again"
            )

    def _move_alias(self, target: str, old: str | None) -> None:
        actions: list[dict[str, Any]] = [{"add": {"index": target, "alias": self.name}}]
        if old:
            actions.insert(0, {"remove": {"index": old, "alias": self.name}})
        self._client.indices.update_aliases(actions=actions)

    def _text_body(self, query: str, course: str, k: int) -> dict[str, Any]:
        match = {"query": searchable(plain_text(query)), "type": "best_fields", "fields": self._fields}
        return {
            "size": k,
            "_source": False,
            "query": {"bool": {"must": {"multi_match": match}, "filter": _in_course(course)}},
            "sort": [{"_score": "desc"}, {"document_id": "asc"}],
        }

    def _search(self, bodies: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        for start in range(0, len(bodies), _BATCH):
            searches: list[Mapping[str, Any]] = []
            for body in bodies[start : start + _BATCH]:
                searches += [{}, body]
            with translated_errors(self._url):
                replies = self._client.msearch(index=self.name, searches=searches).body["responses"]
            for reply in replies:
                if "error" in reply:
                    raise ServiceError(
                        f"a search in {self.name} at {self._url} failed: {reason_of(reply['error'])}; the server's log "
                        "says more"
                    )
                yield reply


def _actions(target: str, documents: Sequence[Document], vectors: Matrix) -> Iterator[dict[str, Any]]:
    # In the order of their ids, because the engine resolves equal scores at the cut-off by position.
    for position in sorted(range(len(documents)), key=lambda position: documents[position].document_id):
        document = documents[position]
        yield {
            "_index": target,
            "_id": document.document_id,
            "document_id": document.document_id,
            "course": document.course,
            "section": searchable(document.section),
            "question": searchable(document.question),
            "text": searchable(document.text),
            "vector": vectors[position],
        }


def _vector_body(vector: Any, course: str, k: int) -> dict[str, Any]:
    knn = {
        "field": "vector",
        "query_vector": vector,
        "k": k,
        "num_candidates": min(10_000, max(100, 10 * k)),
        "filter": _in_course(course),
    }
    return {"size": k, "_source": False, "knn": knn}


def _in_course(course: str) -> dict[str, Any]:
    if not course:
        return {"match_all": {}}
    return {"term": {"course": plain_text(course)}}


def _found(reply: Mapping[str, Any], k: int, scale: float = 1.0, offset: float = 0.0) -> Found:
    hits = (Hit(document_id=hit["_id"], score=scale * float(hit["_score"]) + offset) for hit in reply["hits"]["hits"])
    return Found(hits=best_first(hits, k), latency_s=float(reply["took"]) / 1000)


def _refusal(item: Mapping[str, Any]) -> str:
    [result] = item.values()
    return f"{str(result.get('_id'))[:80]} ({reason_of(result.get('error'))})"
