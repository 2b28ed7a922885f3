"""The folder of a run -> what summaries, comparisons and pages are computed from, however many answers it has."""

from typing import Final

import pyarrow as pa

from rageval.runs.found_documents import stored_documents
from rageval.runs.run import Run

SCORE_COLUMNS: Final = (
    "question_id", "system", "repeat", "metric", "status", "value", "label", "reason", "error", "metric_version",
    "judge_model",
)  # fmt: skip
"""What is read of the scores: not what the verdicts took."""


def measured_tables(run: Run) -> dict[str, pa.Table]:
    """Return tables by name: documents, questions, systems, retrieval, answers and scores.

    Their texts come from disk when they are looked at; of the scores there are `SCORE_COLUMNS`.

    Raises:
        DataError: If one of them is missing or damaged.
    """
    return {
        "documents": stored_documents(run),
        "questions": run.mapped("questions"),
        "systems": run.read("systems"),
        "retrieval": run.mapped("retrieval"),
        "answers": run.mapped("answers"),
        "scores": run.read("scores", SCORE_COLUMNS),
    }
