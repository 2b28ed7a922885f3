"""Texts -> unit vectors, each text once: by an embedding model, or as they were stored before.

A model is loaded once per process, and only when a text has to be embedded.
"""

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rageval.embedding.embedding_model import EmbeddingModel, Matrix, Task
from rageval.embedding.model_exports import exported_model
from rageval.embedding.model_source import locate, revision
from rageval.embedding.text_lengths import too_long
from rageval.embedding.torch_model import TorchModel, has_gpu, load_torch_model
from rageval.embedding.vector_cache import VectorCache
from rageval.embedding.vector_segment import Keys
from rageval.errors import ConfigError
from rageval.safety.allowances import check_embedding_model
from rageval.storage.places import Place
from rageval.text.fingerprint import digest
from rageval.text.printable import plain_text

_EMBEDDED_AT_ONCE: Final = 256
"""Texts that are embedded before their vectors are stored, and before another thread has its turn."""
_REMEMBERED_BYTES: Final = 32 << 20
"""Of the latest vectors, for texts that are asked for again soon."""


@dataclass(frozen=True, kw_only=True)
class DocumentVectors:
    """Vectors of documents, and how many texts had to be embedded for them."""

    vectors: Matrix
    embedded: int


class Embedder:
    """One embedding model and its stored vectors; threads may share it.

    Whoever asks for vectors that are stored waits for nobody's embedding.
    """

    def __init__(self, model: EmbeddingModel, *, identity: str, batch_size: int, cache_folder: Place | None) -> None:
        """Wrap a model; use `load_embedder` to load one.

        Args:
            model: The model.
            identity: Name of the model and something that changes with its weights.
            batch_size: Texts embedded at once.
            cache_folder: Where vectors are kept for later processes; None keeps none.
        """
        self.identity = identity
        self.dimensions = model.dimensions
        self.longest = model.longest
        """The tokens that the model reads of a text, special ones included; None where there is no limit."""
        self._model = model
        self._batch_size = batch_size
        self._embedding, self._remembering = threading.Lock(), threading.Lock()
        self._remembered: dict[bytes, Matrix] = {}
        self._most_remembered = max(_EMBEDDED_AT_ONCE, _REMEMBERED_BYTES // (4 * self.dimensions))
        self._disk = _disk_cache(cache_folder, identity)

    def embed(self, texts: Sequence[str]) -> Matrix:
        """Return vectors of texts that are compared with each other, such as answers and references.

        Vectors that any process has stored in the cache folder are reused, and new ones are stored there.

        Args:
            texts: Any texts; what goes beyond the model's longest input is cut off by the model.

        Returns:
            Shape `(len(texts), dimensions)`, float32, rows of length 1 in the order of the texts.

        Raises:
            RunStoppedError: If the cache folder cannot be written.
        """
        return self._embed("similarity", texts).vectors

    def embed_queries(self, texts: Sequence[str]) -> Matrix:
        """Return vectors of search queries, to be compared with those of documents; otherwise like `embed`."""
        return self._embed("query", texts).vectors

    def embed_documents(self, texts: Sequence[str]) -> DocumentVectors:
        """Return vectors of documents, as in `embed`, and how many of the texts had to be embedded."""
        return self._embed("document", texts)

    def unknown_documents(self, texts: Sequence[str]) -> list[str]:
        """Return those of the texts that `embed_documents` would have to embed, each once."""
        distinct = list(dict.fromkeys(texts))
        if not distinct or not self._disk:
            return distinct
        known = self._disk.has(self._keys("document", distinct))
        return [text for text, is_known in zip(distinct, known, strict=True) if not is_known]

    def too_long(self, texts: Sequence[str], task: Task) -> list[int | None]:
        """Return the number of tokens of each text of which the model reads only the beginning, None for all others.

        Args:
            texts: Any texts.
            task: What they would be embedded for, because some models put words in front of a text.
        """
        return too_long(self._model, [plain_text(text) for text in texts], task)

    def _keys(self, task: Task, texts: Sequence[str]) -> Keys:
        kind = self._model.kinds[task]
        digests = bytes.fromhex("".join(digest(kind, text) for text in texts))
        return np.frombuffer(digests, "<u8").reshape(-1, 2)

    def _embed(self, task: Task, texts: Sequence[str]) -> DocumentVectors:
        distinct = list(dict.fromkeys(texts))
        keys = self._keys(task, distinct)
        vectors = np.empty((len(distinct), self.dimensions), np.float32)
        known = self._look_up(keys, vectors)
        missing = sorted(np.flatnonzero(~known).tolist(), key=lambda i: len(distinct[i]), reverse=True)
        embedded = 0
        for start in range(0, len(missing), _EMBEDDED_AT_ONCE):
            part = np.array(missing[start : start + _EMBEDDED_AT_ONCE])
            with self._embedding:
                embedded += self._embed_part(task, [distinct[i] for i in part.tolist()], keys[part], vectors, part)
        if len(distinct) < len(texts):
            rows = {text: row for row, text in enumerate(distinct)}
            vectors = vectors[[rows[text] for text in texts]]
        return DocumentVectors(vectors=vectors, embedded=embedded)

    def _embed_part(
        self, task: Task, texts: Sequence[str], keys: Keys, vectors: Matrix, rows: NDArray[np.int64]
    ) -> int:
        """Fill in some rows, with what another thread has embedded meanwhile, or anew; returns how many anew."""
        found = np.empty((len(texts), self.dimensions), np.float32)
        new = np.flatnonzero(~self._look_up(keys, found))
        if len(new):
            found[new] = self._model.encode([plain_text(texts[i]) for i in new.tolist()], task, self._batch_size)
            self._remember(keys[new], found[new])
            if self._disk:
                self._disk.add(keys[new], found[new])
        vectors[rows] = found
        return len(new)

    def _look_up(self, keys: Keys, into: Matrix) -> NDArray[np.bool_]:
        """Put known vectors into a matrix, and return which of the keys these are."""
        found = np.zeros(len(keys), dtype=bool)
        with self._remembering:
            if self._remembered:
                for row, key in enumerate(keys):
                    if (vector := self._remembered.get(key.tobytes())) is not None:
                        into[row], found[row] = vector, True
        missing = np.flatnonzero(~found)
        if self._disk and len(missing):
            stored = np.empty((len(missing), self.dimensions), np.float32)
            on_disk = self._disk.read(keys[missing], stored)
            into[missing[on_disk]] = stored[on_disk]
            found[missing[on_disk]] = True
        return found

    def _remember(self, keys: Keys, vectors: Matrix) -> None:
        with self._remembering:
            for key, vector in zip(keys, vectors, strict=True):
                self._remembered[key.tobytes()] = vector.copy()
            while len(self._remembered) > self._most_remembered:
                del self._remembered[next(iter(self._remembered))]


_embedders: dict[tuple[str, int, Place | None], Embedder] = {}
_models: dict[str, tuple[str, EmbeddingModel]] = {}
_loading = threading.Lock()


def load_embedder(model_name: str, batch_size: int, cache_folder: Place | None) -> Embedder:
    """Return the process's embedder with these settings.

    The first time that anybody uses a model on this machine, it is exported, which takes some seconds. Its graph is
    loaded when the first text has to be embedded.

    Args:
        model_name: A folder, or the name of a model on the Hugging Face Hub; without an organisation it is looked
            up under sentence-transformers. all-MiniLM-L6-v2 comes with the installation and needs no network.
        batch_size: Texts embedded at once.
        cache_folder: Where vectors are kept for later processes; None keeps none.

    Raises:
        ConfigError: If there is no such model, it cannot be loaded, the run may not load it, or it came with the
            installation and was changed.
    """
    check_embedding_model(model_name)
    name, source = locate(model_name)
    key = (source, batch_size, cache_folder)
    with _loading:
        if key not in _embedders:
            if source not in _models:
                _models[source] = _open(model_name, name, source)
            found, model = _models[source]
            _embedders[key] = Embedder(
                model, identity=f"{name}@{found}", batch_size=batch_size, cache_folder=cache_folder
            )
        return _embedders[key]


def _open(model_name: str, name: str, source: str) -> tuple[str, EmbeddingModel]:
    """Return a model's revision and the model, exported if that can be."""
    before = revision(model_name, source)
    model: EmbeddingModel | None = None
    if not has_gpu():
        model = exported_model(model_name, name, source, lambda: before or revision(model_name, source))
    if model is None:
        model = TorchModel(load_torch_model(model_name, source))
    found = before or revision(model_name, source)
    if found is None:
        raise ConfigError(f"the embedding model {source!r} is not in the Hub's cache folder; give its folder instead")
    return found, model


def _disk_cache(folder: Place | None, identity: str) -> VectorCache | None:
    if folder is None:
        return None
    return VectorCache(folder / f"{re.sub(r'[^A-Za-z0-9.]+', '-', identity)}.vectors", identity)
