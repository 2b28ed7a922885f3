"""What every embedding model offers, however it is run."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, Protocol, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

Matrix: TypeAlias = NDArray[np.float32]
"""A vector per row."""
Task = Literal["similarity", "query", "document"]
"""What texts are embedded for: some models put other words in front of each."""
TASKS: Final[tuple[Task, ...]] = get_args(Task)


class EmbeddingModel(Protocol):
    """Turns texts into unit vectors. One thread at a time may use it."""

    @property
    def dimensions(self) -> int:
        """The length of a vector."""

    @property
    def longest(self) -> int | None:
        """The tokens that are read of a text, special ones included; None where there is no limit, or none is known."""

    @property
    def prompts(self) -> Mapping[Task, str]:
        """What is put in front of a text, for each task."""

    @property
    def kinds(self) -> Mapping[Task, str]:
        """Something for each task that is the same where the same text gets the same vector."""

    def encode(self, texts: Sequence[str], task: Task, batch_size: int) -> Matrix:
        """Return the vectors, float32, of length 1, in the order of the texts.

        Args:
            texts: At least one; what goes beyond `longest` is cut off.
            task: What they are embedded for.
            batch_size: Texts computed at once, at most.
        """

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return how many tokens each text has, special ones included, nothing put in front and nothing cut off."""
