"""The cache of an output folder + the runs that stay -> indexes and embeddings that none of them has used."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rageval.config.evaluation import IndexConfig
from rageval.embedding.vector_cache import embedding_model
from rageval.runs.stored_folders import StoredFolder, described, is_locked
from rageval.search.backends import index_name


def unused_cache(output: str, staying: Sequence[StoredFolder]) -> tuple[list[StoredFolder], str | None]:
    """Return the entries that none of the staying folders has used, or none and the reason.

    What goes is computed again when it is wanted: it costs time, never results. A process that is at work may be about
    to use an entry that its manifest does not name yet, so nothing goes meanwhile. Other files are left alone.
    """
    cache = Path(output) / ".cache"
    if cache.is_symlink() or not cache.is_dir():
        return [], None
    if busy := [folder.name for folder in staying if is_locked(folder)]:
        return [], f"another process works on {', '.join(busy)}"
    embedded = {model for folder in staying for model in _models(folder)}
    unused = []
    for path in sorted(path for path in cache.iterdir() if not path.is_symlink()):
        if (path / "index.json").is_file():
            if not any(_has_searched(folder, path.name) for folder in staying):
                unused.append(described(path, "index"))
            continue
        model = embedding_model(path) if path.suffix == ".vectors" else None
        if model and _bare(model) not in embedded:
            unused.append(described(path, "embeddings"))
    return unused, None


def _has_searched(folder: StoredFolder, index: str) -> bool:
    """Return whether an index is, by its name, one of a run, or one of a sweep, which has one for each kind."""
    config: Any = folder.manifest["config"]
    used = folder.manifest.get("index")
    if isinstance(used, Mapping) and used.get("name") == index:
        return True
    data, settings = config.get("data"), config.get("index")
    if not isinstance(data, Mapping) or not isinstance(settings, Mapping):
        return False
    name = index_name(IndexConfig(name=settings.get("name")), str(data.get("documents")))
    return index == name or (folder.kind == "sweep" and index.startswith(f"{name[:80]}-sweep-"))


def _models(folder: StoredFolder) -> set[str]:
    """Return the embedding models that a folder names, without organisation, folder or revision."""
    config: Any = folder.manifest["config"]
    names: list[Any] = []
    for group in (folder.manifest.get("index"), config.get("index"), config):
        if isinstance(group, Mapping):
            names.append(group.get("embedding_model"))
    grid = config.get("grid")
    if isinstance(grid, Mapping):
        names += grid.get("embedding_models") or ()
    return {_bare(str(name)) for name in names if name}


def _bare(model: str) -> str:
    return re.sub(r"@[^@]*$", "", model).rstrip("/").rpartition("/")[2]
