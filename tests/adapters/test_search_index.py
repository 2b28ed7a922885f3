"""One contract for every search index, in files, and on a server that speaks Elasticsearch's API."""

import math
import os
import socket
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import elasticsearch
import numpy as np
import pytest

from rageval.config.evaluation import DataConfig, EvaluationConfig, IndexConfig, Language
from rageval.config.systems import Combination
from rageval.embedding.embedding_model import Matrix
from rageval.errors import ConfigError, CredentialsError, IndexMismatchError, ServiceError
from rageval.records import Document
from rageval.runs.manifest import SearchedIndex
from rageval.search.backends import index_name, open_index, settled
from rageval.search.elasticsearch_index import ElasticsearchIndex
from rageval.search.embedded_index import EmbeddedIndex
from rageval.search.search_index import IndexIdentity, SearchIndex, SearchResult
from rageval.search.text_rules import TextQuery

# What the test server says it is; the client is a 9.
ANY_MAJOR = frozenset({8, 9})
MakeDocument = Callable[..., Document]
OpenIndex = Callable[..., SearchIndex]
ODD_QUERIES = [
    "",
    "   ",
    "???",
    "the of and",
    'AND OR NOT " ( * [ TO',
    "title:(docker^9) AND filter_value:*",
    "it's \\ 'quoted' \"twice",
    "naïve 日本語 🙂 \u0000 \ud800",
    "docker~2 +kubernetes -docker",
]


