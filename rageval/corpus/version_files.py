"""Versions of a ground truth in a folder or a bucket: the newest one found, the next one written as a whole."""

import hashlib
import json
import os
import posixpath
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rageval.corpus.versions import LATEST, Version, version_name, versions_name
from rageval.errors import ConfigError, DataError
from rageval.storage.files import replacing, writing
from rageval.storage.places import Place, first_look, place

FOLDER_VARIABLE = "RAGEVAL_GROUND_TRUTH_DIR"
"""The environment variable that names a folder or bucket for versions, where none can lie beside a ground truth."""


def versions_file(path: str, folder: str = "") -> Place:
    """Return where the versions of a ground truth are noted.

    Args:
        path: Path or URL of the ground truth, with or without `latest:`, or of any version.
        folder: Where its versions are; empty for that of the environment, see `_folder_of`.

    Raises:
        ConfigError: If nothing can be written to this kind of URL.
    """
    path = path.removeprefix(LATEST)
    name = path.replace("\\", "/").partition("?")[0].rpartition("/")[2]
    return (place(folder) if folder else _folder_of(path)) / versions_name(name)


def _folder_of(path: str) -> Place:
    """Return the folder of the ground truth itself, or the one that stands for it in that of the environment.

    It has the path of the ground truth as it is given, so that two of one name do not meet: `examples/faq` in there
    has the versions of `examples/faq/ground-truth.csv`.
    """
    beside = place(path).parent
    named = os.environ.get(FOLDER_VARIABLE, "").strip()
    if not named or f"{beside}/".startswith(f"{place(named)}/"):  # it is a version that lies there
        return beside
    if isinstance(beside, Path) and beside.is_relative_to(Path.cwd()):
        beside = beside.relative_to(Path.cwd())
    text = beside.as_posix() if isinstance(beside, Path) else beside.url.partition("://")[2]
    parts = posixpath.normpath(text).split("/")
    return place(named) / "/".join("up" if part == ".." else part for part in parts if part)


def read_versions(file: Place) -> tuple[Version, ...]:
    """Return the versions after the first, oldest first; none where there is no file of versions.

    Raises:
        DataError: If the file is damaged.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))["versions"]
        return tuple(Version(**{**values, "question_ids": tuple(values["question_ids"])}) for values in found)
    except FileNotFoundError:
        return ()
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(
            f"{file} cannot be read ({error}); restore it, or name a version of the ground truth itself instead"
        ) from error


def newest(path: str) -> str:
    """Return the file that `latest:PATH` means, which is PATH where there are no versions; other paths as they are.

    Raises:
        DataError: If the file of versions is damaged.
        ConfigError: If it is neither in a folder nor in a bucket that can be used.
    """
    if not path.startswith(LATEST):
        return path
    if path.removeprefix(LATEST).startswith(("http://", "https://")):
        raise ConfigError(
            "latest: needs a folder, or a bucket such as s3://bucket/faq/ground-truth.csv; at an address that begins "
            "with http, name the file of a version itself"
        )
    file = versions_file(path)
    with first_look():
        versions = read_versions(file)
    return str(file.parent / versions[-1].file) if versions else path.removeprefix(LATEST)


def write_version(
    file: Place, parent: str, text: str, rows: int, *, source: str, question_ids: Sequence[str]
) -> tuple[Version, str]:
    """Write the next version and note it; returns it with its path. Whoever calls it holds the lock of the file.

    Args:
        file: The file of versions.
        parent: Path of the file whose rows it took over.
        text: The whole CSV.
        rows: How many it has.
        source: Where the new ones come from.
        question_ids: The new ones.

    Raises:
        DataError: If the file of versions is damaged.
        RunStoppedError: If it cannot be written; then the newest version is the one before.
    """
    versions = read_versions(file)
    number = versions[-1].version + 1 if versions else 2
    name = version_name(file.name.removesuffix(".versions.json"), number)
    data = text.encode()
    made = Version(
        version=number, file=name, made_at=datetime.now(UTC).isoformat(timespec="seconds"), parent=parent,
        sha256=hashlib.sha256(data).hexdigest(), rows=rows, source=source, question_ids=tuple(question_ids),
    )  # fmt: skip
    with writing(file.parent):
        with replacing(file.parent / name) as temporary:
            temporary.write_bytes(data)
        with replacing(file) as temporary:
            noted = {"versions": [asdict(version) for version in (*versions, made)]}
            temporary.write_text(json.dumps(noted, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return made, str(file.parent / name)
