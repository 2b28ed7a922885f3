"""Documents -> the search index of a run."""

from dataclasses import asdict
from pathlib import Path

from rageval.adapters.corpus import load_documents
from rageval.adapters.embedder import load_embedder
from rageval.adapters.indexing import IndexReport, ensure_index
from rageval.adapters.run_store import RunStore
from rageval.adapters.search_index import open_index
from rageval.config import EvaluationConfig
from rageval.records import Document
from rageval.stages.inputs import read_documents
from rageval.stages.manifest import describe_index


def index_run(run: RunStore, config: EvaluationConfig) -> IndexReport:
    """Index the documents of a run, and keep the index's identity in its manifest."""
    report = _index(list(read_documents(run).values()), config, run.cache, rebuild=False)
    describe_index(run, asdict(report))
    return report


def index_corpus(config: EvaluationConfig, *, rebuild: bool) -> IndexReport:
    """Index the documents of a file, for runs to come."""
    documents, _ = load_documents(config.data.documents)
    return _index(list(documents), config, RunStore(str(Path(config.run.output) / "any")).cache, rebuild=rebuild)


def _index(documents: list[Document], config: EvaluationConfig, cache: Path, *, rebuild: bool) -> IndexReport:
    index = open_index(config.index, config.retrieval.question_boost, cache, config.data.documents)
    try:
        embedder = load_embedder(config.index.embedding_model, config.index.batch_size, cache)
        return ensure_index(index, documents, embedder, rebuild=rebuild)
    finally:
        index.close()
