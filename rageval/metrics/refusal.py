r"""Answers -> which of them say that they do not know.

An answer counts as a refusal if

- its first sentence, apologies aside, says in the first person that the answer is not known or cannot be given
  ("I don't know ...", "I cannot find ..."), or says of the contexts that they do not hold it ("The FAQ does not
  mention ...", "There is no information about ..."), whatever follows it; or
- any sentence says nothing but that ("... I don't know.").

Only English is read. An answer whose words are mostly of another script than Latin gets no value, since a 0 would say
that it is none; a refusal in French or German gets a 0. And only words count that say so: a wrong answer is no refusal,
and neither is advice about what to do if somebody does not know. Precision comes first, so some unusual refusals are
missed.
"""

import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from rageval.metrics.metric import Array, TextMetric
from rageval.text.scripts import is_mostly_latin


def _either(*patterns: str) -> str:
    return f"(?:{'|'.join(patterns)})"


_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+|\n+")
_LEAD: Final = re.compile(
    _either(
        r"[\s*_>#-]+",
        r"answer:",
        r"(?:well|ok), ",
        r"(?:(?:i am|i'm|we are|we're) )?(?:very |so |really )?sorry(?: about that)?[,.!;: ]*(?:but )?",
        r"(?:my )?apologies[,.!;: ]*",
        r"i apologi[sz]e[,.!;: ]*(?:but )?",
        r"unfortunately,? ",
        r"as an ai[^,]{0,80}, ",
        r"(?:based on|according to|from|given|in) (?:the|these|this|your) [^,.]{1,80}, ",
    )
    + "+"
)
_I: Final = r"(?:i|we) (?:(?:really|just|also|still|currently|simply|honestly) )?"
_DO_NOT: Final = r"(?:do not|don't)"
_DOES_NOT: Final = r"(?:do not|don't|does not|doesn't|did not|didn't)(?: (?:explicitly|directly|specifically|clearly))?"
_CANNOT: Final = r"(?:cannot|can't|can not|could not|couldn't|did not|didn't|am unable to|are unable to)"
_SOURCE: Final = (
    r"(?:(?:the|these|this|your|my|any of the|none of the) )?(?:(?:provided|given|available|above|supplied) )?"
    r"(?:faqs?|contexts?|documents?|documentation|entry|entries|information|texts?|passages?|excerpts?|materials?)"
    r"(?: (?:entry|entries|documents?|sections?|above|below|provided|given|available|you provided|i (?:have|was given)"
    r"|that (?:is|was|were|are) (?:provided|given)))*"
)
_HOLD: Final = (
    r"(?:contain|mention|provide|include|say|state|specify|hold|cover|answer|address|give|explain|discuss|tell|offer"
    r"|have|describe|indicate|clarify|list|detail)"
)
_KNOWLEDGE: Final = (
    r"\b(?:answer|information|question|details?|mention|knowledge|anything|faq|contexts?|documents?|entry|entries)\b"
)
_THE_ANSWER: Final = r"(?:that|this|it|the (?:exact )?answer)"
_RHETORICAL: Final = (
    r"(?: (?:why|how) (?:you|anyone|anybody|someone|people)\b| about you\b| if you(?:'ve| have)\b| a better\b"
    r"| any(?:one|body)\b)"
)
_REFUSES: Final = re.compile(
    _either(
        rf"{_I}{_DO_NOT} know\b(?!{_RHETORICAL})",
        rf"{_I}{_DO_NOT} have (?:enough|sufficient|any|the|that|this|specific|access to)\b[^.]*{_KNOWLEDGE}",
        rf"{_I}have no (?:information|answer|knowledge|idea)\b",
        rf"{_I}{_CANNOT} (?:find|locate|see|answer|determine|say|tell|provide|give|confirm)\b[^.]*{_KNOWLEDGE}",
        rf"{_I}{_CANNOT} (?:answer|determine|say|tell|confirm) (?:that|this|it|for sure)\b",
        rf"{_SOURCE} {_DOES_NOT} {_HOLD}\b",
        rf"none of {_SOURCE} {_HOLD}s?\b",
        rf"there (?:is|are|was) (?:no|nothing|not (?:any|enough|sufficient)|insufficient)\b[^.]*{_KNOWLEDGE}",
        rf"there (?:isn't|aren't|is not|are not) (?:any|enough|sufficient)\b[^.]*{_KNOWLEDGE}",
        r"(?:the )?answer (?:to (?:this|that|your|the) question )?"
        r"(?:is (?:unknown|not (?:known|given|provided|available))|cannot be (?:found|determined|given))\b",
        r"(?:this|that|it) is not (?:mentioned|covered|specified|stated|answered|addressed|explained|described)\b",
        r"(?:not enough|insufficient|no) (?:(?:relevant|specific) )?(?:information|context|answer)\b",
        r"(?:this|that|the|your) question (?:cannot|can't|can not) be answered\b",
    )
)
_NOTHING_ELSE: Final = re.compile(
    _either(
        rf"{_I}{_DO_NOT} know(?: {_THE_ANSWER})?(?: to (?:this|that|your|the) question)?(?: for sure)?",
        rf"{_I}have no idea",
        r"unknown",
        r"not (?:known|mentioned|specified|stated|available)",
        r"n/a",
    )
    + r"\W*"
)


def refusals(answers: Sequence[str]) -> Array:
    """Return whether each answer says that it does not know, by the rules above.

    Args:
        answers: English texts, shape `(n,)`.

    Returns:
        Shape `(n,)`, each 1 (it says so), 0 (it says something else, or nothing), or NaN where most of its words are
        not Latin, so that it cannot be English.
    """
    return np.array([_refusal(answer) for answer in answers], dtype=np.float64)


def _refusal(answer: str) -> float:
    return float(_is_refusal(answer)) if is_mostly_latin(answer) else float("nan")


def _is_refusal(answer: str) -> bool:
    text = answer.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").lower().strip()
    sentences = [bare for part in _SENTENCE.split(text) if (bare := _without_lead(part))]
    if not sentences:
        return False
    return _REFUSES.match(sentences[0]) is not None or any(_NOTHING_ELSE.fullmatch(part) for part in sentences)


def _without_lead(sentence: str) -> str:
    """Return a sentence without what stands politely before its point; nothing is left of a mere apology."""
    lead = _LEAD.match(sentence)
    return sentence[lead.end() :] if lead else sentence


REFUSAL = TextMetric(
    name="refusal",
    version="2",
    title="Refusals",
    description="the answer says that it does not know; English only, no value in other scripts than Latin",
    higher_is_better=None,
    default=True,
    needs=("answer",),
    compute=refusals,
    undefined="the answer is not English (most of its words are not Latin), and only English is read by this metric",
)
