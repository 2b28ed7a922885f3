"""Documents and vectors -> an Elasticsearch index with BM25 and kNN search.

An index's name is an alias. Each build fills a new index of its own, `<name>-<fingerprint>-<random>`, and moves the
alias when all documents are in it; a crash leaves the alias where it was. What is no longer behind the alias may still
be searched, or filled, by another process: later builds remove it half a day after it was replaced, or begun.
"""

import logging
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import elasticsearch

from rageval.config.evaluation import Language
from rageval.errors import IndexMismatchError, ServiceError
from rageval.records import Document, Hit
from rageval.search.elasticsearch_bulk import IndexFilling, check_ids
from rageval.search.elasticsearch_client import CLIENT_MAJOR, connect
from rageval.search.elasticsearch_errors import error_of, patiently, reason_of, translated_errors
from rageval.search.elasticsearch_search import ElasticsearchQuery, search_each
from rageval.search.search_index import (
    IndexIdentity,
    Matrix,
    SearchResult,
    best_first,
    check_build,
    check_dimensions,
    check_search,
    not_built,
    plain_text,
    replaced,
)
from rageval.search.text_rules import TextQuery
from rageval.text.scripts import searchable

_logger = logging.getLogger(__name__)
_KEPT_MS = 12 * 3600 * 1000
"""How long a build stays that another one has replaced, or that was never finished: longer than a search or a build."""
_REPLACED = "replaced_ms"
_CLEAN_UP_S = 5.0
_MOVES = 10
"""Attempts to move the alias: each is lost to another build that was faster."""
_Built = tuple[str, IndexIdentity]


