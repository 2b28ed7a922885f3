"""The settings of a sweep -> what each finds, the best of them, and the page; nothing is searched or built twice."""

import logging
import platform
import secrets
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import pyarrow as pa

from rageval.config.evaluation import IndexConfig
from rageval.corpus.files import load_corpus
from rageval.embedding.embedder import Embedder, load_embedder
from rageval.errors import ConfigError, CredentialsError, DataError, ServiceError
from rageval.metrics.grades import first_relevant_rank
from rageval.records import Question
from rageval.runs.inputs import question_ids, read_documents, read_questions
from rageval.runs.life import git_revision
from rageval.search.backends import backend_of, index_name, open_index
from rageval.search.building import ensure_index
from rageval.search.fusion import reciprocal_rank_fusion
from rageval.search.search_index import SearchIndex, SearchResult
from rageval.search.text_rules import TextQuery
from rageval.storage.places import place
from rageval.sweep.config import SweepConfig
from rageval.sweep.own_retrievers import own_identity, search_with_own
from rageval.sweep.page import render_sweep
from rageval.sweep.result import SweepPlan, SweepResult, sweep_result
from rageval.sweep.settings import (
    PARTS,
    Part,
    SearchSetting,
    cluster_of,
    default_setting,
    distinct_searches,
    parts_of,
    search_settings,
)
from rageval.sweep.store import SweepStore
from rageval.sweep.tables import SEARCH, SWEEP_RETRIEVAL
from rageval.tables import DOCUMENTS, QUESTIONS, to_table
from rageval.text.fingerprint import digest, documents_fingerprint

_logger = logging.getLogger(__name__)
SWEEP_MANIFEST = "sweep.json"
SWEEP_PAGE = "sweep.html"
_FEWEST_DOCUMENTS = 2
_PACKAGES = ("rageval", "sentence-transformers", "tantivy", "elasticsearch")


@dataclass(frozen=True, kw_only=True)
class SearchOutcome:
    """How one search of a sweep went."""

    name: str
    searched: bool
    """Whether it was made now; otherwise an earlier start had stored it."""


def open_sweep(config: SweepConfig) -> SweepStore:
    """Return the store of the sweep that is named, or of a new one named after the time.

    Raises:
        ConfigError: If an evaluation run has that name.
    """
    options = config.run
    name = options.run_id or f"sweep-{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    store = SweepStore(str(place(options.output) / name))
    if (store.path / "run.json").exists():
        raise ConfigError(f"{store.folder} holds an evaluation run; give the sweep another --run-id")
    return store


def settled_sweep(config: SweepConfig) -> SweepConfig:
    """Return the settings of the sweep with the search engine that `auto` means from here on."""
    backend = backend_of(config.index.backend)
    return config.model_copy(update={"index": config.index.model_copy(update={"backend": backend})})


def load_data(store: SweepStore, config: SweepConfig) -> dict[str, Any]:
    """Read, check and store documents and questions, and note in `sweep.json` what the sweep was told.

    Returns:
        Counts of documents, questions and both parts, and notes on the data.

    Raises:
        DataError: If rows are unusable, or a part has too few documents.
        ConfigError: If the grid has kinds of vector index that the search engine does not know.
    """
    corpus = load_corpus(config.data)
    parts = _parts(corpus.questions, config)
    store.run.write("documents", to_table(corpus.documents, DOCUMENTS))
    store.run.write("questions", to_table(corpus.questions, QUESTIONS))
    dataset = {
        "documents": len(corpus.documents),
        "questions": len(corpus.questions),
        "tuning": parts.count("tuning"),
        "held_out": parts.count("held-out"),
        "backend": _backend(store, config),
        "documents_fingerprint": documents_fingerprint(corpus.documents),
        "notes": list(corpus.notes),
    }
    manifest = {
        "sweep_id": store.run.run_id,
        "status": "running",
        "started_at": store.run.read_json(SWEEP_MANIFEST).get("started_at") or _now(),
        "config": config.model_dump(mode="json"),
        "dataset": dataset,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
        "git_revision": git_revision(),
    }
    store.run.write_json(SWEEP_MANIFEST, manifest)
    return dataset


def searches_of(config: SweepConfig) -> tuple[SearchSetting, ...]:
    """Return every text and every vector search that the sweep needs, each once."""
    return distinct_searches(search_settings(config.grid))


