"""Where exported embedding models are kept, and how they get there: one folder each in the user's cache.

Whatever the model's files, the libraries that exported them or our own way of doing it change, it is another folder.
"""

import json
import logging
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from secrets import token_hex
from typing import Final

from filelock import FileLock

from rageval.errors import ConfigError
from rageval.search.exported_model import ExportedModel, ExportFacts, read_facts
from rageval.storage.places import user_cache
from rageval.text.fingerprint import digest

_logger = logging.getLogger(__name__)
_FORMAT: Final = "1"
"""Changes when the way of exporting does."""
_REFUSED: Final = "not-exportable.json"
_MOST_EXPORTS: Final = 8
_CODE: Final = (
    "import sys; sys.path.append(sys.argv.pop(1)); from rageval.search.model_export import main; sys.exit(main())"
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
    root = user_cache() / "embedding"

    def folder() -> Path | None:
        known = revision()
        return None if known is None else root / _folder_name(name, known)

    def export_once(*, anew: bool) -> ExportFacts | None:
        with FileLock(root / f"{digest(source)[:16]}.lock"):
            there = folder()
            if there and not anew and ((facts := read_facts(there)) or (there / _REFUSED).exists()):
                return facts
            return _export(model_name, source, folder)

    def renew() -> ExportFacts:
        if facts := export_once(anew=True):
            return facts
        raise ConfigError(f"{folder()} is damaged, and the model {model_name!r} cannot be exported again; remove it")

    there = folder()
    facts = read_facts(there) if there else None
    if facts is None:
        if there and (there / _REFUSED).exists():
            return None
        try:
            root.mkdir(parents=True, exist_ok=True)
            facts = export_once(anew=False)
        except OSError as error:
            _logger.warning(
                "%s cannot be written (%s), so the embedding model runs in PyTorch, which starts later and takes more "
                "memory; set XDG_CACHE_HOME to a folder that can be written", root, error.strerror or error,
            )  # fmt: skip
            return None
    there = folder()
    return ExportedModel(there, facts, renew) if there and facts else None


def _folder_name(name: str, revision: str) -> str:
    libraries = [f"{name} {version(name)}" for name in ("sentence-transformers", "transformers")]
    bare = re.sub(r"[^A-Za-z0-9.]+", "-", name)[-80:]
    return f"{bare}-{revision}-{digest(_FORMAT, *libraries)[:8]}"


def _export(model_name: str, source: str, folder: Callable[[], Path | None]) -> ExportFacts | None:
    """Export the model into its folder; returns None, and writes down the reason, if it cannot be."""
    root = user_cache() / "embedding"
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
