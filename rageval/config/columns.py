"""What a row of questions or of recorded answers may hold, and which column of a user's file holds it."""

from typing import Annotated, Literal

from pydantic import Field

from rageval.config.settings import Key, Settings

ItemField = Literal[
    "question_id", "question", "history", "references", "relevant_ids", "relevant_grades", "relevant_texts",
    "relevant_text_grades", "answerable", "conversation", "turn", "metadata", "system", "repeat", "answer", "error",
    "contexts", "context_ids", "context_scores", "citations", "latency_s", "latency_ms", "first_token_s",
    "prompt_tokens", "completion_tokens", "cost_usd", "finish_reason", "model", "passage", "passage_id",
    "passage_score",
]  # fmt: skip


class ColumnConfig(Settings):
    """A column of the file, and what it holds."""

    name: ItemField
    """What the column holds, such as `question`, `references`, `answer` or `contexts`. `passage` is one of several rows
    of an answer, each with one of its contexts; all of `metadata` becomes tags."""
    column: Annotated[Key, Field(min_length=1, max_length=200)]
    """Its name in the file; `output.text` is `text` within the object `output`."""
    separator: str = Field(default="", max_length=20)
    """What stands between the parts of one text, such as `|`, where the column holds several; empty for a list, or
    whatever is usual."""
