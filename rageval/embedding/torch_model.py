"""An embedding model run by sentence-transformers itself: before it is exported, and where it cannot be.

PyTorch takes 6 to 14 seconds to import, so nothing of it is imported with this module.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rageval.embedding.embedding_model import Matrix, Task
from rageval.errors import ConfigError
from rageval.safety.allowances import EMBEDDED_MODEL

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_HUB_TIMEOUT_S: Final = 10.0
_NO_LIMIT: Final = 10**9
_PROMPT_NAMES: Final[Mapping[Task, tuple[str, ...]]] = {
    "similarity": (), "query": ("query",), "document": ("document", "passage", "corpus"),
}  # fmt: skip
"""Names under which a model says what it puts in front of a text; its `encode_query` and `encode_document` look so."""


class TorchModel:
    """A model of sentence-transformers, see `EmbeddingModel`."""

    def __init__(self, model: "SentenceTransformer") -> None:
        """Wrap a loaded model."""
        self._encode: dict[Task, Callable[..., Any]] = {
            "similarity": model.encode,
            "query": model.encode_query,
            "document": model.encode_document,
        }
        self._tokenizer: Any = getattr(model, "tokenizer", None)
        limit = getattr(model, "max_seq_length", None)
        # Models without a limit say infinity, or a number of thirty digits. One that does not count in a way we know
        # says nothing about its texts.
        is_limit = isinstance(limit, int) and 0 < limit < _NO_LIMIT
        self.longest: int | None = limit if is_limit and _counts_tokens(self._tokenizer) else None
        self.dimensions = int(model.encode(["one text"]).shape[1])
        self.prompts: Mapping[Task, str] = {task: _prompt(model, names) for task, names in _PROMPT_NAMES.items()}
        # A model may also take another way for a task than for others, whatever stands in front.
        self.kinds: Mapping[Task, str] = {task: f"{task} {prompt}" for task, prompt in self.prompts.items()}

    def encode(self, texts: Sequence[str], task: Task, batch_size: int) -> Matrix:
        """Return the vectors, see `EmbeddingModel`."""
        vectors = self._encode[task](
            list(texts), batch_size=batch_size, normalize_embeddings=True, show_progress_bar=False
        )
        return np.asarray(vectors, dtype=np.float32)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text has, see `EmbeddingModel`."""
        tokens = self._tokenizer(list(texts), truncation=False, padding=False, verbose=False)
        return [len(ids) for ids in tokens["input_ids"]]


def load_torch_model(model_name: str, source: str) -> "SentenceTransformer":
    """Load a model from its folder, the Hub's cache folder or the Hub.

    Raises:
        ConfigError: If there is no such model, or it cannot be loaded.
    """
    from httpx2 import HTTPError  # noqa: PLC0415 - what the Hub's client raises without a network
    from safetensors import SafetensorError  # noqa: PLC0415 - slow import

    try:
        with _without_progress_bars():
            return _from_disk_or_hub(source)
    except (OSError, ValueError, HTTPError, SafetensorError) as error:
        raise ConfigError(
            f"the embedding model {model_name!r} cannot be loaded: {str(error).splitlines()[0]} "
            "(index.embedding_model must be the folder of a sentence-transformers model, or the name of one on the "
            f"Hugging Face Hub, which needs the network the first time); {EMBEDDED_MODEL} comes with the installation"
        ) from error


def has_gpu() -> bool:
    """Return whether PyTorch would compute on a GPU of CUDA; it is imported only where there may be one."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in {"", "-1"} or version("torch").endswith("+cpu"):
        return False
    if not Path("/dev/nvidiactl").exists():
        return False
    import torch  # noqa: PLC0415 - slow import

    return bool(torch.cuda.is_available())


def _from_disk_or_hub(source: str) -> "SentenceTransformer":
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


def _counts_tokens(tokenizer: Any) -> bool:
    from transformers import PreTrainedTokenizerBase  # noqa: PLC0415 - slow import

    return isinstance(tokenizer, PreTrainedTokenizerBase)


def _prompt(model: "SentenceTransformer", names: Sequence[str]) -> str:
    """Return what the model puts in front of a text, found as its `encode` does."""
    prompts = getattr(model, "prompts", None) or {}
    name = next((name for name in names if name in prompts), getattr(model, "default_prompt_name", None))
    return (prompts.get(name) if name else None) or ""


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
