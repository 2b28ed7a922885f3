"""An answer that holds its own hash would step out of its fence and grade itself: no hash is short enough for that."""

import re
from itertools import chain

import pytest

from rageval.ground_truth.prompts import check_messages, questions_messages
from rageval.judging.prompts import Judged, choice_messages, combined_messages, judge_messages
from rageval.metrics.catalogue import of_kind
from rageval.metrics.metric import JudgeMetric
from rageval.metrics.pairwise import PAIRWISE
from rageval.metrics.relevance import RELEVANCE
from rageval.metrics.toxicity import TOXICITY
from rageval.records import Document, Message

DOCUMENT = Document(document_id="d", title="q", text="t", content_hash="")
JUDGED = Judged(question="q", answer="a", references=("r",), contexts=[DOCUMENT, DOCUMENT])
PROMPTS = {
    **{metric.name: judge_messages(metric, JUDGED) for metric in of_kind(JudgeMetric)},
    "combined": combined_messages((RELEVANCE, TOXICITY), JUDGED),
    "pairwise": choice_messages(PAIRWISE, "q", "r", "a", "b"),
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