def search(store: SweepStore, config: SweepConfig, setting: SearchSetting) -> SearchOutcome:
    """Search for every question with one setting, unless that very search is stored.

    Raises:
        ServiceError: If the search engine fails.
        ConfigError: If there is no such embedding model.
    """
    key = _key(store, config, setting)
    if store.read_search(key) is not None:
        return SearchOutcome(name=setting.name, searched=False)
    questions = list(read_questions(store.run))
    if setting.retriever:
        store.write_search(key, _search_table(questions, search_with_own(store.run, config, setting.retriever)))
        return SearchOutcome(name=setting.name, searched=True)
    embedder = _embedder(store, config, setting)
    with closing(_open(store, config, setting, embedder)) as index:
        index.hold(ensure_index(index, list(read_documents(store.run).values()), embedder).fingerprint)
        filters, texts = [q.filter_value for q in questions], [q.question for q in questions]
        depth = config.grid.depth
        if setting.method == "text":
            found = index.search_text(texts, filters, depth)
        else:
            found = index.search_vector(embedder.embed_queries(texts), filters, depth)
    store.write_search(key, _search_table(questions, found))
    return SearchOutcome(name=setting.name, searched=True)


def write_sweep(store: SweepStore, config: SweepConfig) -> tuple[SweepResult, SweepPlan]:
    """Compute the statistics of all settings from the stored searches, and write the tables and the page.

    Raises:
        DataError: If a search is not stored.
    """
    questions = list(read_questions(store.run))
    parts = _parts(questions, config)
    plan = SweepPlan(
        settings=search_settings(config.grid),
        default=default_setting(config.grid),
        metric=config.tuning.metric,
        cutoffs=tuple(sorted(config.grid.cutoffs)),
        accept_alternates=config.tuning.accept_alternates,
    )
    found = {search: _stored(store, config, search) for search in distinct_searches(plan.settings)}
    retrieval = pa.concat_tables(
        _retrieval(setting, _of(setting, found), questions, parts, config) for setting in plan.settings
    )
    result = sweep_result(store.run.read("questions"), retrieval, plan)
    store.write_results(retrieval, result.statistics)
    manifest = store.run.read_json(SWEEP_MANIFEST) | {
        "status": "complete",
        "finished_at": _now(),
        "best": asdict(result.best),
        "default": asdict(plan.default),
        "verdict": result.verdict,
        "difference": result.difference and asdict(result.difference),
    }
    store.run.write_json(SWEEP_MANIFEST, manifest)
    store.run.write_text(SWEEP_PAGE, render_sweep(result, plan, manifest))
    if manifest["dataset"]["backend"] == "elasticsearch":
        _remove_indexes(store, config)
    return result, plan


def _remove_indexes(store: SweepStore, config: SweepConfig) -> None:
    """Remove what the sweep has built on a server that others use, too; what is in files is kept, see `prune`."""
    try:
        for setting in (one for one in searches_of(config) if not one.retriever):
            with closing(_open(store, config, setting, _embedder(store, config, setting))) as index:
                index.remove()
    except (ServiceError, CredentialsError) as error:
        _logger.warning("Indexes of the sweep %s stay: %s", store.run.run_id, error)


def _open(store: SweepStore, config: SweepConfig, setting: SearchSetting, embedder: Embedder) -> SearchIndex:
    """Open the index of a setting: one for each model and kind of vector index; text search takes the first."""
    options = setting.index_options or config.grid.index_options[0]
    name = index_name(IndexConfig(name=config.index.name), config.data.documents)
    # On a server each sweep has its own, which it removes at its end; in the cache they are kept for the next one.
    owner = store.run.run_id if config.index.backend == "elasticsearch" else ""
    index = IndexConfig.model_validate(
        {
            "backend": config.index.backend,
            "name": f"{name[:80]}-sweep-{digest(owner, embedder.identity, options)[:8]}",
            "index_options": options,
            "language": config.index.language,
        }
    )
    return open_index(index, _text_query(setting), store.run.cache, config.data)


def _text_query(setting: SearchSetting) -> TextQuery:
    """Return how a setting's text search combines fields; a vector search makes none."""
    if setting.combination is None or setting.question_boost is None:
        return TextQuery()
    return TextQuery(combination=setting.combination, title=setting.question_boost)


def _embedder(store: SweepStore, config: SweepConfig, setting: SearchSetting) -> Embedder:
    model = setting.embedding_model or config.grid.embedding_models[0]
    return load_embedder(model, config.index.batch_size, store.run.cache)


