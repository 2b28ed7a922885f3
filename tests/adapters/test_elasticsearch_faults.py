"""What a user reads when Elasticsearch refuses, is busy, blocked, too small, silent or not to be trusted.

Replies were recorded from a real node, see `tests/elasticsearch_node`.
"""

import json
import re
import uuid
from collections import deque
from collections.abc import Callable, Iterator

import elasticsearch
import numpy as np
import pytest

from rageval.errors import CredentialsError, DataError, InputError, ServiceError
from rageval.search.elasticsearch_index import ElasticsearchIndex
from rageval.search.text_rules import TextQuery
from tests.adapters.conftest import MakeDocument
from tests.adapters.test_search_index import build, identity_of, ids, unit_vectors
from tests.elasticsearch_proxy import REPLIES, ElasticsearchProxy, recorded, reply

ALL_SHARDS_FAILED = "all shards failed"
TEXT = TextQuery(combination="best")
"""The emulator does not search what is copied from other fields."""
BUSY_ITEM = "msearch-429-queue-full"
# A recorded refusal, and what the user reads of it.
SENTENCES = {
    "bulk-403-cluster-read-only-allow-delete":
        r"is blocked: HTTP 403 blocked by: \[FORBIDDEN/13/cluster read-only.*free disk space, or remove the block",
    "bulk-403-index-blocks-write":
        r"is blocked: HTTP 403 index \[faq-aaaaaaaaaaaa\] blocked by: \[FORBIDDEN/8/index write",
    "bulk-413-max-content-length":
        r"does not take the document d, [\d,]+ bytes with its vector, even alone: HTTP "
        r"413.*http\.max_content_length",
    "bulk-429-indexing-pressure":
        r"does not take the document d, .* even alone: HTTP 429 rejected execution of coordinating "
        r"operation.*indexing_pressure\.memory\.limit",
    "bulk-flood-stage": r"is blocked: HTTP 429 .*disk usage exceeded flood-stage watermark.*free disk space",
    "bulk-primary-not-active": r"is not ready: HTTP 503 \[wm-aaaaaaaaaaaa\]\[0\] primary shard is not active",
    "bulk-refused-id-513-bytes": r"refused a request: HTTP 400 .*no longer than 512 bytes",
    "bulk-refused-items":
        r"refused \d of \d documents, and the index was not changed; correct them and run again: d \(.*different "
        r"number of dimensions",
    "count-closed": r"refused a request: HTTP 400 closed",
    "count-not-active": r"is not ready: HTTP 503 no_shard_available_action_exception; wait until",
    "create-403-cluster-read-only-allow-delete":
        r"is blocked: HTTP 403 index .* blocked by: \[FORBIDDEN/13/cluster read-only",
    "create-4097-dims":
        r"refused a request: HTTP 400 The number of dimensions should be in the range \[1, 4096\] but was \[4097\]",
    "create-again": r"refused a request: HTTP 400 index .* already exists",
    "create-bbq_flat-4dims": r"HTTP 400 bbq_flat does not support dimensions fewer than 64; provided=4",
    "create-bbq_hnsw-4dims": r"HTTP 400 bbq_hnsw does not support dimensions fewer than 64; provided=4",
    "create-disk-above-high-watermark": r"finds no node that may hold the new index: .*the old one was not changed",
    "create-index-named-as-alias": r"HTTP 400 Invalid index name \[faq\], already exists as alias",
    "create-too-many-shards": r"HTTP 400 Validation Failed: .*maximum normal shards open",
    "delete-by-alias": r"HTTP 400 The provided expression \[faq\] matches an alias",
    "mapping-missing": r"there is no elasticsearch index named faq-\w+; build it with `rageval index` first",
    "msearch-429-queue-full":
        r"is too busy: HTTP 429 rejected execution of TimedRunnable.*run again when it has less to do",
    "msearch-503-item-no-shard-available-while-starting":
        r"is not ready: HTTP 503 no_shard_available_action_exception",
    "msearch-503-state-not-recovered":
        r"is not ready: HTTP 503 blocked by: \[SERVICE_UNAVAILABLE/1/state not recovered",
    "msearch-closed": r"was removed or closed while it was searched: HTTP 400 closed; .*rageval index --rebuild",
    "msearch-k-above-num-candidates-400-whole-request": r"HTTP 400 \[num_candidates\] cannot be less than \[k\]",
    "msearch-missing": r"was removed or closed while it was searched: HTTP 404 no such index",
    "msearch-parse-error-400-whole-request": r"refused a request: HTTP 400 \[1:24\] unknown field \[nonsense\]",
    "msearch-too-large-window": r"the search for 'docker' in .* failed: HTTP 400 Result window is too large",
    "msearch-too-many-clauses":
        r"the search for 'docker' in .* failed: HTTP 400 .*too many nested clauses; maxClauseCount is set to",
    "msearch-vector-wrong-dims":
        r"failed: HTTP 400 .*query vector has a different number of dimensions \[3\] than the document vectors "
        r"\[4\]",
    "msearch-vector-zero": r"failed: HTTP 400 .*does not support vectors with zero magnitude",
    "root-compat-10": r"refused a request: HTTP 400 Accept version must be either version 9 or 8, but found 10",
    "unknown-retriever-rrf-without-xpack": r"refused a request: HTTP 400 \[1:23\] unknown field \[rrf\]",
}  # fmt: skip


