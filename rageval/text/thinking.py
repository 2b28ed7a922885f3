"""A reply's text -> what the model thought aloud before its answer, and the answer alone.

Reasoning models that are served without a reasoning parser put their thinking into the text, between marks. It is
no part of the answer: it is neither scored nor judged nor shown to a user.
"""

import re
from typing import Final

_MARKS: Final = (
    ("<think>", "</think>"),  # DeepSeek-R1, Qwen3, QwQ
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),  # Magistral
    ("\N{WHITE LEFT-POINTING TRIANGLE}think\N{WHITE RIGHT-POINTING TRIANGLE}",
     "\N{WHITE LEFT-POINTING TRIANGLE}/think\N{WHITE RIGHT-POINTING TRIANGLE}"),  # Kimi
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),  # gpt-oss
)  # fmt: skip
_BLOCKS: Final = tuple(
    re.compile(rf"\s*{re.escape(opening)}(?P<thinking>.*?)(?:{re.escape(closing)}\s*|\Z)", re.DOTALL | re.IGNORECASE)
    for opening, closing in _MARKS
)
# A template may end the prompt with the opening mark: the reply holds the closing one alone, on a line of its own.
_CLOSING_LINES: Final = tuple(
    re.compile(
        rf"(?P<thinking>.*?)^[ \t]*{re.escape(closing)}[ \t]*(?:\n\s*|\Z)", re.DOTALL | re.IGNORECASE | re.MULTILINE
    )
    for _, closing in _MARKS
)
_ANY_MARK: Final = re.compile("|".join(re.escape(mark) for pair in _MARKS for mark in pair), re.IGNORECASE)


def split_thinking(text: str) -> tuple[str | None, str]:
    """Return the thinking at the beginning of a text, or None if there is none, and the rest.

    Thinking that never ends, because the reply was cut, leaves an empty rest. Marks elsewhere in the text are text:
    an answer may speak of them.
    """
    thoughts: list[str] = []
    while block := next((found for pattern in _BLOCKS if (found := pattern.match(text))), None):
        thoughts.append(block["thinking"].strip())
        text = text[block.end() :]
    if not thoughts and _ANY_MARK.search(text):
        ended = next((found for pattern in _CLOSING_LINES if (found := pattern.match(text))), None)
        if ended and not _ANY_MARK.search(ended["thinking"]):  # else it shows how thinking looks
            thoughts, text = [ended["thinking"].strip()], text[ended.end() :]
    return "\n\n".join(thought for thought in thoughts if thought) or None, text


def begun_answer(text: str) -> str | None:
    """Return the answer in a text that is still being written, or None while that may all be thinking."""
    start = text.lstrip()
    if any(opening.lower().startswith(start[: len(opening)].lower()) for opening, _ in _MARKS):
        rest = split_thinking(text)[1]
        return begun_answer(rest) if rest and rest != text else None
    return text


def without_marks(text: str) -> str:
    """Return the text with every mark broken by a space, so that who repeats it cannot end its own thinking."""
    return _ANY_MARK.sub(lambda mark: f"{mark[0][0]} {mark[0][1:]}", text)
