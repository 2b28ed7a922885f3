"""A search in an Elasticsearch index that somebody else has made, with a key that may read it and nothing else."""

import json
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import elasticsearch
import numpy as np
import pytest

from rageval.config.existing_index import ExistingIndexConfig
from rageval.errors import ConfigError, CredentialsError, IndexMismatchError, ServiceError
from rageval.records import Question
from rageval.search.existing_index import ExistingIndex
from rageval.search.own_search import PassageResult
from tests.elasticsearch_proxy import ElasticsearchProxy, recorded, reply

OpenSearch = Callable[..., ExistingIndex]
FAQ = [
    ("a", "Docker", "How to start a container.", "ml", [1.0, 0.0]),
    ("b", "Kafka", "How to start a broker.", "de", [0.0, 1.0]),
    ("c", "Docker", "Containers cost memory.", "de", [0.6, 0.8]),
]
FIELDS = {"id_field": "meta.faq_no", "text_field": "body", "title_field": "headline"}


@pytest.fixture
def team_index(elasticsearch_url: str) -> Iterator[str]:
    """An index with names of its own, filled by its team."""
    name = f"team-{uuid.uuid4().hex}"
    text, keyword = {"type": "text"}, {"type": "keyword"}
    properties = {
        "headline": text, "body": text, "course": keyword, "meta": {"properties": {"faq_no": keyword}},
        "emb": {"type": "dense_vector", "dims": 2, "index": True, "similarity": "cosine"},
    }  # fmt: skip
    with elasticsearch.Elasticsearch(elasticsearch_url) as team:
        team.indices.create(index=name, mappings={"properties": properties})
        for number, (faq_no, headline, body, course, vector) in enumerate(FAQ):
            document = {"headline": headline, "body": body, "course": course, "emb": vector, "meta": {"faq_no": faq_no}}
            team.index(index=name, id=str(number), document=document)
        team.indices.refresh(index=name)
        yield name
        team.indices.delete(index=name)


@pytest.fixture
def proxy(elasticsearch_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ElasticsearchProxy]:
    with ElasticsearchProxy(upstream=elasticsearch_url, reads_only=True) as server:
        monkeypatch.setenv("ELASTICSEARCH_URL", server.url)
        yield server


@pytest.fixture
def open_search(team_index: str, proxy: ElasticsearchProxy) -> Iterator[OpenSearch]:
    opened: list[ExistingIndex] = []

    def open_(depth: int = 2, **settings: Any) -> ExistingIndex:
        opened.append(ExistingIndex(ExistingIndexConfig(**{"index": team_index, **FIELDS} | settings), 3.0, depth))
        return opened[-1]

    yield open_
    for search in opened:
        search.close()


def question(text: str, course: str = "") -> Question:
    return Question(question_id=text, question=text, relevant_ids=("a",), relevant_grades=(1,), filter_value=course)


def ids(result: PassageResult) -> list[str]:
    assert result.error is None
    return [hit.document_id for hit in result.hits]


def sent(proxy: ElasticsearchProxy) -> list[dict[str, Any]]:
    """The bodies of the searches of the last request."""
    return [json.loads(line) for line in proxy.bodies[-1][1].splitlines()][1::2]


def test_words_and_vectors_are_searched_within_filters_and_nothing_but_searches_is_sent(
    open_search: OpenSearch, proxy: ElasticsearchProxy, team_index: str
) -> None:
    words, in_course = open_search().search([question("container"), question("how to start", "de")], None)
    assert ids(words)[0] == "a"
    assert words.hits[0].text == "How to start a container."
    assert words.hits[0].title == "Docker"
    assert set(ids(in_course)) == {"a", "b"}, "no filter field is named"

    filtered = open_search(filter_field="course", filters=[{"field": "headline", "value": "docker"}])
    assert [ids(one) for one in filtered.search([question("how container memory", "de")], None)] == [["c"]]

    by_vectors = open_search(vector_field="emb", filter_field="course")
    assert by_vectors.needs_vectors
    vectors = np.array([[0.0, 1.0], [1.0, 0.0]], np.float32)
    found = by_vectors.search([question("x"), question("y", "de")], vectors)
    assert [ids(one) for one in found] == [["b", "c"], ["c", "b"]]

    assert set(proxy.asked) == {f"POST /{team_index}/_msearch"}


