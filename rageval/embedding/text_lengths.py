"""Texts -> how many tokens they have, where that is more than an embedding model reads."""

from collections.abc import Sequence

from rageval.embedding.embedding_model import EmbeddingModel, Task

_SPECIAL = 8
"""Special tokens that a text gets at most."""
_TOKENIZED_AT_ONCE = 1000


def too_long(model: EmbeddingModel, texts: Sequence[str], task: Task) -> list[int | None]:
    """Return the number of tokens of each text of which the model reads only the beginning, None for all others."""
    counts: list[int | None] = [None] * len(texts)
    if model.longest is None:
        return counts
    prompt = model.prompts[task]
    # A token stands for a byte at the least, but for the special ones.
    long = [n for n, text in enumerate(texts) if len((prompt + text).encode()) > model.longest - _SPECIAL]
    for start in range(0, len(long), _TOKENIZED_AT_ONCE):
        part = long[start : start + _TOKENIZED_AT_ONCE]
        for n, tokens in zip(part, model.count_tokens([prompt + texts[n] for n in part]), strict=True):
            counts[n] = tokens if tokens > model.longest else None
    return counts
