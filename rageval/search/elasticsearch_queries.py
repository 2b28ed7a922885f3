"""What is looked for -> the body of a search in an index of ours in Elasticsearch, and its reply -> hits."""

from collections.abc import Mapping, Sequence
from typing import Any

from rageval.records import Hit
from rageval.search.elasticsearch_layout import ALL
from rageval.search.search_index import best_first
from rageval.search.text_rules import TextQuery
from rageval.text.printable import plain_text
from rageval.text.scripts import searchable

MORE = 32
"""Vectors that are asked for beyond what is wanted: which of equal ones come first is the server's own affair."""
MOST_EQUALS = 1000
"""Vectors that are asked for, at most, because equal ones may follow."""
MOST_HITS = 10_000
"""That Elasticsearch gives for a search, unless an index says otherwise."""


def text_body(query: str, only: str, k: int, rules: TextQuery) -> dict[str, Any]:
    """Return the search for the best `k` documents by BM25.

    Args:
        query: Plain text.
        only: The filter value that documents need; empty for any.
        k: How many.
        rules: How fields are combined.
    """
    return {
        "size": k,
        "_source": False,
        "query": {"bool": {"must": _matching(searchable(plain_text(query)), rules), "filter": _filters(only)}},
        "sort": [{"_score": "desc"}, {"document_id": "asc"}],
    }


def vector_body(vector: Any, only: str, count: int) -> dict[str, Any]:
    """Return the search for the `count` documents whose vectors are nearest, with the filter value that they need."""
    knn = {
        "field": "vector",
        "query_vector": vector,
        "k": count,
        "num_candidates": min(MOST_HITS, max(100, 10 * count)),
        "filter": _filters(only),
    }
    return {"size": count, "_source": False, "knn": knn}


def hits_of(reply: Mapping[str, Any], k: int, scale: float = 1.0, offset: float = 0.0) -> tuple[Hit, ...]:
    """Return the best `k` hits, with scores that are scaled and shifted."""
    hits = (Hit(document_id=hit["_id"], score=scale * float(hit["_score"]) + offset) for hit in reply["hits"]["hits"])
    return best_first(hits, k)


def ends_among_equals(reply: Mapping[str, Any], k: int, count: int) -> bool:
    """Return whether there may be more documents as near as the last of the best `k` than the `count` asked for."""
    hits = reply["hits"]["hits"]
    return len(hits) == count and bool(hits[k - 1]["_score"] == hits[-1]["_score"])


def builds_in(replies: Mapping[str, Any]) -> set[str]:
    """Return the indexes that hits of some searches are from, and an empty name for a search that has failed."""
    seen = {hit["_index"] for reply in replies["responses"] if "hits" in reply for hit in reply["hits"]["hits"]}
    return seen | {"" for reply in replies["responses"] if "error" in reply}


def shortened(query: str) -> str:
    """Return a query as it stands in a message."""
    words = plain_text(query)
    return repr(words if len(words) <= 80 else f"{words[:77]}...")


def _matching(words: str, rules: TextQuery) -> dict[str, Any]:
    boosts = rules.boosts
    if rules.combination == "together":
        more = [_match(field, words, boost - 1) for field, boost in boosts.items() if boost > 1]
        return {"bool": {"should": [_match(ALL, words, 1.0), *more]}}
    fields = [f"{field}^{boost}" for field, boost in boosts.items() if boost > 0]
    kind = "best_fields" if rules.combination == "best" else "most_fields"
    return {"multi_match": {"query": words, "type": kind, "fields": fields}} if fields else {"match_none": {}}


def _match(field: str, words: str, boost: float) -> dict[str, Any]:
    return {"match": {field: {"query": words, "boost": boost}}}


def _filters(only: str) -> Sequence[Mapping[str, Any]]:
    return [{"term": {"filter_value": plain_text(only)}}] if only else []
