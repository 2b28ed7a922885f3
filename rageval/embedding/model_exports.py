"""Where exported embedding models are kept, and how they get there: one folder each in the user's cache.

An image brings some in a folder that is only read, RAGEVAL_EXPORTED_MODELS. Whatever the model's files, the libraries
that exported them or our own way of doing it change, it is another folder.
"""

import json
import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from secrets import token_hex
from typing import Final

from filelock import FileLock

from rageval.embedding.exported_model import ExportedModel, ExportFacts, read_facts
from rageval.errors import ConfigError
from rageval.storage.places import user_cache
from rageval.text.fingerprint import digest

BROUGHT = "RAGEVAL_EXPORTED_MODELS"
"""The variable that names a folder of exported models that are only read."""
_logger = logging.getLogger(__name__)
_FORMAT: Final = "1"
"""Changes when the way of exporting does."""
_REFUSED: Final = "not-exportable.json"
_MOST_EXPORTS: Final = 8
_CODE: Final = (
    "import sys; sys.path.append(sys.argv.pop(1)); from rageval.embedding.model_export import main; sys.exit(main())"
)


def exported_model(model_name: str, name: str, source: str, revision: Callable[[], str | None]) -> ExportedModel | None:
    """Return the model from the cache, exported now if it is not there; None if it cannot be.

    One process at a time exports a model; others wait for it. A folder gets its name only once it is complete.

    Args:
        model_name: As its user names it.
        name: What its folder is called.
        source: The folder or Hub name that it is loaded from.
        revision: Returns what changes with its files; None as long as it has not been downloaded.

    Raises:
        ConfigError: If the model cannot be loaded.
    """
    origin = _Origin(model_name=model_name, name=name, source=source, revision=revision)
    there = origin.folder()
    if there and (brought := os.environ.get(BROUGHT)) and (facts := read_facts(Path(brought) / there.name)):
        return ExportedModel(Path(brought) / there.name, facts, partial(origin.renewed, anew=False))
    facts = read_facts(there) if there else None
    if facts is None:
        if there and (there / _REFUSED).exists():
            return None
        try:
            facts = origin.export(anew=False)
        except OSError as error:
            _logger.warning(
                "%s cannot be written (%s), so the embedding model runs in PyTorch, which starts later and takes more "
                "memory; set XDG_CACHE_HOME to a folder that can be written", _root(), error.strerror or error,
            )  # fmt: skip
            return None
    there = origin.folder()
    return ExportedModel(there, facts, partial(origin.renewed, anew=True)) if there and facts else None


@dataclass(frozen=True, kw_only=True)
class _Origin:
    """A model that may be exported, see `exported_model`."""

    model_name: str
    name: str
    source: str
    revision: Callable[[], str | None]

    def folder(self) -> Path | None:
        """Return where it is exported to; None as long as that is not known."""
        known = self.revision()
        return None if known is None else _root() / _folder_name(self.name, known)

    def export(self, *, anew: bool) -> ExportFacts | None:
        """Export it, unless that was done, or has to be done anew; None if it cannot be.

        Raises:
            ConfigError: If it cannot be loaded.
            OSError: If the cache cannot be written.
        """
        _root().mkdir(parents=True, exist_ok=True)
        with FileLock(_root() / f"{digest(self.source)[:16]}.lock"):
            there = self.folder()
            if there and not anew and ((facts := read_facts(there)) or (there / _REFUSED).exists()):
                return facts
            return _export(self.model_name, self.source, self.folder)

    def renewed(self, *, anew: bool) -> tuple[Path, ExportFacts]:
        """Export it in place of a damaged one, and return where it is.

        Raises:
            ConfigError: If it cannot be exported any more.
        """
        facts, there = self.export(anew=anew), self.folder()
        if facts and there:
            return there, facts
        raise ConfigError(f"{there} is damaged, and the model {self.model_name!r} cannot be exported again; remove it")


def _root() -> Path:
    return user_cache() / "embedding"


def _folder_name(name: str, revision: str) -> str:
    libraries = [f"{name} {version(name)}" for name in ("sentence-transformers", "transformers")]
    bare = re.sub(r"[^A-Za-z0-9.]+", "-", name)[-80:]
    return f"{bare}-{revision}-{digest(_FORMAT, *libraries)[:8]}"


def _export(model_name: str, source: str, folder: Callable[[], Path | None]) -> ExportFacts | None:
    """Export the model into its folder; returns None, and writes down the reason, if it cannot be."""
    root = _root()
    temporary = root / f".{token_hex(8)}.tmp"
    temporary.mkdir(mode=0o700)
    try:
        _logger.warning("The embedding model %s is exported to ONNX, once: some seconds", model_name)
        reason = _run(model_name, source, temporary)
        there = folder()
        if there is None:
            return None
        if reason is not None:
            _logger.warning("The embedding model %s runs in PyTorch, for it cannot be exported: %s", model_name, reason)
            shutil.rmtree(temporary)
            temporary.mkdir(mode=0o700)
            (temporary / _REFUSED).write_text(json.dumps({"reason": reason}), "utf-8")
        shutil.rmtree(there, ignore_errors=True)
        temporary.rename(there)
        _remove_oldest(root)
        return read_facts(there)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _run(model_name: str, source: str, folder: Path) -> str | None:
    """Run the process that exports; returns why it cannot, or None.

    Raises:
        ConfigError: If the model cannot be loaded.
    """
    # -P and a path at the end: nothing in the folder that this runs in hides a module.
    command = [sys.executable, "-P", "-c", _CODE, str(Path(__file__).parents[2]), model_name, source, str(folder)]
    ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)  # noqa: S603 - ours
    try:
        answer = json.loads(ran.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        last = ran.stderr.decode(errors="replace").strip().splitlines()[-1:]
        return f"its export ended with status {ran.returncode}: {' '.join(last)[:200] or 'no message'}"
    if "error" in answer:
        raise ConfigError(answer["error"])
    return str(answer["reason"]) if "reason" in answer else None


def _remove_oldest(root: Path) -> None:
    """Keep the latest exports; a process that runs one of the others has it in memory."""
    with suppress(OSError):
        folders = sorted((path for path in root.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
        for path in folders[:-_MOST_EXPORTS]:
            shutil.rmtree(path, ignore_errors=True)