@pytest.fixture(params=["embedded", "elasticsearch"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenIndex]:
    """Opens the same index again and again, as later processes do."""
    opened: list[SearchIndex] = []
    url = request.getfixturevalue("elasticsearch_url") if request.param == "elasticsearch" else ""
    name = f"faq-{uuid.uuid4().hex}"

    def open_(text: TextQuery = TextQuery(), language: Language = "auto") -> SearchIndex:  # noqa: B008 - immutable
        if url and not os.environ.get("TEST_ELASTICSEARCH_URL") and text.combination == "together":
            text = replace(text, combination="best")  # the emulator does not search what is copied
        opened.append(
            ElasticsearchIndex(url, name, text, "flat", ANY_MAJOR, filter_by="course", language=language)
            if url
            else EmbeddedIndex(tmp_path, name, text, "course", language)
        )
        return opened[-1]

    yield open_
    for index in opened:
        index.close()


@pytest.fixture
def server(elasticsearch_url: str) -> Iterator[elasticsearch.Elasticsearch]:
    with elasticsearch.Elasticsearch(elasticsearch_url) as client:
        yield client


def unit_vectors(count: int, dimensions: int = 8, seed: int = 0) -> Matrix:
    """Random vectors of length 1, shape `(count, dimensions)`."""
    vectors = np.random.default_rng(seed).normal(size=(count, dimensions)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def identity_of(vectors: Matrix, fingerprint: str = "a" * 32, model: str = "model@1") -> IndexIdentity:
    return IndexIdentity(
        fingerprint=fingerprint,
        embedding_model=model,
        dimensions=vectors.shape[1],
        documents=vectors.shape[0],
    )


def ids(found: Sequence[SearchResult]) -> list[list[str]]:
    return [[hit.document_id for hit in one.hits] for one in found]


def build(index: SearchIndex, documents: Sequence[Document], vectors: Matrix | None = None, **identity: Any) -> None:
    vectors = unit_vectors(len(documents)) if vectors is None else vectors
    index.build(documents, vectors, identity_of(vectors, **identity))


def test_a_later_process_finds_what_was_built(reopen: OpenIndex, make_document: MakeDocument) -> None:
    assert reopen().identity() is None
    with pytest.raises(IndexMismatchError, match="rageval index"):
        reopen().search_text(["docker"], ["ml"], 5)
    build(reopen(), [make_document("a", "How do I run docker?")])
    assert reopen().identity() == identity_of(unit_vectors(1))
    assert ids(reopen().search_text(["running dockers"], ["ml"], 5)) == [["a"]]


def test_a_build_replaces_the_index_as_a_whole(reopen: OpenIndex, make_document: MakeDocument) -> None:
    build(reopen(), [make_document("old", "docker"), make_document("both", "docker")])
    for fingerprint in ("b" * 32, "b" * 32, "c" * 32):
        build(reopen(), [make_document("both", "docker")], fingerprint=fingerprint)
        identity = reopen().identity()
        assert identity is not None
        assert (identity.fingerprint, identity.documents) == (fingerprint, 1)
        assert ids(reopen().search_text(["docker"], ["ml"], 5)) == [["both"]]
        assert ids(reopen().search_vector(unit_vectors(1), ["ml"], 5)) == [["both"]]


def test_vector_search_orders_by_the_exact_cosine_within_the_filter(
    reopen: OpenIndex, make_document: MakeDocument
) -> None:
    documents = [make_document(f"d{n:02}", course='it\'s "ml"' if n % 2 else "de") for n in range(60)]
    vectors, queries = unit_vectors(60), unit_vectors(7, seed=1)
    build(reopen(), documents, vectors)
    courses = ["de", 'it\'s "ml"', "de", "de", "nowhere", 'it\'s "ml"', "de"]
    found = reopen().search_vector(queries, courses, 10)
    for query, course, one in zip(queries, courses, found, strict=True):
        cosines = {
            d.document_id: float(v @ query)
            for d, v in zip(documents, vectors, strict=True)
            if d.metadata["course"] == course
        }
        expected = sorted(cosines, key=cosines.__getitem__, reverse=True)[:10]
        assert [hit.document_id for hit in one.hits] == expected
        assert [hit.score for hit in one.hits] == pytest.approx([cosines[i] for i in expected], abs=1e-5)
        assert one.latency_s >= 0


def test_cosines_keep_their_sign_and_length_does_not_matter(reopen: OpenIndex, make_document: MakeDocument) -> None:
    # Cosines of (1, 0) with (2, 0), (0, 1), (-3, 0) are 1, 0, -1.
    vectors = np.array([[2, 0], [0, 1], [-3, 0]], np.float32)
    build(reopen(), [make_document(name) for name in ("same", "across", "against")], vectors)
    [found] = reopen().search_vector(np.array([[1, 0]], np.float32), ["ml"], 5)
    assert [hit.document_id for hit in found.hits] == ["same", "across", "against"]
    assert [hit.score for hit in found.hits] == pytest.approx([1, 0, -1], abs=1e-6)


@pytest.mark.parametrize("combination", ["together", "best", "sum"])
def test_a_match_in_a_field_with_a_boost_counts_more(
    reopen: OpenIndex, make_document: MakeDocument, combination: Combination
) -> None:
    documents = [
        make_document("a-text", "unrelated words here", "certificate"),
        make_document("b-title", "certificate", "unrelated words here"),
        make_document("c-section", "unrelated words here", "other", section="certificate"),
        make_document("d-other-course", "certificate", course="de"),
    ]
    build(reopen(), documents)
    [found] = reopen(TextQuery(combination=combination, title=3.0)).search_text(["certificates"], ["ml"], 10)
    assert found.hits[0].document_id == "b-title"
    assert {hit.document_id for hit in found.hits} == {"a-text", "b-title", "c-section"}
    scores = [hit.score for hit in found.hits]
    assert scores == sorted(scores, reverse=True)


def test_documents_of_an_id_and_a_text_alone_are_found(reopen: OpenIndex) -> None:
    documents = [Document(document_id=text, text=text, content_hash=text) for text in ("docker", "kubernetes")]
    build(reopen(), documents)
    assert ids(reopen().search_text(["docker", "docker"], ["", "ml"], 5)) == [["docker"], []]
    assert [len(found.hits) for found in reopen().search_vector(unit_vectors(2), ["", "ml"], 5)] == [2, 0]


def test_metadata_are_found_but_for_the_filter(reopen: OpenIndex, make_document: MakeDocument) -> None:
    build(reopen(), [make_document("a", "docker", course="ml", section="networking")])
    assert ids(reopen().search_text(["networking", "ml"], ["", ""], 5)) == [["a"], []]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("退款怎么申请", "zh"),  # shares 退款 and 申请 with the document
        ("返金の期限はいつですか", "ja"),
        ("환불은 언제까지 되나요", "ko"),  # with other endings than in the document
        ("ขอเงินคืนได้เมื่อไหร่", "th"),
        ("怎么卸载Kubernetes?", "mixed"),
        ("kubernetes", "mixed"),
    ],
)
def test_scripts_without_spaces_are_found(
    reopen: OpenIndex, make_document: MakeDocument, query: str, expected: str
) -> None:
    documents = [
        make_document("zh", "可以申请退款吗？", "开课后两周内可以。"),
        make_document("ja", "返金はできますか？", "期限は二週間です。"),
        make_document("ko", "환불이 가능한가요?", "이 주 안에 가능합니다."),
        make_document("th", "ขอคืนเงินได้ไหม", "ได้ภายในสองสัปดาห์"),
        make_document("mixed", "如何安装 Kubernetes？", "见文档。"),
    ]
    build(reopen(), documents)
    [found] = reopen().search_text([query], ["ml"], 5)
    assert found.hits[0].document_id == expected


