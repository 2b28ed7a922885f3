"""The questions of a run -> which of them belong together, as intervals and tests have to know."""

import pandas as pd
import pyarrow as pa


def clusters(questions: pa.Table) -> pd.Series:
    """Return a number for what each question shares with others: its conversation, or else its relevant document.

    A question that has neither stands alone.

    Args:
        questions: Table `tables.QUESTIONS`.

    Returns:
        Integers from 0, in the order of the questions, by question id, each id once.
    """
    frame = questions.select(["question_id", "conversation", "relevant_ids"]).to_pandas()
    frame = frame.drop_duplicates("question_id")
    first = frame["relevant_ids"].str[0]
    of = [
        ("conversation", conversation) if conversation else ("document", document) if document else ("question", id_)
        for id_, conversation, document in zip(
            frame["question_id"], frame["conversation"], first.where(first.notna(), ""), strict=True
        )
    ]
    codes, _ = pd.factorize(pd.MultiIndex.from_tuples(of)) if of else ([], None)
    return pd.Series(codes, index=frame["question_id"], dtype="int64")
