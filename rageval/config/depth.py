"""How deep a run's retrieval reaches: what the model is shown, and down to which ranks metrics are computed.

The retrieval table holds as many documents as the deepest metric needs; the model was shown the first `top_k`.
"""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from rageval.config.evaluation import RetrievalConfig


@dataclass(frozen=True, kw_only=True)
class RetrievalDepth:
    """The part of a run's configuration that decides its retrieval metrics."""

    top_k: int
    """Documents that the model is shown."""
    cutoffs: tuple[int, ...]
    """Every k that metrics are computed for, ascending, `top_k` among them."""
    accept_alternates: bool = False
    """Whether every document that the ground truth names for a question is right."""


def retrieval_depth(settings: RetrievalConfig) -> RetrievalDepth:
    """Return how deep retrieval with these settings reaches."""
    return RetrievalDepth(
        top_k=settings.top_k,
        cutoffs=tuple(sorted({settings.top_k, *settings.cutoffs})),
        accept_alternates=settings.accept_alternates,
    )


def first_documents(retrieval: pa.Table, top_k: int) -> pa.Table:
    """Return the table `tables.RETRIEVAL` with no more than the first `top_k` documents of each row.

    `first_relevant_rank` stays as it is: it may lie deeper.
    """
    for name in ("document_ids", "scores", "shown_ids"):
        column = retrieval.schema.field(name)
        cut = pc.list_slice(retrieval[name], 0, top_k, return_fixed_size_list=False).cast(column.type)
        retrieval = retrieval.set_column(retrieval.schema.get_field_index(name), column, cut)
    return retrieval
