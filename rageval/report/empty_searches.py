"""The retrieval table -> which retrievers failed, or found no document at all for most questions."""

import pyarrow as pa
import pyarrow.compute as pc


def empty_searches(retrieval: pa.Table) -> list[str]:
    """Return one sentence for each retriever that failed, or found nothing for more than half of the questions.

    What finds nothing for most has not ranked badly, it has not searched: mostly questions and documents have no word
    in common, because they are written in different languages.

    Args:
        retrieval: Table `tables.RETRIEVAL`.
    """
    sentences = []
    for name in retrieval["retriever"].unique().to_pylist():
        mine = retrieval.filter(pc.equal(retrieval["retriever"], name))
        failed = mine.filter(pc.is_valid(mine["error"]))
        if len(failed):
            sentences.append(
                f"The retriever {name} failed for {len(failed):,} of {len(mine):,} questions, which have no metrics "
                f"of it ({failed['error'][0].as_py()}); the next start of the run searches for them again."
            )
        found = mine.filter(pc.is_null(mine["error"]))["document_ids"]
        empty = pc.sum(pc.equal(pc.list_value_length(found), 0)).as_py() or 0
        if 2 * empty > len(found):
            sentences.append(
                f"The retriever {name} found no document at all for {empty:,} of {len(found):,} "
                "questions, so its metrics say nothing about how well it ranks: check that questions and documents are "
                "in the same language."
            )
    return sentences
