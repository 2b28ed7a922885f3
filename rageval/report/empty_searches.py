"""The retrieval table -> which retrievers found no document at all for most questions."""

import pyarrow as pa
import pyarrow.compute as pc


def empty_searches(retrieval: pa.Table) -> list[str]:
    """Return one sentence for each retriever that found nothing for more than half of the questions.

    Such a search has not ranked badly, it has not searched: mostly questions and documents have no word in common,
    because they are written in different languages.

    Args:
        retrieval: Table `tables.RETRIEVAL`.
    """
    sentences = []
    for name in retrieval["retriever"].unique().to_pylist():
        found = retrieval.filter(pc.equal(retrieval["retriever"], name))["document_ids"]
        empty = pc.sum(pc.equal(pc.list_value_length(found), 0)).as_py() or 0
        if 2 * empty > len(found):
            sentences.append(
                f"The retriever {name} found no document at all for {empty:,} of {len(found):,} "
                "questions, so its metrics say nothing about how well it ranks: check that questions and documents are "
                "in the same language."
            )
    return sentences
