"""Documents -> their language, and what cuts texts into words by its rules; see `rageval.search.text_rules`."""

from collections.abc import Sequence
from typing import Final

from tantivy import Filter, TextAnalyzer, TextAnalyzerBuilder, Tokenizer

from rageval.config.evaluation import Language
from rageval.records import Document
from rageval.text.stop_words import ENGLISH

_STOP_WORDS_OF_TANTIVY: Final[tuple[Language, ...]] = (
    "danish", "dutch", "finnish", "french", "german", "hungarian", "italian", "norwegian", "portuguese", "russian",
    "spanish", "swedish",
)  # fmt: skip
_LONGEST: Final = 255
"""Bytes of a word; a longer one is nothing that anybody looks for."""
_SAMPLED, _SAMPLED_CHARACTERS = 200, 2000
"""Documents whose beginnings tell the language, and the length of these."""
_LEAST_SHARE: Final = 0.2
"""Of a language's stop words among the words of its texts: they are a third or more in prose, and up to 0.15 in texts
of a language that has no list here."""


def analysis_language(documents: Sequence[Document], wanted: Language) -> Language:
    """Return the language by whose rules texts are cut: the one that is wanted, or what `auto` means.

    That is the language whose stop words make the largest share of the words of a sample of the documents, if they make
    a fifth; else English, whose rules do little harm to other languages.
    """
    if wanted != "auto":
        return wanted
    step = max(1, len(documents) // _SAMPLED)
    sample = " ".join(f"{one.title} {one.text[:_SAMPLED_CHARACTERS]}" for one in documents[::step])
    n_words = len(_lower_case().build().analyze(sample))
    shares: dict[Language, float] = {
        language: 1 - len(_without_stop_words(language).build().analyze(sample)) / max(1, n_words)
        for language in ("english", *_STOP_WORDS_OF_TANTIVY)
    }
    best = max(shares, key=shares.__getitem__)
    return best if shares[best] >= _LEAST_SHARE else "english"


def text_analyzer(language: Language) -> TextAnalyzer:
    """Return what cuts a text, as `searchable` has left it, into the words that are indexed or looked for.

    Raises:
        ValueError: If the language is `auto`, see `analysis_language`.
    """
    if language == "auto":
        raise ValueError("the language is settled when an index is built")
    if language == "none":
        return _lower_case().build()
    return _without_stop_words(language).filter(Filter.stemmer(language)).build()


def _lower_case() -> TextAnalyzerBuilder:
    return TextAnalyzerBuilder(Tokenizer.simple()).filter(Filter.remove_long(_LONGEST)).filter(Filter.lowercase())


def _without_stop_words(language: Language) -> TextAnalyzerBuilder:
    # Tantivy's own English list has 33 words, Snowball's 174.
    listed = Filter.custom_stopword(list(ENGLISH)) if language == "english" else Filter.stopword(language)
    return _lower_case().filter(listed)
