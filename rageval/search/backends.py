"""The choice of the search engine, and of an index in it."""

import os
import re
from pathlib import PurePosixPath

from rageval.config.evaluation import DataConfig, EvaluationConfig, IndexConfig
from rageval.runs.manifest import SearchedIndex
from rageval.search.search_index import CLOUD_VARIABLE, URL_VARIABLE, SearchIndex
from rageval.search.text_rules import TextQuery
from rageval.storage.places import Place, on_this_machine
from rageval.text.fingerprint import digest


def open_index(config: IndexConfig, text: TextQuery, folder: Place, data: DataConfig) -> SearchIndex:
    """Return the index that the configuration names; nothing is built yet.

    Args:
        config: Its backend is no longer `auto`, see `settled`.
        text: How text search combines fields.
        folder: Where the embedded engine keeps its indexes; on an object store each machine has its own, in the
            user's cache.
        data: Path or URL of the documents, after which an index without a name is named, and how they are filtered.

    Raises:
        ConfigError: If Elasticsearch is wanted, but neither variable is set, or both, or one holds nonsense.
        ServiceError: If Elasticsearch cannot be reached or has another major version than its client.
        CredentialsError: If Elasticsearch refuses the credentials.
        ValueError: If the backend is `auto`.
    """
    if config.backend == "auto":
        raise ValueError("the search engine is settled once, when a run starts")
    name = index_name(config, data.documents)
    if config.backend == "embedded":
        from rageval.search.embedded_index import EmbeddedIndex  # noqa: PLC0415 - an engine is loaded where it is used

        return EmbeddedIndex(on_this_machine(folder), name, text, data.filter_by, config.language)
    from rageval.search.elasticsearch_client import server_url  # noqa: PLC0415 - same
    from rageval.search.elasticsearch_index import ElasticsearchIndex  # noqa: PLC0415 - same

    return ElasticsearchIndex(
        server_url(), name, text, config.index_options,
        shards=config.shards, replicas=config.replicas, filter_by=data.filter_by, language=config.language,
    )  # fmt: skip


def settled(config: EvaluationConfig, searched: SearchedIndex | None = None) -> EvaluationConfig:
    """Return the configuration with the search engine that `auto` means from here on.

    Args:
        config: What was asked for.
        searched: The index that an earlier start of the run has searched; None if none has.
    """
    wanted = config.index.backend
    backend = searched.backend if searched and wanted == "auto" else backend_of(wanted)
    return config.model_copy(update={"index": config.index.model_copy(update={"backend": backend})})


def backend_of(wanted: str) -> str:
    """Return the search engine that `index.backend` means in this environment.

    `auto` means Elasticsearch where ELASTICSEARCH_URL or ELASTICSEARCH_CLOUD_ID is set, else the embedded engine.
    """
    named = os.environ.get(URL_VARIABLE, "").strip() or os.environ.get(CLOUD_VARIABLE, "").strip()
    return wanted if wanted != "auto" else "elasticsearch" if named else "embedded"


def index_name(config: IndexConfig, documents_path: str) -> str:
    """Return the name of the index, valid for every backend: lower case, at most 100 characters.

    Without a configured name it is derived from the documents' path as it is written, so that two files have two
    indexes whatever they are called.
    """
    if config.name:
        return config.name.lower()
    stem = PurePosixPath(documents_path.replace("\\", "/").split("?")[0]).stem.lower()
    slug = re.sub(r"[^a-z0-9]+", "-", stem).strip("-")[:40]
    return "-".join(part for part in ("rageval", slug, digest(documents_path)[:8]) if part)
