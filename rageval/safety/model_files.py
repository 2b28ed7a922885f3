"""The files of the models that come with the installation, and what has to be in them.

A package, or a file in the user's cache, may have been changed since it was installed or written: models are looked at
each time that they are loaded. Renewed with the packages' versions in pyproject.toml.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from rageval.errors import ConfigError

LOCAL_MODEL: Final = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
"""Of the embedded model's file, which four packages carry in parts."""
EMBEDDING_MODEL: Final[Mapping[str, str]] = MappingProxyType(
    {
        "1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
        "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        "config_sentence_transformers.json": "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3",
        "data_config.json": "32edcb108fc2516b920734a862ae0692bcae1c5d45d5f8d972cb0d53434a4c54",
        "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
        "sentence_bert_config.json": "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
        "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
        "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
        "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    }
)
"""Of every file of all-MiniLM-L6-v2 that is read."""
_UNREAD: Final = {".md", ".gitattributes"}


def has_content(path: Path, sha256: str) -> bool:
    """Return whether a file is there and has this content."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except FileNotFoundError:
        return False


def check_files(folder: Path, expected: Mapping[str, str], package: str) -> None:
    """Make sure that a model's folder has these files with their content, and no others that are read.

    Args:
        folder: The model's folder.
        expected: SHA-256 of each file, by its path within the folder.
        package: The package that brings it, for messages.

    Raises:
        ConfigError: If a file is missing, changed, or should not be there.
    """
    found = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not _UNREAD & {path.suffix, path.name} and "__pycache__" not in path.parts
    }
    wrong = sorted(name for name, sha256 in expected.items() if not has_content(folder / name, sha256))
    wrong += sorted(found - expected.keys())
    if wrong:
        raise ConfigError(
            f"{folder / wrong[0]} is not what the package {package} brings: it is missing, has been changed, or should "
            f"not be there; install it again: pip install --force-reinstall --no-deps {package}"
        )
