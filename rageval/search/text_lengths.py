"""Texts -> how many tokens they have, where that is more than an embedding model reads."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Task = Literal["similarity", "query", "document"]
"""What texts are embedded for: some models put other words in front of each."""
_NO_LIMIT = 10**9
_SPECIAL = 8
"""Special tokens that a text gets at most."""
_TOKENIZED_AT_ONCE = 1000


class TextLengths:
    """How many tokens texts have, as a model's own tokenizer counts them."""

    def __init__(self, model: "SentenceTransformer") -> None:
        self._tokenizer: Any = getattr(model, "tokenizer", None)
        limit = getattr(model, "max_seq_length", None)
        # Models without a limit say infinity, or a number of thirty digits. One that does not count in a way we know
        # says nothing about its texts.
        is_limit = isinstance(limit, int) and 0 < limit < _NO_LIMIT
        self.longest: int | None = limit if is_limit and _counts_tokens(self._tokenizer) else None
        names: dict[Task, tuple[str, ...]] = {
            "similarity": (), "query": ("query",), "document": ("document", "passage", "corpus"),
        }  # fmt: skip
        self._prompts = {task: _prompt(model, of_task) for task, of_task in names.items()}

    def too_long(self, texts: Sequence[str], task: Task) -> list[int | None]:
        """See `Embedder.too_long`."""
        counts: list[int | None] = [None] * len(texts)
        if self.longest is None:
            return counts
        prompt = self._prompts[task]
        # A token stands for a byte at the least, but for the special ones.
        long = [n for n, text in enumerate(texts) if len((prompt + text).encode()) > self.longest - _SPECIAL]
        for start in range(0, len(long), _TOKENIZED_AT_ONCE):
            part = long[start : start + _TOKENIZED_AT_ONCE]
            tokens = self._tokenizer([prompt + texts[n] for n in part], truncation=False, padding=False, verbose=False)
            for n, ids in zip(part, tokens["input_ids"], strict=True):
                counts[n] = len(ids) if len(ids) > self.longest else None
        return counts


def _counts_tokens(tokenizer: Any) -> bool:
    from transformers import PreTrainedTokenizerBase  # noqa: PLC0415 - slow import

    return isinstance(tokenizer, PreTrainedTokenizerBase)


def _prompt(model: "SentenceTransformer", names: Sequence[str]) -> str:
    """Return what the model puts in front of a text, found as its `encode` does."""
    prompts = getattr(model, "prompts", None) or {}
    name = next((name for name in names if name in prompts), getattr(model, "default_prompt_name", None))
    return (prompts.get(name) if name else None) or ""