@pytest.fixture
def proxy(elasticsearch_url: str) -> Iterator[ElasticsearchProxy]:
    with ElasticsearchProxy(upstream=elasticsearch_url) as server:
        yield server


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which take no time here."""
    made: list[float] = []
    monkeypatch.setattr("rageval.search.elasticsearch_errors._sleep", made.append)
    return made


@pytest.fixture
def index(proxy: ElasticsearchProxy, make_document: MakeDocument) -> Iterator[ElasticsearchIndex]:
    """An index of two documents behind the proxy."""
    index = ElasticsearchIndex(proxy.url, f"faq-{uuid.uuid4().hex}", TEXT, "flat", filter_by="course")
    build(index, [make_document("a", "docker"), make_document("b", "docker")])
    yield index
    index.close()


def builds_of(proxy: ElasticsearchProxy, index: ElasticsearchIndex) -> int:
    """How many indexes there are on the server for one name."""
    proxy.always.clear()
    return len(index._builds.all())


def test_no_recorded_refusal_is_left_out() -> None:
    assert {path.stem for path in REPLIES.glob("*.json")} == SENTENCES.keys() | {"root", "msearch-text"}


@pytest.mark.parametrize("name", SENTENCES)
def test_every_recorded_refusal_is_a_sentence(
    proxy: ElasticsearchProxy, index: ElasticsearchIndex, make_document: MakeDocument, name: str
) -> None:
    refusal = recorded(name)
    operation = re.split("[-.]", name)[0]
    proxy.always["msearch" if operation == "unknown" else operation] = refusal
    items = json.loads(refusal.body).get("items", []) if refusal.body else []
    names = [item["index"]["_id"] for item in items] or ["d"]
    do: dict[str, Callable[[], object]] = {
        "delete": index.remove,
        "root": lambda: ElasticsearchIndex(proxy.url, "faq", TEXT, "flat", filter_by="course"),
        **dict.fromkeys(("mapping", "msearch", "unknown"), lambda: index.search_text(["docker"], ["ml"], 5)),
    }
    rebuild = lambda: build(index, [make_document(each) for each in names], fingerprint="b" * 32)  # noqa: E731
    with pytest.raises(InputError, match=SENTENCES[name]) as caught:
        do.get(operation, rebuild)()
    assert not isinstance(caught.value, CredentialsError)
    assert ALL_SHARDS_FAILED not in str(caught.value)
    # Nothing half done stays, and what was there is searched as before.
    assert builds_of(proxy, index) == 1
    assert index.identity() == identity_of(unit_vectors(2))


def test_searches_that_a_busy_server_rejects_are_made_again(
    proxy: ElasticsearchProxy, index: ElasticsearchIndex, pauses: list[float]
) -> None:
    found, rejected = json.loads(recorded("msearch-text").body)["responses"], json.loads(recorded(BUSY_ITEM).body)
    first = reply(200, {"took": 1, "responses": [*found, *rejected["responses"]]})
    starting = recorded("msearch-503-state-not-recovered")
    proxy.script["msearch"] = deque([starting, recorded("msearch-503-item-no-shard-available-while-starting")])
    assert ids(index.search_text(["docker"], ["ml"], 5)) == [["a", "b"]]
    assert len(pauses) == 2
    # One of two was found already: the other one alone is asked for again.
    proxy.script["msearch"] = deque([first])
    proxy.bodies.clear()
    assert ids(index.search_text(["dockers", "docker"], ["ml"] * 2, 5))[1] == ["a", "b"]
    sizes = [body.count(b"\n") for operation, body in proxy.bodies if operation == "msearch"]
    assert sizes == [4, 2]


def test_a_server_that_stays_busy_is_given_up_after_a_minute(
    proxy: ElasticsearchProxy, index: ElasticsearchIndex, pauses: list[float]
) -> None:
    proxy.always["msearch"] = recorded(BUSY_ITEM)
    with pytest.raises(ServiceError, match="is too busy"):
        index.search_text(["docker"], ["ml"], 5)
    # 0.5 + 1 + 2 + 4 + 8 + 3 * 15
    assert sum(pauses) == 60.5
    assert pauses == sorted(pauses)


def test_a_server_that_is_restarted_is_waited_for(
    index: ElasticsearchIndex, proxy: ElasticsearchProxy, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    index.hold()
    proxy.drops = 2
    assert ids(index.search_text(["docker"], ["ml"], 5)) == [["a", "b"]]
    assert len(pauses) == 2


def test_requests_become_as_small_as_the_server_takes(
    proxy: ElasticsearchProxy, index: ElasticsearchIndex, make_document: MakeDocument
) -> None:
    documents = [make_document(f"d{n:02}", "docker", "x" * 1000) for n in range(40)]
    proxy.largest = 16_000  # bytes: ten documents, not twenty
    proxy.bodies.clear()
    build(index, documents, fingerprint="b" * 32)
    assert index.identity() == identity_of(unit_vectors(40), "b" * 32)
    sizes = [body.count(b"\n") // 2 for operation, body in proxy.bodies if operation == "bulk"]
    # 40 and 20 are refused, once each; what comes after them is no larger than what was taken.
    assert sizes == [40, 20, 10, 10, 20, 10, 10]


@pytest.mark.parametrize(
    ("version", "sent"),
    # float32 with the highest byte first: 3f800000, bf000000
    [("9.5.3", "P4AAAL8AAAA="), ("9.3.0", "P4AAAL8AAAA="), ("9.2.9", [1.0, -0.5])],
)
def test_vectors_are_sent_in_base64_to_servers_that_take_it(
    proxy: ElasticsearchProxy, make_document: MakeDocument, version: str, sent: object
) -> None:
    proxy.version = version
    proxy.script["bulk"] = deque([reply(200, {"items": [{"index": {"_id": "a", "status": 201}}]})])
    index = ElasticsearchIndex(proxy.url, f"faq-{uuid.uuid4().hex}", TEXT, "flat", filter_by="course")
    with pytest.raises(ServiceError, match="holds 0 of 1 documents"):
        build(index, [make_document("a")], np.array([[1, -0.5]], np.float32))
    [body] = [body for operation, body in proxy.bodies if operation == "bulk"]
    assert json.loads(body.splitlines()[1])["vector"] == sent
    index.close()


def test_an_open_index_is_asked_once_what_it_stands_for(proxy: ElasticsearchProxy, index: ElasticsearchIndex) -> None:
    proxy.asked.clear()
    for _ in range(3):
        index.hold()
        assert ids(index.search_text(["docker"], ["ml"], 5)) == [["a", "b"]]
        assert len(index.search_vector(unit_vectors(1), ["ml"], 5)[0].hits) == 2
    operations = [each.rpartition("/")[2] for each in proxy.asked]
    assert operations == ["_mapping", *["_msearch"] * 6]


def test_the_document_that_is_too_large_alone_is_named(
    proxy: ElasticsearchProxy, index: ElasticsearchIndex, make_document: MakeDocument
) -> None:
    documents = [make_document(f"d{n}", "docker", "x" * (20_000 if n == 5 else 100)) for n in range(9)]
    proxy.largest = 12_000
    with pytest.raises(ServiceError, match="does not take the document d5, 20,"):
        build(index, documents, fingerprint="b" * 32)
    proxy.largest = None
    assert builds_of(proxy, index) == 1


def test_documents_that_were_rejected_for_the_moment_are_sent_again(
    proxy: ElasticsearchProxy, index: ElasticsearchIndex, make_document: MakeDocument, pauses: list[float]
) -> None:
    error = json.loads(recorded("bulk-429-indexing-pressure").body)["error"]
    items = [{"index": {"_id": name, "status": status, **({"error": error} if status == 429 else {})}}
             for name, status in (("a", 429), ("b", 429))]  # fmt: skip
    proxy.script["bulk"] = deque([reply(200, {"errors": True, "items": items})])
    proxy.bodies.clear()
    build(index, [make_document("a", "docker"), make_document("b", "docker")], fingerprint="b" * 32)
    assert ids(index.search_text(["docker"], ["ml"], 5)) == [["a", "b"]]
    assert len(pauses) == 1
    # What a request takes is counted once more while its documents are written: half of it may be taken.
    assert [body.count(b"\n") // 2 for operation, body in proxy.bodies if operation == "bulk"] == [2, 1, 1]


def test_what_refuses_every_document_is_said_once_and_nothing_more_is_sent(
    proxy: ElasticsearchProxy, index: ElasticsearchIndex, make_document: MakeDocument
) -> None:
    error = {"type": "illegal_argument_exception", "reason": "pipeline with id [nosuch] does not exist"}
    items = [{"index": {"_id": f"d{n:04}", "status": 400, "error": error}} for n in range(500)]
    proxy.script["bulk"] = deque([reply(200, {"errors": True, "items": items})])
    proxy.bodies.clear()
    with pytest.raises(ServiceError, match=r"every document that it was sent, 500 of 1200, for one reason: .*nosuch"):
        build(index, [make_document(f"d{n:04}") for n in range(1200)], fingerprint="b" * 32)
    assert [operation for operation, _ in proxy.bodies].count("bulk") == 1


def test_ids_that_elasticsearch_does_not_take_are_named_before_anything_is_sent(
    proxy: ElasticsearchProxy, index: ElasticsearchIndex, make_document: MakeDocument
) -> None:
    proxy.bodies.clear()
    documents = [make_document("good"), *(make_document(f"{n}" * 513) for n in range(7))]
    with pytest.raises(DataError, match="ids of at most 512 bytes, and 7 of 8 documents have a longer one") as caught:
        build(index, documents, fingerprint="b" * 32)
    assert [f"{n}" * 80 in str(caught.value) for n in range(7)] == [True] * 5 + [False] * 2
    assert proxy.bodies == []
    build(index, [make_document("ü" * 256)], fingerprint="b" * 32)  # 512 bytes


def test_a_server_that_does_not_answer_any_more_is_given_up_within_the_time_out(
    proxy: ElasticsearchProxy, index: ElasticsearchIndex, make_document: MakeDocument, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient, impatient = index._client, index._client.options(request_timeout=0.2)
    index._client = impatient
    monkeypatch.setattr("rageval.search.elasticsearch_builds._CLEAN_UP_S", 0.2)
    proxy.silent.set()
    proxy.bodies.clear()
    with pytest.raises(ServiceError, match="did not answer in time"):
        index.search_text(["docker"], ["ml"], 5)
    assert len(proxy.bodies) == 1, "a request that has taken its time is not repeated"
    proxy.silent.clear()
    proxy.hangs_at = "bulk"
    index._client = patient
    monkeypatch.setattr(patient, "bulk", impatient.bulk)
    with pytest.raises(ServiceError, match="did not answer in time"):
        build(index, [make_document("a")], fingerprint="b" * 32)
    # The clean-up is tried once, shortly.
    after = [operation for operation, _ in proxy.bodies]
    assert after[after.index("bulk") :] == ["bulk", "delete"]


def test_notes_that_an_index_template_adds_do_not_matter(
    elasticsearch_url: str, proxy: ElasticsearchProxy, make_document: MakeDocument
) -> None:
    name = f"faq-{uuid.uuid4().hex}"
    index = ElasticsearchIndex(proxy.url, name, TEXT, "flat", filter_by="course")
    index._client.indices.put_index_template(
        name=name,
        index_patterns=[f"{name}-*"],
        priority=500,
        template={"mappings": {"_meta": {"owner": "search team"}}},
    )
    try:
        for fingerprint in ("a" * 32, "b" * 32):
            build(index, [make_document("a", "docker")], fingerprint=fingerprint)
            assert index.identity() == identity_of(unit_vectors(1), fingerprint)
    finally:
        index._client.indices.delete_index_template(name=name)
        index.close()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"index.blocks.write": True}, r"is blocked: HTTP 403 index .* blocked by: \[FORBIDDEN/8/index write"),
        (
            {"index.default_pipeline": "nosuch"},
            r"refused every document that it was sent, 2 of 2, .*\[nosuch\] does not",
        ),
    ],
)
def test_what_an_index_template_forbids_is_said(
    real_elasticsearch: str, make_document: MakeDocument, settings: dict[str, object], sentence: str
) -> None:
    name = f"faq-{uuid.uuid4().hex}"
    with elasticsearch.Elasticsearch(real_elasticsearch) as server:
        server.indices.put_index_template(
            name=name, index_patterns=[f"{name}-*"], priority=500, template={"settings": settings}
        )
        index = ElasticsearchIndex(real_elasticsearch, name, TEXT, "flat", filter_by="course")
        try:
            with pytest.raises(ServiceError, match=sentence):
                build(index, [make_document("a"), make_document("b")])
            assert not server.indices.get(index=f"{name}-*").body
        finally:
            server.indices.delete_index_template(name=name)
            index.close()
