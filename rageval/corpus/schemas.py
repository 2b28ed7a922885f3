"""Whose files have which columns: the names that other programs give to what a row holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from rageval.config.columns import ItemField


@dataclass(frozen=True, kw_only=True)
class FileSchema:
    """The columns that one program writes or reads."""

    name: str
    marks: tuple[frozenset[str], ...]
    """A file is one of this program's if it has all columns of one of these sets."""
    columns: Mapping[str, ItemField] = field(default_factory=dict)
    """What its columns hold, where `USUAL` does not say so."""
    separators: Mapping[ItemField, tuple[str, ...]] = field(default_factory=dict)
    """What stands between the parts of a text that holds several."""
    absent: frozenset[str] = frozenset()
    """What it writes in place of an answer where there is none."""
    remark: str = ""
    """What a user should know of how it is read."""


def _any(*sets: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(names.split()) for names in sets)


SCHEMAS: Final = (
    FileSchema(
        name="open-rag-eval",
        marks=_any("query passage generated_answer"),
        columns={"query_run": "repeat", "passage": "passage", "passage_id": "passage_id"},
        absent=frozenset({"NO_ANSWER", "API_ERROR"}),
        remark="rows of one query_id and query_run are one answer, each with one of its passages",
    ),
    FileSchema(
        name="RAGChecker",
        marks=_any("query gt_answer", "query_id query retrieved_context"),
        columns={"gt_answer": "references"},
    ),
    FileSchema(
        name="AutoRAG",
        marks=_any("qid query", "query retrieval_gt", "query generation_gt"),
        columns={
            "retrieval_gt": "relevant_ids", "generation_gt": "references", "generated_texts": "answer",
            "retrieved_contents": "contexts", "retrieve_scores": "context_scores",
        },
        remark="each document of retrieval_gt counts as relevant, also those of which one would do",
    ),
    FileSchema(name="ragas", marks=_any("user_input")),
    FileSchema(name="Giskard", marks=_any("question reference_answer", "question reference_context")),
    FileSchema(name="ai-rag-chat-evaluator", marks=_any("question truth"), columns={"truth": "references"}),
    FileSchema(
        name="DeepEval",
        marks=_any("input actual_output", "input retrieval_context", "input expected_output"),
        columns={"context": "relevant_texts"},
        separators={"contexts": ("|",), "relevant_texts": ("|",)},
    ),
    FileSchema(name="Langfuse", marks=_any("input expectedoutput"), columns={"expectedoutput": "references"}),
    FileSchema(name="Azure AI evaluation", marks=_any("query response", "query ground_truth")),
    FileSchema(
        name="ragas before 0.2",
        marks=_any("question ground_truth contexts", "question ground_truths", "question answer contexts ground_truth"),
    ),
)  # fmt: skip
"""The first one whose marks a file has is the one it is taken for."""
OWN: Final = FileSchema(name="rageval", marks=())

USUAL: Final[Mapping[ItemField, tuple[str, ...]]] = {
    "question_id": ("question_id", "query_id", "qid", "id", "_id"),
    "question": ("question", "query", "user_input", "input"),
    "history": ("history", "conversation_history", "chat_history"),
    "references": (
        "references", "reference", "reference_answer", "ground_truth", "ground_truths", "expected_output",
        "expected_answer",
    ),
    "relevant_ids": ("relevant_ids", "relevant", "document", "reference_context_ids"),
    "relevant_grades": ("relevant_grades", "grades", "grade"),
    "relevant_texts": ("relevant_texts", "reference_contexts", "reference_context"),
    "relevant_text_grades": ("relevant_text_grades",),
    "answerable": ("answerable",),
    "conversation": ("conversation", "conversation_id", "session_id", "session"),
    "turn": ("turn",),
    "metadata": ("metadata", "additional_metadata"),
    "system": ("system",),
    "repeat": ("repeat",),
    "answer": ("answer", "response", "actual_output", "generated_answer", "output"),
    "error": ("error",),
    "contexts": ("contexts", "retrieved_contexts", "retrieval_context", "retrieved_context", "context"),
    "context_ids": ("context_ids", "retrieved_context_ids", "retrieved_ids"),
    "context_scores": ("context_scores", "retrieved_context_scores"),
    "citations": ("citations",),
    "latency_s": ("latency_s", "latency", "completion_time"),
    "latency_ms": ("latency_ms",),
    "first_token_s": ("first_token_s", "time_to_first_token"),
    "prompt_tokens": ("prompt_tokens", "input_tokens"),
    "completion_tokens": ("completion_tokens", "output_tokens"),
    "cost_usd": ("cost_usd", "token_cost"),
    "finish_reason": ("finish_reason",),
    "model": ("model",),
}  # fmt: skip
"""What columns of these names hold in every file; the first one that a file has is the one that is read."""
