"""A model's reply -> the questions it wrote, or its verdict on one, or the reason why neither can be read.

Reading is strict: the whole reply is one JSON object, alone or in one code fence. A reader that searches for
something like a question lets a broken reply become ground truth.
"""

import json
import re
from typing import Any, Final

from pydantic import ValidationError

from rageval.ground_truth.prompts import AnswerableVerdict
from rageval.judging.replies import FENCED, plain_label

MAX_REPLY_CHARS: Final = 100_000
MAX_QUESTION_CHARS: Final = 1_000
"""A longer "question" is no question."""

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


class UnreadableReplyError(ValueError):
    """A reply does not hold what was asked for; the message is a short reason and never repeats the reply."""


def read_questions(reply: str | None, count: int) -> list[str]:
    """Return the questions of a reply, at most `count`, each on one line; fewer are fewer.

    Args:
        reply: The model's words, or None if there are none.
        count: How many were asked for.

    Raises:
        UnreadableReplyError: If the reply is not one JSON object {"questions": [...]} of texts, or holds none.
    """
    value = _object(reply)
    questions = value.get("questions")
    if value.keys() != {"questions"}:
        raise UnreadableReplyError("the object has other keys than `questions`")
    if not isinstance(questions, list) or not all(isinstance(question, str) for question in questions):
        raise UnreadableReplyError("`questions` is not a list of texts")
    found = [text for question in questions if (text := " ".join(_UNPRINTABLE.sub(" ", question).split()))]
    if not found:
        raise UnreadableReplyError("the list of questions is empty")
    if any(len(question) > MAX_QUESTION_CHARS for question in found):
        raise UnreadableReplyError(f"a question is longer than {MAX_QUESTION_CHARS} characters")
    return found[:count]


def read_check(reply: str | None) -> AnswerableVerdict:
    """Return the verdict that the whole reply states.

    Raises:
        UnreadableReplyError: If it states none.
    """
    value = _object(reply)
    if isinstance(label := value.get("answerable"), str):
        value["answerable"] = plain_label(label)
    try:
        verdict = AnswerableVerdict.model_validate(value, strict=True)
    except ValidationError:
        raise UnreadableReplyError("not an object with `reason` and `answerable`, YES or NO") from None
    return verdict.model_copy(update={"reason": _UNPRINTABLE.sub(" ", verdict.reason)})


def _object(reply: str | None) -> dict[str, Any]:
    if reply is None or not reply.strip():
        raise UnreadableReplyError("empty reply")
    if len(reply) > MAX_REPLY_CHARS:
        raise UnreadableReplyError(f"reply longer than {MAX_REPLY_CHARS:,} characters")
    text = reply.strip()
    fenced = FENCED.fullmatch(text)
    try:
        value = json.loads(fenced["body"] if fenced else text)
    except (ValueError, RecursionError):  # also a number of thousands of digits
        raise UnreadableReplyError("not JSON") from None
    if not isinstance(value, dict):
        raise UnreadableReplyError("not a JSON object")
    return value