@pytest.mark.parametrize("query", ODD_QUERIES)
def test_a_query_is_plain_text_whatever_it_holds(reopen: OpenIndex, make_document: MakeDocument, query: str) -> None:
    build(reopen(), [make_document("a", "docker compose"), make_document("b", "kubernetes pods")])
    [found] = reopen().search_text([query], ["ml"], 5)
    # Operators and field names are words like others: a document is found exactly if one of its words is there.
    words = {"a": "docker", "b": "kubernetes"}
    assert {hit.document_id for hit in found.hits} == {name for name, word in words.items() if word in query}
    assert all(math.isfinite(hit.score) for hit in found.hits)


@pytest.mark.parametrize(
    ("language", "text", "found", "not_found"),
    [
        ("none", "the running dockers", ["running", "the"], ["run", "docker"]),
        ("english", "the running dockers, generously", ["runs", "docker", "generous"], ["the", "don't", "hers"]),
        ("german", "der Vertrag und die Häuser", ["Verträge", "haus"], ["der", "während"]),
        ("french", "les chevaux de la ville", ["cheval", "villes"], ["les", "avec"]),
        ("spanish", "los derechos de las personas", ["derecho", "persona"], ["los", "para"]),
        ("italian", "le case della città", ["casa"], ["della", "perché"]),
        ("portuguese", "os direitos das pessoas", ["direito", "pessoa"], ["das", "para"]),
        ("dutch", "de huizen van de boeren", ["huizen", "boer"], ["van", "het"]),
        ("danish", "husene og bøgerne", ["huset"], ["og", "ikke"]),
        ("norwegian", "husene og bøkene", ["huset"], ["og", "ikke"]),
        ("swedish", "husen och böckerna", ["hus"], ["och", "inte"]),
        ("finnish", "talossa ja autoissa", ["talo"], ["ja", "mutta"]),
        ("hungarian", "a házak és a városok", ["ház"], ["és", "hogy"]),
        ("russian", "книги и дома", ["книга"], ["и", "что"]),
    ],
)
def test_words_are_cut_by_the_rules_of_a_language(
    reopen: OpenIndex, language: Language, text: str, found: list[str], not_found: list[str]
) -> None:
    build(reopen(language=language), [Document(document_id="a", text=text, content_hash="a")])
    queries = [*found, *not_found]
    assert ids(reopen().search_text(queries, [""] * len(queries), 1)) == [["a"]] * len(found) + [[]] * len(not_found)


