"""Documents -> the part of an embedded index that finds words: BM25 by tantivy, in files that are mapped from disk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import tantivy
from tantivy import Document as TantivyDocument
from tantivy import Occur, Query, TextAnalyzer

from rageval.config.evaluation import Language
from rageval.records import Document
from rageval.search.search_index import metadata_text
from rageval.search.text_analysis import text_analyzer
from rageval.search.text_rules import TextQuery
from rageval.text.printable import plain_text
from rageval.text.scripts import searchable

_FIELDS: Final = ("title", "text", "metadata")
_ALL: Final = "all"
"""The three as one text."""
_NUMBER, _FILTER = "number", "filter"
_ANALYZER: Final = "words"
_COUNTS: Final = "freq"
"""What is kept of a word: where, and how often, but not at which positions."""
_MEMORY: Final = 1_000_000_000
"""Bytes that are filled, if there is so much text, before a part is written; a part is searched in one go."""
_MOST_WORDS: Final = 1000
"""Of a query; what follows is left out."""


def write_text(
    folder: Path,
    documents: Sequence[Document],
    fields: Sequence[str],
    filter_by: str,
    filters: Mapping[str, int],
    language: Language,
) -> None:
    """Write the text index of documents; each is found by its position among them.

    Args:
        folder: An empty one.
        documents: In the order in which equal scores are returned.
        fields: Those that they have, see `used_fields`.
        filter_by: The metadata by which searches are filtered.
        filters: The number of each value of it.
        language: By whose rules texts are cut.

    Raises:
        OSError: If the disk takes nothing more.
    """
    index = tantivy.Index(_schema(fields), str(folder))
    index.register_tokenizer(_ANALYZER, text_analyzer(language))
    # In one thread, which keeps the order of the documents; so equal scores stay in it.
    writer = index.writer(heap_size=_MEMORY, num_threads=1)
    try:
        for number, document in enumerate(documents):
            writer.add_document(_row(number, document, fields, filter_by, filters))
        writer.commit()
        writer.wait_merging_threads()
    except ValueError as error:  # tantivy has no other
        raise OSError(f"the text index in {folder} cannot be written: {error}") from error


def used_fields(documents: Sequence[Document], filter_by: str) -> tuple[str, ...]:
    """Return the fields that any document has; where it is one alone, it is all there is to search in."""
    has = {
        "title": any(document.title for document in documents),
        "text": True,
        "metadata": any(metadata_text(document, filter_by) for document in documents),
    }
    return tuple(field for field in _FIELDS if has[field])


def _schema(fields: Sequence[str]) -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    for field in (*fields, *((_ALL,) if len(fields) > 1 else ())):
        builder.add_text_field(field, tokenizer_name=_ANALYZER, index_option=_COUNTS)
    builder.add_unsigned_field(_NUMBER, fast=True)
    builder.add_unsigned_field(_FILTER, indexed=True)
    return builder.build()


def _row(
    number: int, document: Document, fields: Sequence[str], filter_by: str, filters: Mapping[str, int]
) -> TantivyDocument:
    row = TantivyDocument()
    row.add_unsigned(_NUMBER, number)
    row.add_unsigned(_FILTER, filters[document.filter_value(filter_by)])
    texts = {"title": document.title, "text": document.text, "metadata": metadata_text(document, filter_by)}
    cut = {field: searchable(plain_text(texts[field])) for field in fields}
    for field, text in cut.items():
        row.add_text(field, text)
    if len(cut) > 1:
        row.add_text(_ALL, "\n".join(cut.values()))
    return row


def open_text(folder: Path, fields: tuple[str, ...], language: Language) -> "TextIndex":
    """Map a text index that `write_text` has written.

    Raises:
        ValueError, OSError: If a file is gone or damaged.
    """
    index = tantivy.Index.open(str(folder))
    index.config_reader("manual")  # it is never written to again
    return TextIndex(fields=fields, schema=_schema(fields), searcher=index.searcher(), analyzer=text_analyzer(language))


@dataclass(frozen=True, kw_only=True)
class TextIndex:
    """A text index that is open."""

    fields: tuple[str, ...]
    """Those that its documents have."""
    schema: tantivy.Schema
    searcher: tantivy.Searcher
    analyzer: TextAnalyzer

    def best(self, words: str, only: int | None, k: int, rules: TextQuery) -> list[tuple[int, float]]:
        """Return the best `k` documents with their scores, the best first; equal ones in the documents' order.

        Args:
            words: What is looked for; plain text.
            only: The number of the filter value that they need; None for any.
            k: How many.
            rules: How fields are combined.
        """
        query = self._query(searchable(plain_text(words)), rules)
        if only is not None:
            within = Query.const_score_query(Query.term_query(self.schema, _FILTER, only), 0.0)
            query = Query.boolean_query([(Occur.Must, query), (Occur.Must, within)])
        hits = self._hits(query, min(k, max(1, self.searcher.num_docs)))
        numbers = self.searcher.fast_field_values(_NUMBER, [address for _, address in hits])
        scored = [(int(number or 0), float(score)) for number, (score, _) in zip(numbers, hits, strict=True)]
        return sorted(scored, key=lambda one: (-one[1], one[0]))[:k]

    def _hits(self, query: Query, k: int) -> list[tuple[float, tantivy.DocAddress]]:
        """Return the best `k`, and whatever shares the score of the last where parts do not know each other's order."""
        limit = k
        while True:
            hits = self.searcher.search(query, limit, count=False).hits
            is_whole = len(hits) < limit or self.searcher.num_segments == 1 or hits[-1][0] < hits[k - 1][0]
            if is_whole or limit >= self.searcher.num_docs:
                return hits
            limit = min(4 * limit, self.searcher.num_docs)

    def _query(self, text: str, rules: TextQuery) -> Query:
        words = self.analyzer.analyze(text)[:_MOST_WORDS]
        if rules.combination == "together":
            weights = {_ALL if len(self.fields) > 1 else self.fields[0]: 1.0}
            if len(self.fields) > 1:
                weights |= {field: rules.boosts[field] - 1 for field in self.fields if rules.boosts[field] > 1}
        else:
            weights = {field: rules.boosts[field] for field in self.fields if rules.boosts[field] > 0}
        of_fields = [self._any_of(words, field, weight) for field, weight in weights.items()]
        if not (words and of_fields):
            return Query.empty_query()
        if len(of_fields) == 1:
            return of_fields[0]
        if rules.combination == "best":
            return Query.disjunction_max_query(of_fields)
        return Query.boolean_query([(Occur.Should, query) for query in of_fields])

    def _any_of(self, words: Sequence[str], field: str, weight: float) -> Query:
        terms = [(Occur.Should, Query.term_query(self.schema, field, word, _COUNTS)) for word in words]
        query = Query.boolean_query(terms)
        return query if weight == 1.0 else Query.boost_query(query, weight)
