"""Everything that a run has written, and its answers in the ways in which a report looks at several repeats."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import pyarrow as pa

from rageval.comparison.repeats import once
from rageval.runs.manifest import Manifest
from rageval.runs.repeats import shown
from rageval.tables import ABSTENTION, BLAME, COMPARISONS, CONVERSATIONS, HUMAN_LABELS, JUDGING, REPEATS, SCORES

VERDICTS: Final = pa.schema(
    [
        SCORES.field(name)
        for name in (
            "judge_model", "status", "attempts", "prompt_tokens", "cached_tokens", "completion_tokens", "cost_usd",
            "request_fingerprint", "reused_from",
        )
    ]
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """Everything that a run has written."""

    documents: pa.Table
    questions: pa.Table
    systems: pa.Table
    retrieval: pa.Table
    answers: pa.Table
    """Of every repeat."""
    scores: pa.Table
    """Of every repeat, with the scores that follow from others."""
    summary: pa.Table
    comparisons: pa.Table = field(default_factory=COMPARISONS.empty_table)
    abstention: pa.Table = field(default_factory=ABSTENTION.empty_table)
    conversations: pa.Table = field(default_factory=CONVERSATIONS.empty_table)
    blame: pa.Table = field(default_factory=BLAME.empty_table)
    labels: pa.Table = field(default_factory=HUMAN_LABELS.empty_table)
    repeats: pa.Table = field(default_factory=REPEATS.empty_table)
    judging: pa.Table = field(default_factory=JUDGING.empty_table)
    verdicts: pa.Table = field(default_factory=VERDICTS.empty_table)
    """What those of the scores took that have a judge, see `VERDICTS`."""
    manifest: Manifest

    @cached_property
    def once(self) -> tuple[pa.Table, pa.Table]:
        """Answers and scores with means over the repeats: one row where they have several."""
        return once(self.answers, self.scores)

    @cached_property
    def shown(self) -> tuple[pa.Table, pa.Table]:
        """Answers and scores of one repeat of each question: what is looked at by itself."""
        return shown(self.answers, self.scores)
