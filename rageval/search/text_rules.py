"""Documents and settings -> how text search cuts texts into words, and how it weighs their fields: one set of rules.

Every search engine keeps to them, so that what one finds the other finds:

1. Scripts without spaces are cut into pairs of characters (`rageval.text.scripts.searchable`).
2. Words are runs of letters and digits; everything else stands between them, also apostrophe, dot and underscore.
3. Words are in lower case; Snowball's stop words of the language are left out, what is left is cut to its stem by
   Snowball's stemmer of the language. Without a language nothing is left out or cut.
4. A document matches if any word of the query does; a word counts as often as the query has it.
5. Scores are BM25 with k1 = 1.2 and b = 0.75, of fields that `TextQuery` combines.
"""

from dataclasses import dataclass

from rageval.config.systems import Combination, RetrieverConfig


@dataclass(frozen=True, kw_only=True)
class TextQuery:
    """How the fields of a document are combined to its score."""

    combination: Combination = "together"
    """`together` searches title, text and metadata as one text, and adds `boost - 1` times the score of each field with
    a boost above 1; `best` takes the best of the fields' scores, each times its boost; `sum` adds them up."""
    title: float = 1.0
    text: float = 1.0
    metadata: float = 1.0

    @property
    def boosts(self) -> dict[str, float]:
        """The boost of each field."""
        return {"title": self.title, "text": self.text, "metadata": self.metadata}


def text_query(retriever: RetrieverConfig) -> TextQuery:
    """Return how a retriever's text search combines fields."""
    return TextQuery(
        combination=retriever.combination,
        title=retriever.question_boost,
        text=retriever.text_boost,
        metadata=retriever.metadata_boost,
    )