def test_a_query_of_ones_own_gets_question_depth_vector_and_filters_wherever_it_wants_them(
    open_search: OpenSearch, proxy: ElasticsearchProxy
) -> None:
    query = {
        "size": "{{depth}}",
        "query": {"bool": {"must": {"match": {"body": "about {{question}}"}}, "filter": "{{filters}}"}},
        "knn": {"field": "emb", "query_vector": "{{vector}}", "k": 2, "num_candidates": 10, "filter": "{{filters}}"},
    }
    nasty = 'x"}}, {"match_all": {}} {{depth}} \\'
    search = open_search(query=query, filter_field="course")
    (result,) = search.search([question(nasty, "de")], np.array([[0.5, 0.25]], np.float32))

    (body,) = sent(proxy)
    assert body["size"] == 2
    assert body["query"]["bool"]["must"] == {"match": {"body": f"about {nasty}"}}
    assert body["query"]["bool"]["filter"] == body["knn"]["filter"] == [{"term": {"course": "de"}}]
    assert body["knn"]["query_vector"] == [0.5, 0.25]
    assert body["_source"] == ["meta.faq_no", "body", "headline"]
    assert set(ids(result)) <= {"b", "c"}


def test_without_an_id_field_the_indexes_own_ids_are_taken_and_a_missing_text_is_empty(open_search: OpenSearch) -> None:
    (result,) = open_search(id_field="", text_field="nowhere").search([question("Kafka")], None)
    assert [(hit.document_id, hit.text) for hit in result.hits] == [("1", "")]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"query": "{"}, "it is not JSON"),
        ({"query": {"query": {"match_all": {}}}}, "neither {{question}} nor {{vector}}"),
        ({"query": {"match": {"a": "{{question}}"}}, "filter_field": "course"}, "has no place for them"),
        ({"query": "{}", "query_file": "q.json"}, "leave one of them out"),
        ({"index": "team/_delete_by_query"}, "index"),
    ],
)
def test_a_query_that_cannot_be_meant_is_refused_with_the_configuration(settings: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ExistingIndexConfig(**{"index": "team", **settings})


def test_a_query_that_the_server_cannot_read_and_an_index_that_is_not_there_end_it_in_one_sentence(
    open_search: OpenSearch, real_elasticsearch: str
) -> None:
    unknown = open_search(query={"query": {"mach": {"body": "{{question}}"}}})
    with pytest.raises(ServiceError, match=r"refuses the query for the index team-.*unknown field \[mach\]; correct"):
        unknown.search([question("x")], None)
    with pytest.raises(IndexMismatchError, match=r"the index nowhere at .* is not there or closed: no such index"):
        open_search(index="nowhere").search([question("x")], None)


def test_a_query_that_fails_for_one_question_is_that_questions_error(
    open_search: OpenSearch, real_elasticsearch: str
) -> None:
    search = open_search(query={"query": {"query_string": {"query": "{{question}}", "fields": ["body"]}}})
    good, bad = search.search([question("container"), question("what is /a?")], None)
    assert ids(good) == ["a"]
    assert "HTTP 400 Lexical error" in (bad.error or "")


def test_credentials_that_may_not_read_the_index_are_told_so(
    open_search: OpenSearch, proxy: ElasticsearchProxy
) -> None:
    error = {"type": "security_exception", "reason": "action [indices:data/read/search] is unauthorized"}
    proxy.always["msearch"] = reply(200, {"took": 1, "responses": [{"error": error, "status": 403}]})
    with pytest.raises(CredentialsError, match="to ones that may read the index"):
        open_search().search([question("x")], None)
    proxy.always["msearch"] = reply(401, {"error": {"type": "security_exception", "reason": "no"}, "status": 401})
    with pytest.raises(CredentialsError, match="to ones that may read the index"):
        open_search().search([question("x")], None)


def test_a_busy_server_is_asked_again(
    open_search: OpenSearch, proxy: ElasticsearchProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rageval.search.elasticsearch_errors._sleep", lambda _: None)
    proxy.script["msearch"] = deque([recorded("msearch-503-state-not-recovered")])
    (result,) = open_search().search([question("Kafka")], None)
    assert ids(result) == ["b"]


def test_a_run_of_prefects_api_searches_the_indexes_that_its_worker_names(
    open_search: OpenSearch, team_index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "00000000-0000-0000-0000-000000000000")
    with pytest.raises(ConfigError, match="RAGEVAL_ALLOW_INDEXES"):
        open_search()
    monkeypatch.setenv("RAGEVAL_ALLOW_INDEXES", team_index)
    assert not open_search().needs_vectors