class ElasticsearchIndex:
    """A search index in Elasticsearch; implements `SearchIndex`."""

    backend = "elasticsearch"

    def __init__(
        self,
        url: str,
        name: str,
        text: TextQuery,
        index_options: str,
        supported_majors: frozenset[int] = frozenset({CLIENT_MAJOR}),
        *,
        shards: int = 1,
        replicas: int | None = None,
        filter_by: str = "",
        language: Language = "auto",
    ) -> None:
        """Connect, and check that the server can be used; nothing is built yet.

        Credentials come from the environment, see `connect`.

        Args:
            url: The server's URL, http or https.
            name: Name of the alias.
            text: How text search combines fields.
            index_options: Type of the vector index: flat (exact), hnsw, int8_hnsw or bbq_hnsw.
            supported_majors: Major versions of servers that this client can talk to.
            shards: Into how many parts a built index is divided.
            replicas: Copies of each; None is one where there is a second node.
            filter_by: The documents' metadata by which searches are filtered; empty for none.
            language: By whose rules texts are cut when it is built.

        Raises:
            ConfigError: If the URL is not one, or the file of certificates does not exist.
            ServiceError: If the server cannot be reached, or its major version is not supported.
            CredentialsError: If the server refuses the credentials.
        """
        self.name = name
        copies = "auto" if replicas is None else str(replicas)
        self.options: Mapping[str, str] = {
            "index_options": index_options, "shards": str(shards), "replicas": copies, "filter_by": filter_by,
            "language": language,
        }  # fmt: skip
        self._fields = [f"{field}^{boost}" for field, boost in text.boosts.items()]
        self._held: _Built | None = None
        self._client, self._url = connect(url, supported_majors)

    def identity(self) -> IndexIdentity | None:
        """Return what the index was built from, or None if there is no index of this name.

        Raises:
            IndexMismatchError: If the name belongs to an index that something else has built.
        """
        current = self._current()
        return current[1] if current else None

    def hold(self, fingerprint: str = "") -> None:
        """Search one build from now on, whatever takes its name meanwhile; see `SearchIndex`.

        Raises:
            IndexMismatchError: If there is none, or none with this fingerprint any more.
        """
        self._held = None
        held = self._required()
        if fingerprint and held[1].fingerprint != fingerprint:
            with translated_errors(self._url):
                builds = self._builds()
            # Only what was behind the alias is whole.
            whole = {name: _identity(meta) for name, (_, meta) in builds.items() if _REPLACED in meta}
            fitting = [(name, found) for name, found in whole.items() if found and found.fingerprint == fingerprint]
            if not fitting:
                raise replaced(self)
            held = fitting[-1]
        self._held = held

    def build(self, documents: Sequence[Document], vectors: Matrix, identity: IndexIdentity) -> None:
        """Replace the index as a whole: fill a new one, check it, move the alias.

        Raises:
            ValueError: If documents, vectors and identity do not belong together.
            DataError: If ids are longer than Elasticsearch takes.
            IndexMismatchError: If the name belongs to an index that something else has built.
            ServiceError: If documents were refused, or not all of them can be found afterwards.
        """
        check_build(documents, vectors, identity)
        check_ids(documents)
        self._current()
        target = f"{self.name}-{identity.fingerprint[:12]}-{secrets.token_hex(4)}"
        with translated_errors(self._url):
            try:
                self._create(target, identity)
                created_ms = self._remove_builds(target)
                IndexFilling(self._client, self._url, target, self.options["filter_by"]).fill(documents, vectors)
                self._check(target, identity)
                self._move_alias(target, created_ms)
            except BaseException:
                # Ctrl-C too: half an index is of no use to anybody.
                self._abandon(target)
                raise
        self._held = None

    def search_text(self, queries: Sequence[str], filters: Sequence[str], k: int) -> list[SearchResult]:
        """Return the best `k` documents by BM25 for each query, within the filter of the same position.

        A document's score is the best of its fields' scores. English stemming and stop words apply, and scripts
        without spaces are cut by `searchable`. The latency is the time that Elasticsearch says it took,
        in steps of a millisecond.

        Raises:
            ValueError: If there is not one filter for each query, or `k` is below 1.
            IndexMismatchError: If the index has not been built, or is gone.
            ServiceError: If a search fails.
        """
        check_search(queries, filters, k)
        index, _ = self._required()
        searches = [
            ElasticsearchQuery(name=_shortened(query), body=self._text_body(query, only, k))
            for query, only in zip(queries, filters, strict=True)
        ]
        return [_found(reply, k) for reply in self._search(index, searches)]

    def search_vector(self, vectors: Matrix, filters: Sequence[str], k: int) -> list[SearchResult]:
        """Return the best `k` documents by cosine for each row, within the filter of the same position.

        Exact with the index options `flat`. The latency is as in `search_text`.

        Raises:
            ValueError: If there is not one filter for each row, or `k` is below 1.
            IndexMismatchError: If the index has not been built, is gone, or holds vectors of another length.
            ServiceError: If a search fails.
        """
        check_search(vectors, filters, k)
        if not filters:
            return []
        index, identity = self._required()
        check_dimensions(self, identity, vectors)
        searches = [
            ElasticsearchQuery(name=f"vector {number}", body=_vector_body(vector, only, k))
            for number, (vector, only) in enumerate(zip(vectors, filters, strict=True), 1)
        ]
        # Elasticsearch's score of a cosine is (1 + cosine) / 2.
        return [_found(reply, k, scale=2, offset=-1) for reply in self._search(index, searches)]

    def remove(self) -> None:
        """Remove the index and all its builds.

        Raises:
            ServiceError, CredentialsError: If the server does not do it.
        """
        with translated_errors(self._url):
            for build in self._builds():
                self._client.indices.delete(index=build, ignore_unavailable=True)

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def _current(self) -> _Built | None:
        """Return the index behind the alias and what it was built from."""
        with translated_errors(self._url):
            try:
                mappings = patiently(lambda: self._client.indices.get_mapping(index=self.name)).body
            except elasticsearch.NotFoundError:
                return None
        if len(mappings) == 1:
            [(index, mapping)] = mappings.items()
            identity = _identity(mapping["mappings"].get("_meta", {}))
            if index != self.name and identity:
                return index, identity
        raise IndexMismatchError(
            f"{self.name} at {self._url} stands for {', '.join(sorted(mappings))}, which this program did not build "
            "and will not replace; choose another index.name"
        )

    def _required(self) -> _Built:
        current = self._held or self._current()
        if current is None:
            raise not_built(self)
        return current

    def _builds(self) -> dict[str, tuple[int, Mapping[str, Any]]]:
        """Return when each build of this index was created, by the server's clock, and what is noted of it."""
        pattern = re.compile(re.escape(self.name) + r"-[0-9a-f]{12}-[0-9a-f]{8}")
        found = patiently(lambda: self._client.indices.get(index=f"{self.name}-*")).body
        return {
            name: (int(index["settings"]["index"]["creation_date"]), index["mappings"].get("_meta", {}))
            for name, index in found.items()
            if pattern.fullmatch(name)
        }

    def _remove_builds(self, target: str) -> int:
        """Remove what was replaced, or begun and not finished, too long ago; returns when the target was created."""
        builds, current = self._builds(), self._current()
        now_ms, _ = builds[target]
        stay = {target, current[0] if current else target}
        for name, (created_ms, meta) in builds.items():
            if name not in stay and now_ms - int(meta.get(_REPLACED, created_ms)) > _KEPT_MS:
                self._client.indices.delete(index=name, ignore_unavailable=True)
        return now_ms

    def _create(self, target: str, identity: IndexIdentity) -> None:
        settings: dict[str, Any] = {
            "number_of_shards": int(self.options["shards"]),
            # It is refreshed once, when all documents are in it, and not written to any more.
            "refresh_interval": "-1",
        }
        if self.options["replicas"] == "auto":
            settings["auto_expand_replicas"] = "0-1"
        else:
            settings["number_of_replicas"] = int(self.options["replicas"])
        created = patiently(
            lambda: self._client.indices.create(
                index=target, settings=settings, mappings=_mappings(identity, self.options["index_options"])
            ),
            unreachable=False,
        )
        if not created.body["shards_acknowledged"] and (obstacle := self._obstacle(target)):
            raise ServiceError(
                f"Elasticsearch at {self._url} finds no node that may hold the new index: {obstacle}; "
                "the old one was not changed; mend that, and run again"
            )

    def _obstacle(self, target: str) -> str | None:
        """Return why an index is on no node, in the server's words, or None if it is, or can be, by now."""
        try:
            explained = self._client.cluster.allocation_explain(index=target, shard=0, primary=True).body
        except elasticsearch.ApiError as error:
            return f"it does not say why ({reason_of(error_of(error))})"
        if explained.get("can_allocate", "yes") == "yes":
            return None
        deciders = [
            decider["explanation"]
            for node in explained.get("node_allocation_decisions", [])
            for decider in node.get("deciders", [])
            if decider.get("decision") == "NO"
        ]
        reasons = deciders or [
            explained.get("allocate_explanation") or explained.get("can_allocate") or "no reason given"
        ]
        return "; ".join(dict.fromkeys(str(reason) for reason in reasons))

    def _check(self, target: str, identity: IndexIdentity) -> None:
        patiently(lambda: self._client.indices.refresh(index=target))
        found = int(patiently(lambda: self._client.count(index=target)).body["count"])
        # If someone else removes the index meanwhile, the server creates it anew, without our mapping.
        mapping = self._client.indices.get_mapping(index=target).body[target]["mappings"]
        if found != identity.documents or _identity(mapping.get("_meta", {})) != identity:
            raise ServiceError(
                f"Elasticsearch at {self._url} holds {found} of {identity.documents} documents in {target} after "
                "indexing, or another process changed it; make sure that nothing else builds this index, and run again"
            )

    def _move_alias(self, target: str, created_ms: int) -> None:
        """Let the name stand for the new build; the old one is marked with the time, for whoever removes it.

        An alias has one write index at most: of those that move it at once, the server lets one through, and the others
        look again at what it stands for.
        """
        for attempts_left in reversed(range(_MOVES)):
            actions: list[dict[str, Any]] = [{"add": {"index": target, "alias": self.name, "is_write_index": True}}]
            if old := self._current():
                meta = self._builds().get(old[0], (0, {}))[1]
                self._client.indices.put_mapping(index=old[0], meta={**meta, _REPLACED: created_ms})
                actions.insert(0, {"remove": {"index": old[0], "alias": self.name}})
            try:
                self._client.indices.update_aliases(actions=actions)
                return
            except elasticsearch.ApiError:
                if not attempts_left:
                    raise

    def _abandon(self, target: str) -> None:
        """Remove a build that has failed, if that is quickly done; otherwise a later build does it."""
        try:
            self._client.options(request_timeout=_CLEAN_UP_S).indices.delete(index=target, ignore_unavailable=True)
        except (elasticsearch.ApiError, elasticsearch.TransportError) as error:
            _logger.warning("The index %s at %s stays for now: %s", target, self._url, error)

    def _text_body(self, query: str, only: str, k: int) -> dict[str, Any]:
        match = {"query": searchable(plain_text(query)), "type": "best_fields", "fields": self._fields}
        return {
            "size": k,
            "_source": False,
            "query": {"bool": {"must": {"multi_match": match}, "filter": _filter(only)}},
            "sort": [{"_score": "desc"}, {"document_id": "asc"}],
        }

    def _search(self, index: str, searches: Sequence[ElasticsearchQuery]) -> Iterator[Mapping[str, Any]]:
        header: dict[str, Any] = {"allow_partial_search_results": False}
        if self.options["shards"] != "1":
            # Words are counted in all shards: scores do not depend on how documents are spread.
            header["search_type"] = "dfs_query_then_fetch"
        with translated_errors(self._url):
            yield from search_each(self._client, self._url, index, searches, header)


