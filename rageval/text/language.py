"""Texts -> the languages that they are written in, offline: py3langid, a naive Bayes classifier of byte n-grams."""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

UNDETERMINED: Final = "und"
"""ISO 639's code for a text whose language cannot be told."""
LANGUAGE_VERSION: Final = "py3langid-0.4"
_SURE: Final = 0.5


def languages(texts: Sequence[str]) -> list[str]:
    """Return the ISO 639 code of each text's language, such as `en`.

    A few words are mostly too few: without half of the probability for one language the code is `und`. So are names of
    programs and messages of errors, which are no language at all.
    """
    identifier = _identifier()
    found = [identifier.classify(text) for text in texts]
    return [code if probability >= _SURE else UNDETERMINED for code, probability in found]


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415 - reads a model, which takes 0.7 s

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
