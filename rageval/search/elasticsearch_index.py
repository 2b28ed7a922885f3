"""Documents and vectors -> an Elasticsearch index with BM25 and kNN search; its builds are `ElasticsearchBuilds`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rageval.config.evaluation import Language
from rageval.embedding.embedding_model import Matrix
from rageval.records import Document
from rageval.search.elasticsearch_builds import Build, ElasticsearchBuilds
from rageval.search.elasticsearch_bulk import BASE64_VECTORS, IndexFilling, check_ids
from rageval.search.elasticsearch_client import CLIENT_MAJOR, connect
from rageval.search.elasticsearch_errors import translated_errors
from rageval.search.elasticsearch_queries import (
    MORE,
    MOST_EQUALS,
    MOST_HITS,
    builds_in,
    ends_among_equals,
    hits_of,
    shortened,
    text_body,
    vector_body,
)
from rageval.search.elasticsearch_search import ElasticsearchQuery, search_each
from rageval.search.search_index import (
    IndexIdentity,
    SearchResult,
    check_build,
    check_dimensions,
    check_search,
    not_built,
    replaced,
)
from rageval.search.text_analysis import analysis_language
from rageval.search.text_rules import TextQuery


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
        self._language: Language = language
        self._text = text
        self._opened: Build | None = None
        """What the name stood for when it was last asked for."""
        self._held: Build | None = None
        self._holds_next = False
        """Whether the build that answers the next search is held."""
        server = connect(url, supported_majors)
        self._client, self._url = server.client, server.address
        self._builds = ElasticsearchBuilds(self._client, self._url, name)
        self._takes_base64 = server.version >= BASE64_VECTORS

    def identity(self) -> IndexIdentity | None:
        """Return what the index was built from, or None if there is no index of this name.

        Raises:
            IndexMismatchError: If the name belongs to an index that something else has built.
        """
        current = self._builds.current()
        return current[1] if current else None

    def hold(self, fingerprint: str = "") -> None:
        """Search one build from now on, whatever takes its name meanwhile; see `SearchIndex`.

        Without a fingerprint it is the build that answers the next search; so it takes no request to hold it.

        Raises:
            IndexMismatchError: If there is none, or none with this fingerprint any more.
        """
        if fingerprint and self._held and self._held[1].fingerprint == fingerprint:
            return
        self._held, self._holds_next = None, not fingerprint
        if not fingerprint:
            self._required()
            return
        held = self._asked()
        if held[1].fingerprint != fingerprint:
            with translated_errors(self._url):
                earlier = self._builds.with_fingerprint(fingerprint)
            if earlier is None:
                raise replaced(self)
            held = earlier
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
        self._builds.current()
        language = analysis_language(documents, self._language)
        target = self._builds.new_name(identity)
        with translated_errors(self._url):
            try:
                self._builds.create(target, identity, language, self.options)
                created_ms = self._builds.remove_old(target)
                IndexFilling(
                    self._client, self._url, target, self.options["filter_by"], takes_base64=self._takes_base64
                ).fill(documents, vectors)
                self._builds.check(target, identity)
                self._builds.move_alias(target, created_ms)
            except BaseException:
                # Ctrl-C too: half an index is of no use to anybody.
                self._builds.abandon(target)
                raise
        self._opened = self._held = None

    def search_text(self, queries: Sequence[str], filters: Sequence[str], k: int) -> list[SearchResult]:
        """Return the best `k` documents by BM25 for each query, within the filter of the same position.

        Texts are cut and fields are combined as `rageval.search.text_rules` says. The latency is the time that
        Elasticsearch says it took, in steps of a millisecond.

        Raises:
            ValueError: If there is not one filter for each query, or `k` is below 1.
            IndexMismatchError: If the index has not been built, or is gone.
            ServiceError: If a search fails.
        """
        check_search(queries, filters, k)
        searches = [
            ElasticsearchQuery(name=shortened(query), body=text_body(query, only, k, self._text))
            for query, only in zip(queries, filters, strict=True)
        ]
        return [SearchResult(hits=hits_of(reply, k), latency_s=_took_s(reply)) for reply in self._search(searches)]

    def search_vector(self, vectors: Matrix, filters: Sequence[str], k: int) -> list[SearchResult]:
        """Return the best `k` documents by cosine for each row, within the filter of the same position.

        Exact with the index options `flat`; with the others the scores are exact, and a document may be missed. The
        latency is as in `search_text`.

        Raises:
            ValueError: If there is not one filter for each row, or `k` is below 1.
            IndexMismatchError: If the index has not been built, is gone, or holds vectors of another length.
            ServiceError: If a search fails.
        """
        check_search(vectors, filters, k)
        results: dict[int, SearchResult] = {}
        pending, count = list(range(len(filters))), min(k + MORE, MOST_HITS)
        while pending:
            searches = [
                ElasticsearchQuery(name=f"vector {row + 1}", body=vector_body(vectors[row], filters[row], count))
                for row in pending
            ]
            undecided = []
            for row, reply in zip(pending, self._search(searches, vectors), strict=True):
                before_s = results[row].latency_s if row in results else 0.0
                # Elasticsearch's score of a cosine is (1 + cosine) / 2.
                hits = hits_of(reply, k, scale=2, offset=-1)
                results[row] = SearchResult(hits=hits, latency_s=before_s + _took_s(reply))
                if count < MOST_EQUALS and ends_among_equals(reply, k, count):
                    undecided.append(row)
            pending, count = undecided, min(MOST_EQUALS, 4 * count)
        return [results[row] for row in range(len(filters))]

    def remove(self) -> None:
        """Remove the index and all its builds.

        Raises:
            ServiceError, CredentialsError: If the server does not do it.
        """
        with translated_errors(self._url):
            for build in self._builds.all():
                self._client.indices.delete(index=build, ignore_unavailable=True)

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def _required(self) -> Build:
        """Return the build to be searched, as far as is known without asking again."""
        return self._held or self._opened or self._asked()

    def _asked(self) -> Build:
        self._opened = self._builds.current()
        if self._opened is None:
            raise not_built(self)
        return self._opened

    def _search(
        self, searches: Sequence[ElasticsearchQuery], vectors: Matrix | None = None
    ) -> Iterator[Mapping[str, Any]]:
        """Yield the reply to each search, all of one build.

        What is not held is searched by its name. Only if a hit, or a failure, shows that the name stands for another
        build by now, it is asked what that is, and searched again.
        """
        if not searches:
            return
        opened, settled = self._fitting(self._required(), vectors), self._held is not None

        def ask(lines: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
            nonlocal opened, settled
            replies = self._msearch(opened[0] if settled else self.name, lines)
            if settled or not (seen := builds_in(replies)):
                return replies
            if seen != {opened[0]} and (current := self._asked()) != opened:
                opened = self._fitting(current, vectors)
                replies = self._msearch(opened[0], lines)
            settled = True
            if self._holds_next:
                self._held, self._holds_next = opened, False
            return replies

        header: dict[str, Any] = {"allow_partial_search_results": False}
        if self.options["shards"] != "1":
            # Words are counted in all shards: scores do not depend on how documents are spread.
            header["search_type"] = "dfs_query_then_fetch"
        with translated_errors(self._url):
            yield from search_each(ask, self._url, self.name, searches, header)

    def _msearch(self, index: str, lines: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        body: Mapping[str, Any] = self._client.msearch(index=index, searches=lines, max_concurrent_searches=1).body
        return body

    def _fitting(self, build: Build, vectors: Matrix | None) -> Build:
        """Return a build with vectors of the length of these, if there are any; it may have been replaced by such a
        one since it was asked for.

        Raises:
            IndexMismatchError: If there is none.
        """
        if vectors is None:
            return build
        if not self._held and vectors.shape[1] != build[1].dimensions:
            build = self._asked()
        check_dimensions(self, build[1], vectors)
        return build


def _took_s(reply: Mapping[str, Any]) -> float:
    return float(reply["took"]) / 1000
