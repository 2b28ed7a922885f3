"""Language and settings -> how an index in Elasticsearch is laid out: its fields, how texts are cut, its vectors."""

import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, Final

from rageval.config.evaluation import Language
from rageval.search.search_index import IndexIdentity
from rageval.text.stop_words import ENGLISH

ALL: Final = "all"
"""Title, text and metadata as one text."""
_WORDS, _LOOKED_FOR = "words", "looked_for"
_MOST_WORDS: Final = 1000
"""Of a query; what follows is left out."""
_LONGEST_WORD: Final = 255
_OVERSAMPLE: Final = 1.5
_QUANTISED: Final = frozenset({"int8_hnsw"})
"""Kinds of vector index whose scores are those of coarser vectors, unless the best are compared once more with the
vectors themselves; `bbq_hnsw` does that by itself."""
_BETWEEN_WORDS: Final = [
    "whitespace", "punctuation", "symbol",
    # Spaces that do not break, and characters that are not seen, are none of these for Elasticsearch.
    *(chr(code) for code in range(0x10000) if unicodedata.category(chr(code)) in {"Cc", "Cf", "Zl", "Zp", "Zs"}),
]  # fmt: skip


def analysis(language: Language) -> dict[str, Any]:
    """Return the index settings that cut texts as `rageval.search.text_rules` says.

    Raises:
        ValueError: If the language is `auto`: it is settled when an index is built.
    """
    if language == "auto":
        raise ValueError("the language is settled when an index is built")
    tokenizer = {"type": "char_group", "tokenize_on_chars": _BETWEEN_WORDS, "max_token_length": _LONGEST_WORD}
    filters: dict[str, Any] = {"first": {"type": "limit", "max_token_count": _MOST_WORDS}}
    steps = ["lowercase"]
    if language != "none":
        # Elasticsearch's own English list has 33 words, Snowball's 174; its other lists are Snowball's.
        listed = list(ENGLISH) if language == "english" else f"_{language}_"
        filters["listed"] = {"type": "stop", "stopwords": listed}
        filters["stems"] = {"type": "snowball", "language": language.capitalize()}
        steps += ["listed", "stems"]
    return {
        "tokenizer": {_WORDS: tokenizer},
        "filter": filters,
        "analyzer": {
            _WORDS: {"type": "custom", "tokenizer": _WORDS, "filter": steps},
            _LOOKED_FOR: {"type": "custom", "tokenizer": _WORDS, "filter": [*steps, "first"]},
        },
    }


def mappings(identity: IndexIdentity, index_options: str) -> dict[str, Any]:
    """Return the fields of an index, and what it is built from."""
    # Counts of words, and not where they stand: no search asks for phrases.
    text = {"type": "text", "analyzer": _WORDS, "search_analyzer": _LOOKED_FOR, "index_options": "freqs"}
    part = {**text, "copy_to": ALL}
    vector_index: dict[str, Any] = {"type": index_options}
    if index_options in _QUANTISED:
        vector_index["rescore_vector"] = {"oversample": _OVERSAMPLE}
    return {
        "dynamic": "strict",
        "_meta": asdict(identity),
        "properties": {
            "document_id": {"type": "keyword"},
            "filter_value": {"type": "keyword"},
            "title": part,
            "text": part,
            "metadata": part,
            ALL: text,
            "vector": {
                "type": "dense_vector",
                "dims": identity.dimensions,
                "index": True,
                "similarity": "cosine",
                "index_options": vector_index,
            },
        },
    }


def identity_in(meta: Mapping[str, Any]) -> IndexIdentity | None:
    """Return what a build was made from; an index template may have added notes of its own."""
    names = [field.name for field in fields(IndexIdentity)]
    return IndexIdentity(**{name: meta[name] for name in names}) if set(names) <= set(meta) else None