def _backend(store: SweepStore, config: SweepConfig) -> str:
    """Return which search engine it will be, having reached it; empty where only retrievers of one's own search.

    Raises:
        ConfigError: If the grid has kinds of vector index that it does not know.
    """
    first = search_settings(config.grid)[0]
    if first.retriever:
        return ""
    with closing(_open(store, config, first, _embedder(store, config, first))) as index:
        backend = index.backend
    if backend == "embedded" and config.grid.index_options != ("flat",):
        raise ConfigError(
            f"grid.index_options names {', '.join(config.grid.index_options)}, but the embedded engine is exact and "
            "knows only flat; leave it out, or set ELASTICSEARCH_URL"
        )
    return backend


def _key(store: SweepStore, config: SweepConfig, setting: SearchSetting) -> str:
    """Return a name that changes with everything that decides what a search finds."""
    questions = question_ids(store.run)
    dataset = store.run.read_json(SWEEP_MANIFEST)["dataset"]
    backend, model = dataset["backend"], ""
    if setting.retriever:
        backend, model = "", own_identity(config, setting.retriever)
    elif setting.method == "vector":
        model = _embedder(store, config, setting).identity
    return digest(
        backend,
        dataset["documents_fingerprint"],
        config.data.filter_by,
        config.index.language,
        digest(*questions),
        str(config.grid.depth),
        setting.name,
        model,
    )


@dataclass(frozen=True, kw_only=True)
class _Rankings:
    """What was found for each question, in their order."""

    document_ids: list[list[str]]
    latency_s: list[float]


def _stored(store: SweepStore, config: SweepConfig, setting: SearchSetting) -> _Rankings:
    rows = store.read_search(_key(store, config, setting))
    if rows is None:
        raise DataError(f"{store.folder} does not hold the search {setting.name!r}; start the sweep again")
    return _Rankings(document_ids=rows["document_ids"].to_pylist(), latency_s=rows["latency_s"].to_pylist())


def _of(setting: SearchSetting, found: Mapping[SearchSetting, _Rankings]) -> _Rankings:
    """Return what a setting finds: a stored search, or two of them fused as in `rageval.search.retrieval`."""
    candidates = setting.candidates
    if candidates is None:
        return found[setting]
    text, vector = (found[search] for search in setting.searches)
    pairs = zip(text.document_ids, vector.document_ids, strict=True)
    fused = (reciprocal_rank_fusion([ids[:candidates] for ids in pair]) for pair in pairs)
    return _Rankings(
        document_ids=[[hit.document_id for hit in hits] for hits in fused],
        latency_s=[a + b for a, b in zip(text.latency_s, vector.latency_s, strict=True)],
    )


def _parts(questions: Sequence[Question], config: SweepConfig) -> list[Part]:
    parts = parts_of(questions, share=config.tuning.share, seed=config.tuning.seed)
    for part in PARTS:
        documents = {cluster_of(q) for q, of in zip(questions, parts, strict=True) if of == part}
        if len(documents) < _FEWEST_DOCUMENTS:
            raise DataError(
                f"the {part} part has questions of {len(documents)} documents, expected at least {_FEWEST_DOCUMENTS}; "
                "take more questions, or another tuning.share or tuning.seed"
            )
    return parts


def _search_table(questions: Sequence[Question], found: Sequence[SearchResult]) -> pa.Table:
    rows = [
        {
            "question_id": question.question_id,
            "document_ids": [hit.document_id for hit in one.hits],
            "scores": [hit.score for hit in one.hits],
            "latency_s": one.latency_s,
        }
        for question, one in zip(questions, found, strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=SEARCH)


def _retrieval(
    setting: SearchSetting, found: _Rankings, questions: Sequence[Question], parts: Sequence[Part], config: SweepConfig
) -> pa.Table:
    deepest = max(config.grid.cutoffs)
    rows = []
    for question, part, found_ids, latency_s in zip(questions, parts, found.document_ids, found.latency_s, strict=True):
        ids = found_ids[:deepest]
        right = question.relevant(accept_alternates=config.tuning.accept_alternates)
        rows.append(
            {
                "setting": setting.name,
                "part": part,
                "question_id": question.question_id,
                "document_ids": ids,
                "first_relevant_rank": first_relevant_rank(ids, right),
                "latency_s": latency_s,
            }
        )
    return pa.Table.from_pylist(rows, schema=SWEEP_RETRIEVAL)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
