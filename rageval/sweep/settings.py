"""The grid of a sweep -> its distinct settings, the searches they need, and the two parts of the questions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Final, Literal

from rageval.config.systems import Combination, RetrieverConfig, RetrieverMethod
from rageval.records import Question, SearchMethod
from rageval.sweep.config import GridConfig
from rageval.text.fingerprint import digest

Part = Literal["tuning", "held-out"]
PARTS: Final[tuple[Part, Part]] = ("tuning", "held-out")
_SIMPLEST_FIRST: Final[tuple[SearchMethod, ...]] = ("text", "vector", "hybrid")


@dataclass(frozen=True, kw_only=True)
class SearchSetting:
    """One way to search; what makes no difference to its method is None."""

    method: RetrieverMethod
    combination: Combination | None = None
    """Text and hybrid search: how fields count."""
    question_boost: float | None = None
    """Text and hybrid search: how much the title counts."""
    embedding_model: str | None = None
    """Vector and hybrid search."""
    index_options: str | None = None
    """Vector and hybrid search."""
    candidates: int | None = None
    """Hybrid search: hits of each of the two that are fused."""
    retriever: str | None = None
    """Name of a retriever of one's own, which is all that there is to vary of it."""

    @property
    def name(self) -> str:
        """What the setting is called in tables, such as `hybrid, best, boost 3, all-MiniLM-L6-v2, flat`."""
        return ", ".join(self.words.values())

    @property
    def words(self) -> dict[str, str]:
        """The name by its parts; a part that makes no difference is left out."""
        parts = {
            "method": self.retriever or self.method,
            "combination": self.combination,
            "question_boost": self.question_boost is not None
            and f"boost {str(self.question_boost).removesuffix('.0')}",
            "embedding_model": self.embedding_model,
            "index_options": self.index_options,
            "candidates": self.candidates is not None and f"{self.candidates} candidates",
        }
        return {name: part for name, part in parts.items() if part}

    @property
    def searches(self) -> "tuple[SearchSetting, ...]":
        """The searches it is made of: itself, or the text and the vector search that a hybrid one fuses."""
        if self.method != "hybrid":
            return (self,)
        return (
            SearchSetting(method="text", combination=self.combination, question_boost=self.question_boost),
            SearchSetting(method="vector", embedding_model=self.embedding_model, index_options=self.index_options),
        )


def search_settings(grid: GridConfig) -> tuple[SearchSetting, ...]:
    """Return every distinct setting of a grid, the simplest first.

    Text search does not depend on the embedding model, nor vector search on fields and boosts, so each of them stands
    once. Text is simpler than vector search (no model, no vectors) and this than hybrid search, fewer candidates are
    simpler than more, and what the grid names first is simpler than what it names later. Retrievers of one's own come
    last.
    """
    vectors = [
        SearchSetting(method="vector", embedding_model=model, index_options=options)
        for model, options in product(grid.embedding_models, grid.index_options)
    ]
    texts = [
        SearchSetting(method="text", combination=combination, question_boost=boost)
        for combination, boost in product(grid.combinations, grid.question_boosts)
    ]
    of_method = {
        "text": texts,
        "vector": vectors,
        "hybrid": [
            replace(
                vector,
                method="hybrid",
                combination=text.combination,
                question_boost=text.question_boost,
                candidates=candidates,
            )
            for candidates, vector, text in product(sorted(grid.candidates), vectors, texts)
        ],
    }
    ours = (setting for method in _SIMPLEST_FIRST if method in grid.methods for setting in of_method[method])
    return (*ours, *map(_own, grid.retrievers))


def _own(retriever: RetrieverConfig) -> SearchSetting:
    return SearchSetting(method=retriever.method, retriever=retriever.name)


def short_names(settings: Sequence[SearchSetting]) -> dict[str, str]:
    """Return for each setting's name one without what all settings share; the method always stays."""
    kinds: dict[str, set[str]] = {}
    for setting in settings:
        for kind, word in setting.words.items():
            kinds.setdefault(kind, set()).add(word)
    return {
        setting.name: ", ".join(w for kind, w in setting.words.items() if kind == "method" or len(kinds[kind]) > 1)
        for setting in settings
    }


def default_setting(grid: GridConfig) -> SearchSetting:
    """Return the setting that the first value of every list makes; without methods, the first retriever."""
    if not grid.methods:
        return _own(grid.retrievers[0])
    method = grid.methods[0]
    text, vector = method in ("text", "hybrid"), method in ("vector", "hybrid")
    return SearchSetting(
        method=method,
        combination=grid.combinations[0] if text else None,
        question_boost=grid.question_boosts[0] if text else None,
        embedding_model=grid.embedding_models[0] if vector else None,
        index_options=grid.index_options[0] if vector else None,
        candidates=grid.candidates[0] if method == "hybrid" else None,
    )


def distinct_searches(settings: Sequence[SearchSetting]) -> tuple[SearchSetting, ...]:
    """Return each text and each vector search that these settings need, once."""
    return tuple(dict.fromkeys(search for setting in settings for search in setting.searches))


def parts_of(questions: Sequence[Question], *, share: float, seed: int) -> list[Part]:
    """Return for each question whether settings are chosen on it, or judged by it.

    The hash of seed and document decides, so that questions about the same document are in the same part, and new
    documents move no old one. Documents that are right for the same question count as one: the one of them with the
    least id decides.

    Args:
        questions: All questions of the sweep.
        share: Share of the documents that is expected in the tuning part, in (0, 1).
        seed: Another seed divides them in another way.
    """
    group = _linked(questions)
    return [
        "tuning" if int(digest(str(seed), group[cluster_of(question)])[:8], 16) < share * 2**32 else "held-out"
        for question in questions
    ]


def cluster_of(question: Question) -> str:
    """Return the document that a question was made from, or the question itself where none is known."""
    return question.made_from or question.question_id


def _linked(questions: Sequence[Question]) -> dict[str, str]:
    """Return the least id among the documents that each document shares questions with, directly or not."""
    parent: dict[str, str] = {}

    def root(document_id: str) -> str:
        while (above := parent.setdefault(document_id, document_id)) != document_id:
            document_id = above
        return document_id

    for question in questions:
        own = cluster_of(question)
        for other in (own, *question.relevant_ids, *question.alternate_ids):
            low, high = sorted((root(own), root(other)))
            parent[high] = low
    return {document_id: root(document_id) for document_id in parent}