def test_everything_but_letters_and_digits_stands_between_words(reopen: OpenIndex, make_document: MakeDocument) -> None:
    between = [".", "_", "'", "/", "\u00a0", "\u200b", "\u00ad", "…", "€", "🙂"]
    documents = [make_document(f"d{n}", f"config{n}{mark}yaml{n}") for n, mark in enumerate(between)]
    build(reopen(), documents)
    for n, mark in enumerate(between):
        queries = [f"config{n}", f"yaml{n}", f"nothing{mark}yaml{n}", f"config{n}yaml{n}"]
        assert ids(reopen().search_text(queries, ["ml"] * 4, 1)) == [[f"d{n}"]] * 3 + [[]], mark


def test_the_first_thousand_words_of_a_query_are_looked_for(reopen: OpenIndex, make_document: MakeDocument) -> None:
    build(reopen(), [make_document("a", "docker")])
    others = [f"x{n}" for n in range(1000)]
    queries = [" ".join([*others[:999], "docker"]), " ".join([*others, "docker"])]
    assert ids(reopen().search_text(queries, ["ml"] * 2, 1)) == [["a"], []]


def test_a_search_finds_no_more_than_has_the_value(reopen: OpenIndex, make_document: MakeDocument) -> None:
    build(
        reopen(), [make_document("a", "docker"), make_document("b", "docker"), make_document("c", "docker", course="x")]
    )
    assert [sorted(found) for found in ids(reopen().search_text(["docker"] * 2, ["ml", "y"], 1000))] == [["a", "b"], []]
    vectors = unit_vectors(2, seed=1)
    assert [sorted(f) for f in ids(reopen().search_vector(vectors, ["ml", "' OR 1=1 --"], 1000))] == [["a", "b"], []]
    assert reopen().search_text([], [], 5) == reopen().search_vector(vectors[:0], [], 5) == []


def test_a_search_without_a_value_finds_all_documents(reopen: OpenIndex, make_document: MakeDocument) -> None:
    build(reopen(), [make_document("a", "docker"), make_document("b", "docker", course="de")])
    assert [sorted(found) for found in ids(reopen().search_text(["docker"] * 2, ["", "de"], 5))] == [["a", "b"], ["b"]]
    vectors = unit_vectors(2, seed=1)
    assert [sorted(found) for found in ids(reopen().search_vector(vectors, ["", "de"], 5))] == [["a", "b"], ["b"]]


def test_equal_scores_are_ordered_by_id_also_at_the_cut_off(reopen: OpenIndex, make_document: MakeDocument) -> None:
    names = [f"d{n:02}" for n in range(40)]
    build(reopen(), [make_document(name, "docker") for name in reversed(names)], np.tile(unit_vectors(1), (40, 1)))
    assert ids(reopen().search_text(["docker"], ["ml"], 5)) == [names[:5]]
    assert ids(reopen().search_vector(unit_vectors(1), ["ml"], 5)) == [names[:5]]


def test_vectors_of_another_length_are_a_mismatch(reopen: OpenIndex, make_document: MakeDocument) -> None:
    build(reopen(), [make_document("a")])
    with pytest.raises(IndexMismatchError, match=r"8 dimensions \(model@1\).*queries have 4"):
        reopen().search_vector(unit_vectors(1, dimensions=4), ["ml"], 5)


def test_nothing_is_written_if_the_arguments_do_not_fit(reopen: OpenIndex, make_document: MakeDocument) -> None:
    a, vectors = make_document("a"), unit_vectors(2)
    with pytest.raises(ValueError, match="same document_id"):
        reopen().build([a, a], vectors, identity_of(vectors))
    with pytest.raises(ValueError, match=r"2 documents needs vectors of shape \(2, 8\)"):
        reopen().build([a], vectors, identity_of(vectors))
    vectors[1] = 0
    with pytest.raises(ValueError, match="document b is not finite or all zeros"):
        reopen().build([a, make_document("b")], vectors, identity_of(vectors))
    with pytest.raises(ValueError, match="one filter for each query"):
        reopen().search_text(["a", "b"], ["ml"], 5)
    assert reopen().identity() is None


