"""An answer that holds its own hash would step out of its fence and grade itself: no hash is short enough for that."""

import re
from itertools import chain

import pytest

from rageval.ground_truth.prompts import check_messages, questions_messages
from rageval.judging.prompts import (
    judge_faithfulness_messages,
    judge_pairwise_messages,
    judge_toxicity_messages,
    judge_with_reference_messages,
    judge_without_reference_messages,
)
from rageval.records import Document, Message

DOCUMENT = Document(document_id="d", title="q", text="t", content_hash="")
PROMPTS = {
    "reference": judge_with_reference_messages("q", "r", "a"),
    "no reference": judge_without_reference_messages("q", "a"),
    "faithfulness": judge_faithfulness_messages("q", [DOCUMENT, DOCUMENT], "a"),
    "toxicity": judge_toxicity_messages("q", "a"),
    "pairwise": judge_pairwise_messages("q", "r", "a", "b"),
    "generated questions": questions_messages(DOCUMENT, 3),
    "checked questions": check_messages("q", DOCUMENT),
}
OPENING = re.compile(r"^<<<(?!end of )(.*)>>>$", re.MULTILINE)


@pytest.mark.parametrize("messages", PROMPTS.values(), ids=PROMPTS)
def test_every_mark_carries_more_of_the_hash_than_anybody_can_search_for(messages: list[Message]) -> None:
    marks = list(chain.from_iterable(OPENING.findall(message["content"]) for message in messages))

    assert marks
    for mark in marks:
        # 2 to the power of 128 texts, one of which may hold its own mark; 48 bits take one graphics card an hour.
        assert len(mark.rpartition(" ")[2]) * 4 >= 128, mark
