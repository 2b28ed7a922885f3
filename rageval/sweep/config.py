"""The whole configuration of a sweep: which settings of the search are compared, and how the best one is found.

No secret is ever part of it: keys are read from environment variables, as for a run.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from rageval.config.evaluation import Backend, DataConfig, Language
from rageval.config.settings import FileName, Location, Name, Settings
from rageval.config.systems import Combination, RetrieverConfig, check_boosts, check_names
from rageval.metrics.catalogue import of_kind
from rageval.metrics.metric import RetrievalMetric
from rageval.metrics.mrr import MRR
from rageval.metrics.names import at
from rageval.records import SearchMethod

IndexOptions = Literal["flat", "hnsw", "int8_hnsw", "bbq_hnsw"]
Boost = Annotated[float, Field(ge=0.0, le=100.0)]
Depth = Annotated[int, Field(ge=1, le=1000)]


class SweepIndexConfig(Settings):
    """Where documents are indexed; every embedding model and every kind of vector index has an index of its own."""

    backend: Backend = Field(default="auto", title="Search engine")
    """`auto` uses Elasticsearch where ELASTICSEARCH_URL is set, else the embedded engine, in the output folder."""
    name: FileName = ""
    """Beginning of the indexes' names; empty derives it from the documents' path."""
    language: Language = Field(default="auto", title="Language of the documents")
    """By whose stop words and stems text search finds words; `auto` recognises it, `none` takes words as they stand."""
    batch_size: int = Field(default=16, ge=1, le=4096)
    """Texts embedded at once."""


class GridConfig(Settings):
    """What is varied. Every combination that makes a difference is evaluated once; the first value of each list makes
    the default setting, which the best one is compared with."""

    methods: tuple[SearchMethod, ...] = Field(default=("vector", "text", "hybrid"), title="Search methods")
    """Search methods. An empty list leaves the retrievers of your own, and no index is built."""
    embedding_models: tuple[Name, ...] = Field(default=("all-MiniLM-L6-v2",), min_length=1)
    """Names or folders of sentence-transformers models; vector and hybrid search."""
    index_options: tuple[IndexOptions, ...] = Field(default=("flat",), min_length=1, title="Kind of vector index")
    """Elasticsearch's kinds of vector index; the embedded engine has `flat` alone. Vector and hybrid search."""
    combinations: tuple[Combination, ...] = Field(default=("together",), min_length=1, title="How fields count")
    """`together` searches title, text and metadata as one text, in which a boost adds weight to the title; `best` takes
    the best field's score, `sum` adds the fields' scores up; text and hybrid search."""
    question_boosts: tuple[Boost, ...] = Field(default=(1.0, 2.0), min_length=1, title="Boosts of the title")
    """How much a match in a document's title (in a FAQ, its question) counts; 1 or more with `together`; text and
    hybrid search."""
    candidates: tuple[Depth, ...] = Field(default=(50,), min_length=1, title="Candidates of hybrid search")
    """Hits of text and vector search that hybrid search fuses."""
    retrievers: tuple[RetrieverConfig, ...] = Field(default=(), title="Retrievers of your own")
    """Indexes that are there already and functions, see docs/retrievers.md; nothing of them is varied, so two queries
    are two of them."""
    cutoffs: tuple[Depth, ...] = Field(default=(1, 3, 5, 10), min_length=1, title="More depths (k)")
    """Every k that metrics are computed for."""

    @model_validator(mode="after")
    def _check(self) -> "GridConfig":
        if not (self.methods or self.retrievers):
            raise ValueError("methods is empty; name at least one, or retrievers of your own")
        if ours := [retriever.name for retriever in self.retrievers if not retriever.is_own]:
            raise ValueError(f"retrievers holds {ours[0]!r}, which searches as methods say; name it there")
        check_names("retrievers", [retriever.name for retriever in self.retrievers])
        for name in type(self).model_fields:
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise ValueError(f"{name} names a value twice: {', '.join(map(str, values))}; name each once")
        for combination in self.combinations:
            check_boosts(combination, (*self.question_boosts, 1.0))
        if "hybrid" in self.methods and min(self.candidates) < max(self.cutoffs):
            raise ValueError(
                f"candidates holds {min(self.candidates)}, less than the largest of cutoffs, {max(self.cutoffs)}; "
                "hybrid search is not judged further down than it fuses: raise the one or lower the other"
            )
        return self

    @property
    def depth(self) -> int:
        """How many documents text and vector search have to return."""
        fused = self.candidates if "hybrid" in self.methods else ()
        return max(*self.cutoffs, *fused, 1)


class TuningConfig(Settings):
    """How the best setting is chosen: on one part of the questions, while its values are those of the other part."""

    metric: str = at(MRR.name, 5)
    """The metric that decides, with its k."""
    share: float = Field(default=0.5, gt=0, lt=1)
    """Share of the documents, with all their questions, that the setting is chosen on."""
    seed: int = Field(default=42, ge=0, le=2**32 - 1)
    """Decides which documents these are."""
    accept_alternates: bool = Field(default=False, title="Accept other right documents")
    """Count every document that the ground truth names for the same question as right, not just the row's own."""


class SweepOptions(Settings):
    """Where results go."""

    output: Location = Field(default="runs", title="Output folder")
    """Folder that holds one folder per sweep, and the indexes."""
    run_id: FileName = Field(default="", title="Name of the run")
    """Name of the sweep; the id of an earlier one takes over its searches. Empty makes a new one from the time."""


class SweepConfig(Settings):
    """Everything that a sweep can be told. The defaults run offline on the sample corpus, without any model's key."""

    data: DataConfig = Field(default_factory=DataConfig)
    index: SweepIndexConfig = Field(default_factory=SweepIndexConfig)
    grid: GridConfig = Field(default_factory=GridConfig)
    tuning: TuningConfig = Field(default_factory=TuningConfig)
    run: SweepOptions = Field(default_factory=SweepOptions)

    @model_validator(mode="after")
    def _check(self) -> "SweepConfig":
        known = [at(metric.name, k) for metric in of_kind(RetrievalMetric) for k in sorted(self.grid.cutoffs)]
        if self.tuning.metric not in known:
            raise ValueError(
                f"tuning.metric is {self.tuning.metric!r}, expected one of {', '.join(known)}; grid.cutoffs has every k"
            )
        return self
