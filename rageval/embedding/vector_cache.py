"""Embedding vectors on disk or on an object store: a folder per embedding model, so that a text is embedded once."""

import logging
import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rageval.embedding.embedding_model import Matrix
from rageval.embedding.vector_segment import Keys, VectorSegment, model_of, open_segment, write_segment
from rageval.errors import ConfigError
from rageval.storage.files import replacing, writing
from rageval.storage.places import Place, StorePath, changed_ns, matching, on_this_machine

BOUND = "RAGEVAL_VECTORS_GB"
"""The variable that says how much the vectors of one embedding model may take on disk."""
_USUAL_BOUND_GB: Final = 4.0
_PATTERN: Final = "*.vectors"
_MOST_SMALL: Final = 16
"""With more small files than that, some are written as one."""
_FULL_BYTES: Final = 64 << 20
"""A file that has grown to this is left alone."""
_LOOKS: Final = 5
_SOON_NS: Final = 24 * 3600 * 10**9
"""What is removed so soon after its use was kept for nothing."""
_logger = logging.getLogger(__name__)


class VectorCache:
    """The vectors of one embedding model by 128 bits that stand for their text; threads may share it.

    Each `add` writes a file, so several processes and machines may write at once, and none loses anything. Small files
    are written as one, and only then removed, so whoever reads meanwhile finds every vector in one or the other.
    Beyond the bound the files that nobody has used for longest are removed.

    A file is there as a whole or not at all, and its keys and vectors carry checksums: a crash or a damaged disk costs
    embedding time, never a wrong vector. Files of an object store are kept on this machine, too.
    """

    def __init__(self, folder: Place, model: str, *, most_bytes: int | None = None) -> None:
        """Name the folder; nothing is read or written yet.

        Args:
            folder: The folder.
            model: Identity of the embedding model; files that another model wrote are not used.
            most_bytes: What the files may take; None goes by the environment.

        Raises:
            ConfigError: If RAGEVAL_VECTORS_GB is no number of gigabytes.
        """
        self._folder = folder
        self._model = model
        self._most_bytes = bound_bytes() if most_bytes is None else most_bytes
        self._segments: dict[str, VectorSegment] = {}
        self._unusable: set[str] = set()
        self._used: set[str] = set()
        self._has_warned = False
        self._lock = threading.Lock()

    def read(self, keys: Keys, into: Matrix) -> NDArray[np.bool_]:
        """Put the vectors that are stored into a matrix, and return which these are.

        A file that cannot be used is named in a warning and left out; the next `add` removes it.

        Args:
            keys: What is looked for, shape `(n, 2)`.
            into: Shape `(n, dimensions)`; rows of what is not stored stay as they are.

        Raises:
            RunStoppedError: If an object store cannot be used.
        """
        found = np.zeros(len(keys), dtype=bool)
        # A file that goes while it is read has become part of another, which has to be found.
        for look in range(_LOOKS):
            gone = False
            for segment in self._opened(anew=look > 0):
                gone |= not self._read_from(segment, keys, into, found)
            if found.all() or (look and not gone):
                break
        return found

    def has(self, keys: Keys) -> NDArray[np.bool_]:
        """Return which keys are stored, without reading their vectors."""
        found = np.zeros(len(keys), dtype=bool)
        for segment in self._opened(anew=True):
            found |= segment.rows(keys) >= 0
        return found

    def add(self, keys: Keys, vectors: Matrix) -> None:
        """Add vectors to the stored ones.

        Args:
            keys: Theirs, each once, at least one.
            vectors: In the order of the keys.

        Raises:
            RunStoppedError: If they cannot be written.
        """
        order = np.argsort(keys[:, 0], kind="stable")
        self._write(keys[order], [vectors[order]])
        with self._lock:
            unusable, self._unusable = self._unusable, set()
        for name in unusable:
            self._remove(name)
        segments = self._opened(anew=True)
        small = sorted((one for one in segments if one.bytes < _FULL_BYTES), key=lambda one: one.bytes)
        if len(small) > _MOST_SMALL:
            self._write_as_one(_of_a_size(small))
        self._keep_to_the_bound()

    def _opened(self, *, anew: bool) -> list[VectorSegment]:
        """Return the segments, the newest first; those that others have written, too, if looked for anew."""
        with self._lock:
            if anew or not self._segments:
                names = {path.name for path in matching(self._folder, _PATTERN)}
                self._segments = {name: one for name, one in self._segments.items() if name in names}
                if isinstance(self._folder, StorePath):
                    for copy in on_this_machine(self._folder).glob(_PATTERN):
                        if copy.name not in names:
                            copy.unlink(missing_ok=True)
                for name in sorted(names - self._segments.keys() - self._unusable):
                    if segment := self._open(name):
                        self._segments[name] = segment
            return [self._segments[name] for name in sorted(self._segments, reverse=True)]

    def _open(self, name: str) -> VectorSegment | None:
        path = on_this_machine(self._folder) / name
        try:
            if isinstance(self._folder, StorePath) and not path.exists():
                _download(self._folder / name, path)
            return open_segment(path, self._model)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            self._set_aside(name, error)
            return None

    def _read_from(self, segment: VectorSegment, keys: Keys, into: Matrix, found: NDArray[np.bool_]) -> bool:
        """Fill in what a segment has of what is not found yet; returns whether its file is still there."""
        missing = np.flatnonzero(~found)
        rows = segment.rows(keys[missing])
        wanted = missing[rows >= 0]
        if not len(wanted) or segment.dimensions != into.shape[1]:
            return True
        rows = rows[rows >= 0]
        order = np.argsort(rows)
        rows, wanted = rows[order], wanted[order]
        whole = 0
        try:
            for part, vectors in segment.read(rows):
                into[wanted[part]] = vectors
                found[wanted[part]] = True
                whole += len(part)
        except FileNotFoundError:
            self._forget(segment.path.name)
            return False
        except (OSError, ValueError) as error:
            with self._lock:
                self._set_aside(segment.path.name, error)
            return True
        if whole < len(rows):
            _logger.warning(
                "%s is damaged: %d of its vectors are not those that were written, and are embedded again",
                segment.path, len(rows) - whole,
            )  # fmt: skip
        self._note_use(segment)
        return True

    def _note_use(self, segment: VectorSegment) -> None:
        """Let the file be among those that go last; an object store knows only when it was written."""
        if segment.path.name not in self._used and isinstance(self._folder, Path):
            self._used.add(segment.path.name)
            with suppress(OSError):
                os.utime(segment.path)

    def _set_aside(self, name: str, error: Exception) -> None:
        _logger.warning("%s cannot be read (%s); its texts are embedded again", self._folder / name, error)
        self._segments.pop(name, None)
        self._unusable.add(name)

    def _write(self, keys: Keys, vectors: Sequence[Matrix]) -> None:
        name = f"{time.time_ns():020d}-{token_hex(4)}.vectors"
        here = on_this_machine(self._folder) / name
        with replacing(here) as temporary:
            write_segment(temporary, self._model, keys, vectors)
            if isinstance(self._folder, StorePath):  # first, so that what is here is there, or has been
                (self._folder / name).upload(temporary)

    def _write_as_one(self, segments: Sequence[VectorSegment]) -> None:
        parts = [(one.keys[part], vectors) for one in segments for part, vectors in _all_of(one)]
        if parts:
            keys = np.concatenate([keys for keys, _ in parts])
            _, first = np.unique(keys, axis=0, return_index=True)  # in the order of the first numbers
            self._write(keys[first], [np.concatenate([vectors for _, vectors in parts])[first]])
        for segment in segments:
            self._remove(segment.path.name)

    def _keep_to_the_bound(self) -> None:
        segments = self._opened(anew=True)
        total = sum(segment.bytes for segment in segments)
        if total <= self._most_bytes:
            return
        for used, segment in sorted(((self._used_at(one), one) for one in segments[1:]), key=lambda pair: pair[0]):
            if time.time_ns() - used < _SOON_NS and not self._has_warned:
                self._has_warned = True
                _logger.warning(
                    "%s loses vectors that were used today, because all of them take more than %g GB; set %s to more",
                    self._folder, self._most_bytes / 1e9, BOUND,
                )  # fmt: skip
            self._remove(segment.path.name)
            total -= segment.bytes
            if total <= self._most_bytes:
                return

    def _used_at(self, segment: VectorSegment) -> int:
        try:
            return changed_ns(self._folder / segment.path.name)
        except FileNotFoundError:
            return 0

    def _remove(self, name: str) -> None:
        with suppress(PermissionError):  # of Windows, where another process reads it
            (self._folder / name).unlink(missing_ok=True)
            (on_this_machine(self._folder) / name).unlink(missing_ok=True)
        self._forget(name)

    def _forget(self, name: str) -> None:
        with self._lock:
            self._segments.pop(name, None)