def _mappings(identity: IndexIdentity, index_options: str) -> dict[str, Any]:
    text = {"type": "text", "analyzer": "english"}
    vector = {
        "type": "dense_vector",
        "dims": identity.dimensions,
        "index": True,
        "similarity": "cosine",
        "index_options": {"type": index_options},
    }
    return {
        "dynamic": "strict",
        "_meta": asdict(identity),
        "properties": {
            "document_id": {"type": "keyword"},
            "filter_value": {"type": "keyword"},
            "title": text,
            "text": text,
            "metadata": text,
            "vector": vector,
        },
    }


def _identity(meta: Mapping[str, Any]) -> IndexIdentity | None:
    """Return what a build was made from; an index template may have added notes of its own."""
    names = [field.name for field in fields(IndexIdentity)]
    return IndexIdentity(**{name: meta[name] for name in names}) if set(names) <= set(meta) else None


def _vector_body(vector: Any, only: str, k: int) -> dict[str, Any]:
    knn = {
        "field": "vector",
        "query_vector": vector,
        "k": k,
        "num_candidates": min(10_000, max(100, 10 * k)),
        "filter": _filter(only),
    }
    return {"size": k, "_source": False, "knn": knn}


def _filter(only: str) -> dict[str, Any]:
    if not only:
        return {"match_all": {}}
    return {"term": {"filter_value": plain_text(only)}}


def _found(reply: Mapping[str, Any], k: int, scale: float = 1.0, offset: float = 0.0) -> SearchResult:
    hits = (Hit(document_id=hit["_id"], score=scale * float(hit["_score"]) + offset) for hit in reply["hits"]["hits"])
    return SearchResult(hits=best_first(hits, k), latency_s=float(reply["took"]) / 1000)


def _shortened(query: str) -> str:
    words = plain_text(query)
    return repr(words if len(words) <= 80 else f"{words[:77]}...")
