"""Personal data and keys in what people write -> marks that stand in their place, before anything is stored.

Only what has a shape can be found: `ada@example.org` is, "Ada's address at work" is not.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from rageval.errors import ConfigError
from rageval.monitoring.records import Conversation, Vote
from rageval.safety.credentials import KEY_SHAPES

Redact = Callable[[str], str]

# No pattern may take longer than linear time: the text is a stranger's. So every repetition has an end, or its
# characters cannot begin what follows it.
_EMAIL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@\w[\w-]{0,62}(?:\.[\w-]{1,63}){1,8}")
# The word stays; what is secret follows it.
_NAMED_KEYS = (
    re.compile(r"(?i)(\bbearer\s{1,4})[a-z0-9._~+/-]{8,}={0,2}"),
    re.compile(r"(?i)(\b(?:api[_-]?key|secret|password|passwd|token)[\"']?\s{0,4}[=:]\s{0,4}[\"']?)[^\s\"',;\[\]]{4,}"),
    re.compile(r"(\b[a-z][a-z0-9+.-]{1,30}://[^\s:/@\[\]]{1,64}:)[^\s/@\[\]]{1,128}(?=@)"),
)
_CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])")
_PHONE = re.compile(
    r"(?<![\w.,/-])(?:\+\d{1,3}|\(0\d{1,5}\)|0\d{1,5}(?=[ /-]))(?:[ /-]{0,2}\(?\d{1,5}\)?){2,6}(?![\w-])"
)


def redactor(
    *,
    emails: bool = True,
    keys: bool = True,
    cards: bool = False,
    phones: bool = False,
    patterns: Sequence[str] = (),
) -> Redact:
    """Return a function that puts `[e-mail]`, `[key]`, `[card]`, `[phone]` or `[removed]` where such a thing stood.

    Args:
        emails: Whether e-mail addresses are replaced.
        keys: Whether keys, tokens, passwords in URLs and private keys are replaced.
        cards: Whether numbers of payment cards are, by their check digit.
        phones: Whether phone numbers are: with a leading + or 0, and at least 9 digits.
        patterns: Regular expressions of whatever else must not be stored, such as the numbers of students.

    Raises:
        ConfigError: If a pattern is none.
    """
    own = [_compiled(pattern) for pattern in patterns]

    def redact(text: str) -> str:
        for pattern in own:
            text = pattern.sub("[removed]", text)
        if keys:
            for pattern in _NAMED_KEYS:
                text = pattern.sub(r"\1[key]", text)
            for pattern in KEY_SHAPES:
                text = pattern.sub("[key]", text)
        if emails:
            text = _EMAIL.sub("[e-mail]", text)
        if cards:
            text = _CARD.sub(_without_card, text)
        if phones:
            text = _PHONE.sub(_without_phone, text)
        return text

    return redact


def redact_conversation(conversation: Conversation, redact: Redact) -> Conversation:
    """Return the conversation with question, answer and error redacted; the documents are left as they are."""
    return replace(
        conversation,
        question=redact(conversation.question),
        answer=conversation.answer and redact(conversation.answer),
        error=conversation.error and redact(conversation.error),
    )


def redact_vote(vote: Vote, redact: Redact) -> Vote:
    """Return the vote with its comment redacted."""
    return replace(vote, comment=redact(vote.comment)) if vote.comment else vote


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"the pattern {pattern!r} of what is redacted is no regular expression: {error}") from None


def _without_card(found: re.Match[str]) -> str:
    """Replace a number whose check digit is right, by Luhn's rule: every second digit from the right counts twice."""
    digits = [int(character) for character in found[0] if character.isdecimal()][::-1]
    total = sum(sum(divmod(digit * (1 + place % 2), 10)) for place, digit in enumerate(digits))
    return found[0] if total % 10 else "[card]"


def _without_phone(found: re.Match[str]) -> str:
    return "[phone]" if sum(character.isdecimal() for character in found[0]) >= 9 else found[0]
