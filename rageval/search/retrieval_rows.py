"""What was found for a question -> its row of the `retrieval` table."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from rageval.config.evaluation import RetrievalConfig
from rageval.corpus.relevant_text import holds_relevant
from rageval.metrics.grades import first_relevant_rank, text_id
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
    counted = _counted(question, document_ids, texts, config.relevant_share) if question.relevant_texts else None
    relevant |= {text_id(number): 1 for number in range(len(question.relevant_texts))}
    return Retrieval(
        question_id=question.question_id,
        retriever=retriever,
        document_ids=document_ids,
        scores=tuple(hit.score for hit in kept),
        first_relevant_rank=first_relevant_rank(counted or document_ids, relevant),
        latency_s=latency_s,
        counted_as=counted,
    )


def _counted(question: Question, ids: Sequence[str], texts: Mapping[str, str | None], share: float) -> tuple[str, ...]:
    """Return what each result counts as: the first right text that it holds and none before it, or its own id."""
    left = dict(enumerate(question.relevant_texts))
    counted = []
    for id_ in ids:
        text = texts.get(id_) or ""
        held = next((number for number, right in left.items() if holds_relevant(text, right, share)), None)
        if held is not None:
            del left[held]
        counted.append(id_ if held is None else text_id(held))
    return tuple(counted)
