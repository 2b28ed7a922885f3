"""The questions of a run -> which of them belong together, as intervals and tests have to know."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rageval.runs.alignment import places


def clusters(questions: pa.Table) -> pd.Series:
    """Return a number for what each question shares with others: its conversation, or else its relevant document.

    A question that has neither stands alone.

    Args:
        questions: Table `tables.QUESTIONS`.

    Returns:
        Integers from 0, in the order of the questions, by question id, each id once.
    """
    ids = questions["question_id"]
    n = len(ids)
    conversations = _codes(questions["conversation"])
    documents = _codes(first_relevant(questions))
    # Three ranges of numbers, so that a conversation and a document of one name are two things.
    keys = np.where(documents >= 0, n + documents, 2 * n + np.arange(n))
    keys = np.where(conversations >= 0, conversations, keys)
    is_first = places(ids, ids) == np.arange(n)
    codes, _ = pd.factorize(keys[is_first])
    return pd.Series(codes, index=ids.filter(pa.array(is_first)).to_pandas(), dtype="int64")


def first_relevant(questions: pa.Table) -> pa.ChunkedArray:
    """Return the document that each question was made from; null where none is known."""
    relevant = questions["relevant_ids"].combine_chunks()
    owners = pc.list_parent_indices(relevant).to_numpy()
    firsts = np.flatnonzero(np.diff(owners, prepend=-1))
    where = np.full(len(relevant), -1, np.int64)
    where[owners[firsts]] = firsts
    found = pc.list_flatten(relevant).take(pa.array(where, mask=where < 0))
    return pa.chunked_array([found])


def _codes(texts: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return a number for each text, the same for the same one; -1 for none and for an empty one."""
    known = pc.if_else(pc.equal(texts, ""), None, texts).combine_chunks().dictionary_encode()
    return np.asarray(pc.fill_null(known.indices, -1).to_numpy(), dtype=np.int64)