@pytest.mark.parametrize("crash_at", ["write_vectors", "_synced_files"])
def test_an_embedded_index_stays_as_it_was_when_a_build_crashes(
    tmp_path: Path, make_document: MakeDocument, monkeypatch: pytest.MonkeyPatch, crash_at: str
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    index = EmbeddedIndex(tmp_path, "faq", TextQuery(), "course")
    build(index, [make_document("old", "docker")])
    with monkeypatch.context() as patch:
        patch.setattr(f"rageval.search.embedded_build.{crash_at}", crash)
        with pytest.raises(KeyboardInterrupt):
            build(index, [make_document("new", "docker")], fingerprint="b" * 32)
    assert index.identity() == identity_of(unit_vectors(1))
    assert ids(index.search_text(["docker"], ["ml"], 5)) == [["old"]]
    build(index, [make_document("new", "docker")], fingerprint="b" * 32)
    assert ids(index.search_text(["docker"], ["ml"], 5)) == [["new"]]
    assert len(list((tmp_path / "faq").glob("build-*"))) == 1


def test_elasticsearch_moves_the_alias_and_keeps_what_may_still_be_searched(
    elasticsearch_url: str,
    server: elasticsearch.Elasticsearch,
    make_document: MakeDocument,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = f"faq-{uuid.uuid4().hex}"
    someone_elses, left_over = f"{name}-{'b' * 12}-of-someone-else", f"{name}-{'b' * 12}-{'c' * 8}"
    for other in (someone_elses, left_over):
        server.indices.create(index=other)
    index = ElasticsearchIndex(elasticsearch_url, name, TextQuery(), "flat", ANY_MAJOR, filter_by="course")
    build(index, [make_document("a")])
    [(first, mapping)] = server.indices.get_mapping(index=name).body.items()
    assert mapping["mappings"]["dynamic"] == "strict"
    assert mapping["mappings"]["properties"]["vector"]["index_options"] == {"type": "flat"}
    build(index, [make_document("a")], fingerprint="b" * 32)
    [second] = server.indices.get_alias(name=name).body
    # The one before may be searched, and what nobody has finished may be filled, by another process.
    assert set(server.indices.get(index=f"{name}-*").body) == {first, second, left_over, someone_elses}
    monkeypatch.setattr("rageval.search.elasticsearch_builds._KEPT_MS", -1)
    build(index, [make_document("a")], fingerprint="c" * 32)
    [third] = server.indices.get_alias(name=name).body
    assert set(server.indices.get(index=f"{name}-*").body) == {second, third, someone_elses}
    index.remove()
    assert set(server.indices.get(index=f"{name}-*").body) == {someone_elses}
    assert index.identity() is None
    index.close()


def test_a_build_is_searched_to_the_end_whatever_takes_its_name(reopen: OpenIndex, make_document: MakeDocument) -> None:
    build(reopen(), [make_document("old", "docker")])
    index = reopen()
    index.hold("a" * 32)
    build(reopen(), [make_document("new", "docker")], fingerprint="b" * 32)
    assert ids(index.search_text(["docker"], ["ml"], 5)) == [["old"]]
    assert ids(index.search_vector(unit_vectors(1), ["ml"], 5)) == [["old"]]
    later = reopen()
    if index.backend == "embedded":  # keeps one build alone, and says so
        with pytest.raises(IndexMismatchError, match="was replaced by another process"):
            later.hold("a" * 32)
    else:
        later.hold("a" * 32)
        assert ids(later.search_text(["docker"], ["ml"], 5)) == [["old"]]
    index.hold()
    assert ids(index.search_text(["docker"], ["ml"], 5)) == [["new"]]
    with pytest.raises(IndexMismatchError, match="was replaced by another process"):
        reopen().hold("c" * 32)


def test_a_search_takes_what_the_name_stands_for_by_then(reopen: OpenIndex, make_document: MakeDocument) -> None:
    build(reopen(), [make_document("old", "docker")])
    index = reopen()
    assert ids(index.search_text(["docker"], ["ml"], 5)) == [["old"]]
    build(reopen(), [make_document("new", "docker")], fingerprint="b" * 32)
    assert ids(index.search_vector(unit_vectors(1), ["ml"], 5)) == [["new"]]
    index.hold()
    assert ids(index.search_text(["docker"], ["ml"], 5)) == [["new"]]
    build(reopen(), [make_document("newer", "docker")], unit_vectors(1, dimensions=4), fingerprint="c" * 32)
    assert ids(index.search_text(["docker"], ["ml"], 5)) == [["new"]]  # it is held
    index.hold()
    with pytest.raises(IndexMismatchError, match=r"4 dimensions.*queries have 8"):
        index.search_vector(unit_vectors(1), ["ml"], 5)
    later = reopen()
    assert ids(later.search_vector(unit_vectors(1, dimensions=4), ["ml"], 5)) == [["newer"]]
    reopen().remove()
    with pytest.raises(IndexMismatchError, match="build it"):
        later.search_text(["docker"], ["ml"], 5)


@pytest.mark.parametrize("options", ["hnsw", "int8_hnsw", "bbq_hnsw"])
def test_scores_are_exact_with_every_kind_of_vector_index(
    real_elasticsearch: str, make_document: MakeDocument, options: str
) -> None:
    vectors, queries = unit_vectors(300, dimensions=64), unit_vectors(5, dimensions=64, seed=1)
    index = ElasticsearchIndex(real_elasticsearch, f"faq-{uuid.uuid4().hex}", TextQuery(), options, filter_by="course")
    build(index, [make_document(str(n)) for n in range(300)], vectors)
    for query, found in zip(queries, index.search_vector(queries, ["ml"] * 5, 10), strict=True):
        cosines = [float(vectors[int(hit.document_id)] @ query) for hit in found.hits]
        assert [hit.score for hit in found.hits] == pytest.approx(cosines, abs=1e-5)
    index.remove()
    index.close()


def test_three_that_build_the_same_at_once_all_succeed(
    real_elasticsearch: str, server: elasticsearch.Elasticsearch, make_document: MakeDocument
) -> None:
    name = f"faq-{uuid.uuid4().hex}"
    start = threading.Barrier(3)

    def build_one(_: int) -> None:
        index = ElasticsearchIndex(real_elasticsearch, name, TextQuery(), "flat", ANY_MAJOR, filter_by="course")
        start.wait()
        build(index, [make_document("a", "docker")])
        index.close()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(build_one, range(3)))
    assert len(server.indices.get_alias(name=name).body) == 1
    index = ElasticsearchIndex(real_elasticsearch, name, TextQuery(), "flat", ANY_MAJOR, filter_by="course")
    assert ids(index.search_text(["docker"], ["ml"], 5)) == [["a"]]
    index.close()


def test_elasticsearch_does_not_touch_an_index_of_someone_else(
    elasticsearch_url: str, server: elasticsearch.Elasticsearch, make_document: MakeDocument
) -> None:
    name = f"faq-{uuid.uuid4().hex}"
    server.indices.create(index=name)
    index = ElasticsearchIndex(elasticsearch_url, name, TextQuery(), "flat", ANY_MAJOR, filter_by="course")
    with pytest.raises(IndexMismatchError, match=r"choose another index\.name"):
        build(index, [make_document("a")])
    assert server.indices.exists(index=name)
    index.close()


def test_elasticsearch_that_is_not_there_is_named_without_its_password() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(ServiceError, match="cannot be reached") as caught:
            ElasticsearchIndex(f"http://me:hunter2@{address}/path/", "faq", TextQuery(), "flat")
    assert f"Elasticsearch at http://{address}/path cannot" in str(caught.value)
    assert "start it or unset ELASTICSEARCH_URL" in str(caught.value)
    assert "hunter2" not in f"{caught.value}{caught.value.__cause__!r}"


@pytest.mark.parametrize(
    "url", ["localhost:9200", "me:hunter2@localhost", "http://", "http://a:b", "ftp://hunter2@a:1"]
)
def test_a_malformed_url_is_not_repeated_in_the_message(url: str) -> None:
    with pytest.raises(ConfigError, match="ELASTICSEARCH_URL must be a URL") as caught:
        ElasticsearchIndex(url, "faq", TextQuery(), "flat")
    assert "hunter2" not in str(caught.value)


class _Refusing(BaseHTTPRequestHandler):
    """Answers as a server with security does, and notes what it was sent."""

    seen: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.seen.append(self.headers.get("Authorization", ""))
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


def test_refused_credentials_name_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Refusing) as refusing:
        thread = threading.Thread(target=refusing.serve_forever)
        thread.start()
        try:
            url = f"http://me:hun%40ter@127.0.0.1:{refusing.server_port}"
            for variables in ({}, {"USERNAME": "you", "PASSWORD": "pw"}, {"API_KEY": "secret-key"}):
                for variable, value in variables.items():
                    monkeypatch.setenv(f"ELASTICSEARCH_{variable}", value)
                with pytest.raises(
                    CredentialsError, match="ELASTICSEARCH_API_KEY, or ELASTICSEARCH_USERNAME"
                ) as caught:
                    ElasticsearchIndex(url, "faq", TextQuery(), "flat")
                assert not any(word in str(caught.value) for word in ("hun", "pw", "secret-key"))
        finally:
            refusing.shutdown()
            thread.join()
    # base64 of "me:hun@ter" and "you:pw"
    assert list(dict.fromkeys(_Refusing.seen)) == ["Basic bWU6aHVuQHRlcg==", "Basic eW91OnB3", "ApiKey secret-key"]