def bound_bytes() -> int:
    """Return what the vectors of one embedding model may take on disk, in bytes.

    Raises:
        ConfigError: If the variable is no number of gigabytes.
    """
    given = os.environ.get(BOUND, "").strip()
    try:
        gigabytes = float(given) if given else _USUAL_BOUND_GB
    except ValueError:
        gigabytes = -1.0
    if not 0 <= gigabytes <= 1e6:
        raise ConfigError(f"{BOUND} is {given!r}, expected a number of gigabytes such as 4")
    return int(gigabytes * 1e9)


def embedding_model(folder: Place) -> str | None:
    """Return the identity of the model whose vectors a folder of this machine holds, or None."""
    for path in matching(folder, _PATTERN):
        with suppress(OSError), Path(str(path)).open("rb") as file:
            if model := model_of(file.read(1024)):
                return model
    return None


def _download(remote: StorePath, path: Path) -> None:
    """Copy a file of a store to this machine, where other threads and processes may do the same."""
    content = remote.read_bytes()
    temporary = path.with_name(f".{token_hex(8)}.tmp")
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _all_of(segment: VectorSegment) -> list[tuple[NDArray[np.int64], Matrix]]:
    """Return the vectors of a segment that are whole; none if it is gone: another process writes them as one, too."""
    try:
        return list(segment.read(np.arange(len(segment.keys))))
    except (OSError, ValueError):
        return []


def _of_a_size(small: Sequence[VectorSegment]) -> list[VectorSegment]:
    """Return the smallest ones up to one that is larger than all of these together: no vector is often written anew."""
    taken = list(small[:2])
    for segment in small[2:]:
        total = sum(one.bytes for one in taken)
        if segment.bytes > max(total, 1 << 20) or total + segment.bytes > 2 * _FULL_BYTES:
            break
        taken.append(segment)
    return taken
