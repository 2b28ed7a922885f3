"""An output folder -> what lies in it that a command of this package wrote, and the removal of any of it.

Links are never followed: neither is a link taken for a run, nor is anything removed that a link leads to.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

from rageval.errors import ConfigError, DataError, InputError
from rageval.runs.run import Run
from rageval.safety.urls import shown

_KINDS = {"run.json": "run", "sweep.json": "sweep", "generation.json": "generation"}
_LEFTOVER = ".pruned-"
"""Start of the name that a folder has while it is being removed."""


@dataclass(frozen=True, kw_only=True)
class StoredFolder:
    """One run, sweep, generation of questions, or entry of the cache."""

    path: Path
    kind: str
    status: str
    last_used: datetime
    """When it was last started or finished, by its manifest."""
    size: int
    """Bytes of its files."""
    manifest: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its name in the output folder."""
        return self.path.name


def stored_folders(output: str) -> list[StoredFolder]:
    """Return the runs, sweeps and generations of an output folder, newest first; whatever else lies there is left out.

    Raises:
        ConfigError: If it is not a folder of this machine.
        DataError: If it cannot be read.
    """
    if "://" in output:
        raise ConfigError(
            f"runs are pruned in a folder of this machine, found {shown(output)}; for an object store set the "
            "bucket's own lifecycle rules"
        )
    found = (_read(path) for path in _folders(output) if not path.name.startswith("."))
    return sorted((folder for folder in found if folder), key=lambda folder: folder.last_used, reverse=True)


def leftovers(output: str) -> list[StoredFolder]:
    """Return what an interrupted removal has left."""
    return [described(path, "leftover") for path in _folders(output) if path.name.startswith(_LEFTOVER)]


def described(path: Path, kind: str) -> StoredFolder:
    """Return a file or folder that has no manifest; its age is that of its own last change."""
    changed = datetime.fromtimestamp(path.lstat().st_mtime, UTC)
    return StoredFolder(path=path, kind=kind, status="", last_used=changed, size=_size(path), manifest={})


def is_locked(folder: StoredFolder) -> bool:
    """Return whether another process works on a run, or whether that cannot be found out."""
    if not (folder.path / ".lock").exists():
        return False
    try:
        with Run(str(folder.path)).lock():
            return False
    except InputError:
        return True


def remove(folder: StoredFolder) -> None:
    """Remove a folder or a file; a folder of the cache, or a leftover, is not locked first.

    It is renamed first, so what is stopped half-way is no damaged run but a leftover, which the next removal takes.

    Raises:
        RunLockedError: If another process works on it.
        ConfigError: If it cannot be removed.
    """
    grave = folder.path
    try:
        if folder.kind in _KINDS.values():
            grave = folder.path.with_name(f"{_LEFTOVER}{folder.name}-{token_hex(3)}")
            with Run(str(folder.path)).lock():
                folder.path.rename(grave)
        if grave.is_dir():
            shutil.rmtree(grave)
        else:
            grave.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{folder.path} cannot be removed ({error.strerror or error}); check who owns it, and run the same command "
            "again"
        ) from error


def _folders(output: str) -> list[Path]:
    try:
        return sorted(path for path in Path(output).iterdir() if path.is_dir() and not path.is_symlink())
    except OSError as error:
        raise DataError(
            f"{output} cannot be read as a folder of runs ({error.strerror}); give the --output of `rageval evaluate`"
        ) from error


def _read(path: Path) -> StoredFolder | None:
    """Return a folder with a manifest of ours, or None."""
    for name, kind in _KINDS.items():
        file = path / name
        if not file.is_file() or file.is_symlink():
            continue
        try:
            manifest: Any = Run(str(path)).read_json(name)
        except (DataError, OSError):
            return None
        if not isinstance(manifest, Mapping) or not isinstance(manifest.get("config"), Mapping):
            return None
        dates = list(_dates(manifest))
        if not dates:
            return None
        return StoredFolder(
            path=path, kind=kind, status=str(manifest.get("status", "unknown")), last_used=max(dates),
            size=_size(path), manifest=manifest,
        )  # fmt: skip
    return None


def _dates(manifest: Mapping[str, Any]) -> Iterator[datetime]:
    noted = [manifest, *(manifest.get("starts") or ()), *(manifest.get("rescored") or ())]
    entries = [entry for entry in noted if isinstance(entry, Mapping)]
    for text in (entry.get(name) for entry in entries for name in ("started_at", "finished_at")):
        with contextlib.suppress(TypeError, ValueError):
            date = datetime.fromisoformat(text)  # type: ignore[arg-type]  # a TypeError is one of the cases
            yield date if date.tzinfo else date.replace(tzinfo=UTC)


def _size(path: Path) -> int:
    if not path.is_dir():
        return path.lstat().st_size
    size = 0
    for folder, _, files in os.walk(path):
        for file in files:
            with contextlib.suppress(FileNotFoundError):  # a run that is being worked on renames its files
                size += (Path(folder) / file).lstat().st_size
    return size
