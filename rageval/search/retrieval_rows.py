"""What was found for a question -> its row of the `retrieval` table."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from rageval.config.evaluation import RetrievalConfig
from rageval.metrics.grades import first_relevant_rank
from rageval.records import Hit, Question, Retrieval


def kept_depth(config: RetrievalConfig) -> int:
    """Return how many documents of each result are stored."""
    return max(config.top_k, *config.cutoffs, 1)


def retrieval_row(
    retriever: str,
    question: Question,
    hits: Sequence[Hit],
    latency_s: float | None,
    config: RetrievalConfig,
    texts: Mapping[str, str | None] = MappingProxyType({}),
) -> Retrieval:
    """Return the row of one retriever and question, no deeper than is stored.

    Args:
        retriever: Name of the retriever.
        question: What was searched for, with what is right.
        hits: What was found, best first, each document once.
        latency_s: Seconds in the search engine; None where nobody knows.
        config: How deep, and which documents are right.
        texts: Of what was found, by id, as far as relevance is a matter of texts.
    """
    kept = hits[: kept_depth(config)]
    document_ids = tuple(hit.document_id for hit in kept)
    relevant = question.relevant(accept_alternates=config.accept_alternates)
    return Retrieval(
        question_id=question.question_id,
        retriever=retriever,
        document_ids=document_ids,
        scores=tuple(hit.score for hit in kept),
        first_relevant_rank=first_relevant_rank(document_ids, relevant),
        latency_s=latency_s,
    )