def test_the_environment_chooses_the_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def index_config(**settings: Any) -> IndexConfig:
        return settled(EvaluationConfig(index=IndexConfig(name="Faq", **settings))).index

    assert open_index(index_config(), TextQuery(), tmp_path, DataConfig(documents="faq.json")).backend == "embedded"
    with pytest.raises(ConfigError, match="ELASTICSEARCH_URL is not set"):
        open_index(index_config(backend="elasticsearch"), TextQuery(), tmp_path, DataConfig(documents="faq.json"))
    monkeypatch.setenv("ELASTICSEARCH_URL", "nonsense")
    with pytest.raises(ConfigError, match="must be a URL"):
        open_index(index_config(), TextQuery(), tmp_path, DataConfig(documents="faq.json"))
    assert (
        open_index(index_config(backend="embedded"), TextQuery(), tmp_path, DataConfig(documents="faq.json")).name
        == "faq"
    )


def test_a_run_goes_on_with_the_search_engine_that_it_has_searched_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELASTICSEARCH_URL", "http://127.0.0.1:9200")
    config = EvaluationConfig()
    assert settled(config).index.backend == "elasticsearch"
    searched = SearchedIndex(
        name="i", backend="embedded", fingerprint="f", embedding_model="m", documents=1, embedded=0, rebuilt=False,
        longest=None, too_long=0, too_long_ids=(), warning=None,
    )  # fmt: skip
    assert settled(config, searched).index.backend == "embedded"
    chosen = EvaluationConfig(index=IndexConfig(backend="elasticsearch"))
    assert settled(chosen, searched).index.backend == "elasticsearch"


def test_an_index_is_named_after_its_documents() -> None:
    names = [
        index_name(IndexConfig(), path) for path in ("data/FAQ v2.json", "other/FAQ v2.json", "s3://b/日本.csv?x=1")
    ]
    assert len(set(names)) == 3
    assert names[0].startswith("rageval-faq-v2-")
    assert all(name.isascii() and name == name.lower() for name in names)
