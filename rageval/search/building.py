"""Documents -> a search index that fits them; nothing is embedded or built twice."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice

from rageval.config.evaluation import EvaluationConfig, IndexConfig
from rageval.corpus.files import load_documents
from rageval.embedding.embedder import Embedder, load_embedder
from rageval.errors import DataError, IndexMismatchError
from rageval.records import Document
from rageval.runs.folders import open_run
from rageval.runs.inputs import read_documents
from rageval.runs.life import describe_index
from rageval.runs.manifest import SearchedIndex
from rageval.runs.run import Run
from rageval.search.backends import open_index
from rageval.search.search_index import IndexIdentity, SearchIndex
from rageval.search.text_rules import TextQuery
from rageval.storage.places import Place
from rageval.text.fingerprint import documents_fingerprint, index_fingerprint

_NAMED = 5
"""Documents that a sentence names."""
_LAYOUT = "5"
"""Part of every fingerprint: changes when the embedded text or the way of indexing changes."""


@dataclass(frozen=True, kw_only=True)
class IndexReport:
    """What an index is built from, and what had to be done for it."""

    name: str
    backend: str
    fingerprint: str
    embedding_model: str
    documents: int
    embedded: int
    """Texts that had to be embedded; all others were known already."""
    rebuilt: bool
    longest: int | None
    """Tokens that the embedding model reads of a text; None where there is no limit."""
    too_long: int
    """Documents that are longer: vector search knows their beginning only."""
    too_long_ids: tuple[str, ...]
    """The first of them."""

    @property
    def warning(self) -> str | None:
        """What vector search does not see, in a sentence, or None if it sees everything."""
        if not self.too_long:
            return None
        more = " and others" if self.too_long > len(self.too_long_ids) else ""
        are = "document is" if self.too_long == 1 else "documents are"
        return (
            f"{self.too_long:,} of {self.documents:,} {are} longer than the {self.longest} tokens that "
            f"{self.embedding_model.partition('@')[0]} reads, and vector search knows their beginning only: "
            f"{', '.join(self.too_long_ids)}{more}"
        )


def ensure_index(
    index: SearchIndex, documents: Sequence[Document], embedder: Embedder, *, rebuild: bool = False
) -> IndexReport:
    """Make an index hold exactly these documents, embedded by this model.

    An index with the same fingerprint is left alone. Otherwise it is built anew, and only documents that the
    embedder has not seen yet are embedded.

    Args:
        index: The index to be searched later.
        documents: All documents, with unique ids.
        embedder: The embedding model.
        rebuild: Build anew in any case, also over an index of another embedding model.

    Raises:
        DataError: If there are no documents.
        IndexMismatchError: If the index was built with another embedding model, unless `rebuild` is set.
        ServiceError: If the search engine cannot be used or refuses documents.
    """
    if not documents:
        raise DataError(f"there are no documents for the index {index.name}; check data.documents")
    fingerprint = _fingerprint(index, documents, embedder)
    found = None if rebuild else index.identity()
    embedded = 0
    is_current = found is not None and found.fingerprint == fingerprint
    if not is_current:
        _check_model(index, found, embedder)
        embedded = _build(index, documents, embedder, fingerprint)
    too_long = too_long_documents(documents, embedder)
    return IndexReport(
        name=index.name,
        backend=index.backend,
        fingerprint=fingerprint,
        embedding_model=embedder.identity,
        documents=len(documents),
        embedded=embedded,
        rebuilt=not is_current,
        longest=embedder.longest,
        too_long=len(too_long),
        too_long_ids=tuple(islice(too_long, _NAMED)),
    )


def too_long_documents(documents: Sequence[Document], embedder: Embedder) -> dict[str, int]:
    """Return the number of tokens of each document of which the embedding model reads only the beginning, by id."""
    tokens = embedder.too_long([embedded_text(document) for document in documents], "document")
    return {d.document_id: n for d, n in zip(documents, tokens, strict=True) if n is not None}


def embedded_text(document: Document) -> str:
    """Return the text that stands for a document in vector search: its title, where it has one, and its text."""
    return f"{document.title} {document.text}" if document.title else document.text


def _build(index: SearchIndex, documents: Sequence[Document], embedder: Embedder, fingerprint: str) -> int:
    result = embedder.embed_documents([embedded_text(document) for document in documents])
    identity = IndexIdentity(
        fingerprint=fingerprint,
        embedding_model=embedder.identity,
        dimensions=embedder.dimensions,
        documents=len(documents),
    )
    index.build(documents, result.vectors, identity)
    return result.embedded


def _check_model(index: SearchIndex, found: IndexIdentity | None, embedder: Embedder) -> None:
    if found is not None and found.embedding_model != embedder.identity:
        raise IndexMismatchError(
            f"the index {index.name} ({index.backend}) was built with the embedding model {found.embedding_model}, "
            f"this run uses {embedder.identity}; choose another index.name, or replace it with "
            "`rageval index --rebuild`"
        )


def index_run(run: Run, config: EvaluationConfig) -> IndexReport:
    """Index the documents of a run, and keep the index's identity in its manifest."""
    report = _index(list(read_documents(run).values()), config, run.cache, rebuild=False)
    describe_index(run, SearchedIndex(**asdict(report), warning=report.warning))
    return report


def index_corpus(config: EvaluationConfig, *, rebuild: bool) -> IndexReport:
    """Index the documents of a file, for runs to come."""
    documents, _ = load_documents(config.data.documents, config.data.filter_by)
    return _index(list(documents), config, cache_of(config), rebuild=rebuild)


def cache_of(config: EvaluationConfig) -> Place:
    """Return the cache of runs to come."""
    return open_run(config.run).cache


def texts_to_embed(documents: Sequence[Document], config: EvaluationConfig, cache: Place) -> list[str]:
    """Return what `ensure_index` would have to embed for these documents: nothing if their index is there.

    Raises:
        IndexMismatchError, ServiceError: As `ensure_index` does.
    """
    index = open_index(config.index, TextQuery(), cache, config.data)
    try:
        embedder = load_embedder(config.index.embedding_model, config.index.batch_size, cache)
        found = index.identity()
        if found is not None and found.fingerprint == _fingerprint(index, documents, embedder):
            return []
        return embedder.unknown_documents([embedded_text(document) for document in documents])
    finally:
        index.close()


def embed_texts(texts: Sequence[str], config: IndexConfig, cache: Place) -> int:
    """Embed texts of documents for whoever indexes them later; returns how many were not known yet."""
    return load_embedder(config.embedding_model, config.batch_size, cache).embed_documents(texts).embedded


def _fingerprint(index: SearchIndex, documents: Sequence[Document], embedder: Embedder) -> str:
    options = {"backend": index.backend, "layout": _LAYOUT, **index.options}
    return index_fingerprint(documents_fingerprint(documents), embedder.identity, options)


def _index(documents: list[Document], config: EvaluationConfig, cache: Place, *, rebuild: bool) -> IndexReport:
    index = open_index(config.index, TextQuery(), cache, config.data)
    try:
        embedder = load_embedder(config.index.embedding_model, config.index.batch_size, cache)
        return ensure_index(index, documents, embedder, rebuild=rebuild)
    finally:
        index.close()
