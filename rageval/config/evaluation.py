"""The whole configuration of a run: the flow's parameter, the YAML file and the form in the Prefect UI.

No secret is ever part of it: keys are read from environment variables that are named here.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from rageval.config.checks import (
    check_batch,
    check_budgets,
    check_cluster,
    check_filter,
    check_judges,
    check_own_budgets,
)
from rageval.config.columns import ColumnConfig
from rageval.config.models import LOCAL, ModelConfig
from rageval.config.own_systems import OWN_KINDS
from rageval.config.settings import Effect, FileName, FilledText, Key, Location, Name, SchedulerUrl, Settings
from rageval.config.systems import PromptConfig, RetrieverConfig, SystemConfig, SystemPlan, check_names, plan_systems
from rageval.metrics import catalogue

Backend = Literal["auto", "embedded", "elasticsearch"]
Language = Literal[
    "auto", "danish", "dutch", "english", "finnish", "french", "german", "hungarian", "italian", "norwegian",
    "portuguese", "russian", "spanish", "swedish", "none",
]  # fmt: skip
_RETRIEVERS = (
    RetrieverConfig(name="vector", method="vector"),
    RetrieverConfig(name="text", method="text"),
    RetrieverConfig(name="hybrid", method="hybrid"),
)
_CHUNK_UNASKED = 5000


class DataConfig(Settings):
    """Which documents and which questions."""

    documents: Annotated[FilledText, Effect.OPEN] = "sample:documents"
    """Path or URL of the documents: JSON list, JSONL, CSV or Parquet with id and text, a title (title, or question in a
    FAQ) and any other columns; each may be compressed, such as .csv.gz. A signature or password is read from the
    variable NAME where the URL has ${NAME}. Systems of your own need none: leave it empty."""
    ground_truth: Annotated[Location, Effect.OPEN] = "sample:questions"
    """Path or URL of the questions: CSV, JSON, JSONL, Parquet or Excel, with question and document (its id), or as
    ragas, DeepEval, Azure, RAGChecker, open-rag-eval, Langfuse, Giskard and AutoRAG write them; or a folder of BEIR.
    `latest:` in front of it takes the newest version, see docs/monitoring.md."""
    columns: tuple[ColumnConfig, ...] = Field(default=(), title="Columns of the questions")
    """Columns that are not recognised by their names."""
    filter_by: Key = ""
    """Column of documents and questions that restricts the search: a question is searched for among the documents with
    its own value, such as its course. Empty searches in all."""
    only: Key = ""
    """Ask only the questions with this value of the column that filter_by names; empty for all. The index always holds
    every document."""
    sample: int | None = Field(default=None, ge=1, le=10_000_000, title="Sample size")
    """Ask only this many questions, drawn at random with the seed, those accepted from users before all others; without
    a number, all."""
    seed: int = Field(default=42, ge=0, le=2**32 - 1)
    """Seed of the sample: the same seed draws the same questions."""

    @model_validator(mode="after")
    def _check(self) -> "DataConfig":
        check_filter(self.filter_by, self.only)
        return self


class IndexConfig(Settings):
    """How documents are embedded and where they are indexed."""

    backend: Annotated[Backend, Effect.OPEN] = Field(default="auto", title="Search engine")
    """`auto` uses Elasticsearch where ELASTICSEARCH_URL or ELASTICSEARCH_CLOUD_ID is set, else the embedded engine, in
    the output folder."""
    name: Annotated[FileName, Effect.NONE] = Field(default="", title="Name of the index")
    """In Elasticsearch the name of the alias; empty derives it from the documents' path."""
    embedding_model: Name = "all-MiniLM-L6-v2"
    """A sentence-transformers model name or folder; the default comes with the installation."""
    language: Language = Field(default="auto", title="Language of the documents")
    """By whose stop words and stems text search finds words; `auto` recognises it, `none` takes words as they stand."""
    index_options: Literal["flat", "hnsw", "int8_hnsw", "bbq_hnsw"] = Field(
        default="flat", title="Kind of vector index"
    )
    """Elasticsearch's vector index: `flat` is exact, the others trade recall for speed. The embedded engine is
    exact."""
    shards: int = Field(default=1, ge=1, le=1024)
    """Parts of an index in Elasticsearch: one for each 10 to 50 GB. The embedded engine has one."""
    replicas: int | None = Field(default=None, ge=0, le=100)
    """Copies of each shard in Elasticsearch; without a number, one where there is a second node."""
    batch_size: Annotated[int, Effect.NONE] = Field(default=16, ge=1, le=4096)
    """Texts embedded at once."""


class RetrievalConfig(Settings):
    """How deep is searched, and which documents count as relevant."""

    top_k: int = Field(default=5, ge=1, le=100, title="Documents shown (top k)")
    """Documents whose texts the model is shown, and the rank down to which the leading metrics count."""
    cutoffs: tuple[Annotated[int, Field(ge=1, le=1000)], ...] = Field(default=(1, 3, 10), title="More depths (k)")
    """More ranks down to which retrieval metrics are computed; the deepest one decides how many documents are kept."""
    relevant_share: float = Field(default=0.5, gt=0, le=1, title="Share of a right text")
    """Where right texts are known and no ids: a passage is right if it holds a right text, or at least this share of
    its tokens."""
    accept_alternates: bool = Field(default=False, title="Accept other right documents")
    """Count every document that the ground truth names for the same question as relevant, not just the row's own."""


class JudgeConfig(Settings):
    """The LLMs that grade the answers, and how they are checked."""

    enabled: bool = Field(default=True, title="Judge the answers")
    """Whether judges are asked at all; without them, only metrics are measured that need none."""
    model: ModelConfig | None = Field(default=None, title="Judge")
    """The model that grades; without one, the first answering model does."""
    panel: tuple[ModelConfig, ...] = Field(default=(), title="More judges")
    """More judges: each grades every answer, and the majority of all counts (the median label without one)."""
    again_share: float = Field(default=0.1, ge=0, le=1, title="Share judged again")
    """Share of the questions, drawn at random, that the judge grades a second time: how often it contradicts itself."""
    combine: bool = Field(default=False, title="Combine verdicts")
    """Ask for all verdicts that see the same material in one call; those of the share that is judged again also alone,
    which tells how far combined and single verdicts agree."""
    pairwise: bool = Field(default=False, title="Compare answers in pairs")
    """Let the judge choose between the answers of every two models, in both orders; two calls a pair and question."""
    minimum_kappa: Annotated[float, Effect.OPEN] = Field(
        default=0.4, ge=0, le=1, title="Least agreement of a judge (kappa)"
    )
    """A judge that agrees with itself, or with the human labels, less than this (Cohen's kappa) is named as unfit."""
    human_labels: Annotated[FilledText, Effect.OPEN] = Field(default="", title="File of human labels")
    """Path or URL of a CSV with question_id, model, label (RELEVANT, PARTLY_RELEVANT, NON_RELEVANT); empty for none."""


class RunOptions(Settings):
    """Where results go and when a run counts as failed."""

    output: Location = Field(default="runs", title="Output folder")
    """Folder, or URL such as s3://bucket/runs, that holds one folder per run."""
    chunk_size: Annotated[int, Effect.FIXED] = Field(default=100, ge=1, le=1000, title="Questions in a chunk")
    """Questions in one Prefect task run."""
    run_id: FileName = Field(default="", title="Name of the run")
    """The name of an earlier run resumes it; empty makes a new one from the time."""
    max_failed_share: float = Field(default=0.05, ge=0, le=1, title="Share that may fail")
    """Share of a model's answers that may fail, or be cut for their length, and of a judge's verdicts on a metric that
    may fail or be unreadable, before the run counts as incomplete."""
    batch: bool = Field(default=False, title="Use the Batch API")
    """Ask through the OpenAI Batch API: half the price, replies within 24 hours. A run that is stopped meanwhile
    collects the same batches when it is started again."""
    batch_poll_s: float = Field(default=30.0, ge=0.01, le=3600, title="Seconds between looks at a batch")
    """Seconds between two looks at a batch that is under way."""
    max_cost_usd: float | None = Field(default=None, gt=0, le=10_000_000, title="Ceiling (US dollars)")
    """US dollars the whole run may spend, earlier starts included; without a number, no ceiling. Nothing more is sent
    once that much is spent, so only the requests then in flight can lie above it. A reply that does not say what it
    took ends the run: nobody could tell any more when the ceiling is reached."""
    retry_failed: bool = Field(default=False, title="Only what has failed")
    """Ask again only for what has failed, or could not be read, in an earlier start, not for what is missing."""
    reuse: bool = Field(default=False, title="Reuse earlier replies")
    """Take answers and verdicts from earlier runs of the same output folder, where the very same request was made."""
    repeats: int = Field(default=1, ge=1, le=100)
    """How often every system is asked every question; the spread over repeats is reported, and does not pass for more
    questions."""
    task_runner: Literal["threads", "dask"] = "threads"
    """Where chunks are worked on: in threads of the flow's process, or on the workers of a Dask cluster."""
    dask_scheduler: SchedulerUrl = ""
    """Address of the Dask cluster's scheduler; empty for the environment's DASK_SCHEDULER_ADDRESS."""

    @model_validator(mode="after")
    def _check(self) -> "RunOptions":
        if self.batch and self.task_runner == "dask":
            raise ValueError(
                "batch waits for one batch, which a cluster does not speed up; leave task_runner as threads"
            )
        others = [name for name in ("max_cost_usd", "retry_failed", "reuse") if getattr(self, name)]
        if self.batch and others:
            raise ValueError(f"batch does not know {', '.join(others)}; leave out the one or the other")
        return self


def _metric_names(schema: dict[str, Any]) -> None:
    schema["items"]["enum"] = list(catalogue.choices())


class EvaluationConfig(Settings):
    """Everything that an evaluation run can be told. The defaults run offline on the sample corpus."""

    data: DataConfig = Field(default_factory=DataConfig)
    index: IndexConfig = Field(default_factory=IndexConfig)
    retrieval: RetrievalConfig = Field(default_factory=RetrievalConfig)
    retrievers: tuple[RetrieverConfig, ...] = Field(default=_RETRIEVERS, min_length=1)
    """Ways to find documents. Every one is evaluated; the first one also supplies the contexts of the answers, unless a
    system names others."""
    prompts: tuple[PromptConfig, ...] = ()
    """Prompts of the answering models, to be compared; without any, the built-in one."""
    models: tuple[ModelConfig, ...] = (ModelConfig(name=LOCAL),)
    """The models that answer. An empty list has none: the retrievers alone are evaluated, and no model is asked."""
    systems: tuple[SystemConfig, ...] = ()
    """What is compared: grids of retrievers, prompts and models. Without any, every model with every prompt and the
    first retriever."""
    metrics: tuple[Name, ...] = Field(default=catalogue.chosen(()), max_length=100, json_schema_extra=_metric_names)
    """What is measured of each answer, by name; an empty list stands for the default. Those of a judge take
    one call an answer each. Retrieval, latency, tokens and cost are always measured."""
    judge: JudgeConfig = Field(default_factory=JudgeConfig)
    run: RunOptions = Field(default_factory=RunOptions)

    @model_validator(mode="before")
    @classmethod
    def _without_sample(cls, value: Any) -> Any:
        """Leave the sample's documents out where systems of one's own are asked questions of one's own."""
        if not isinstance(value, dict) or not isinstance(data := value.get("data"), dict):
            return value
        own = [isinstance(one, dict) and one.get("kind") in OWN_KINDS for one in value.get("systems") or ()]
        asked = str(data.get("ground_truth") or "sample:")
        if own and all(own) and "documents" not in data and not asked.startswith("sample:"):
            return {**value, "data": {**data, "documents": ""}}
        return value

    @field_validator("metrics")
    @classmethod
    def _chosen(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return catalogue.chosen(names)

    @model_validator(mode="after")
    def _check_names(self) -> "EvaluationConfig":
        check_names("retrievers", [retriever.name for retriever in self.retrievers])
        check_names("prompts", [prompt.name for prompt in self.prompts])
        check_names("models", [model.name for model in self.models])
        names = [plan.name for plan in self.plans]
        if like := [name for name in names if f"{name}, swapped" in names]:
            raise ValueError(f"'{like[0]}, swapped' is what choices against {like[0]!r} are called; name it otherwise")
        return self

    @model_validator(mode="after")
    def _check_documents(self) -> "EvaluationConfig":
        needy = [
            plan.name for plan in self.plans if plan.kind == "oracle" or (plan.retriever and not plan.retriever.is_own)
        ]
        if needy and not self.data.documents:
            raise ValueError(
                f"the system {needy[0]!r} is shown documents, and there are none: name them in data.documents, or "
                "evaluate systems of your own (kind http, python or recorded)"
            )
        return self

    @model_validator(mode="after")
    def _check_models(self) -> "EvaluationConfig":
        judges = [self.judge.model] if self.judge.model else []
        check_judges(self.judges)
        check_budgets((*self.models, *judges, *self.judge.panel))
        check_own_budgets(self.plans)
        if self.run.task_runner == "dask":
            check_cluster((*self.answering_models, *self.judges))
            check_cluster(self.own_limits, "system")
        if self.run.batch:
            check_batch((*self.answering_models, *self.judges), pairwise=self.judge.enabled and self.judge.pairwise)
        return self

    @property
    def plans(self) -> tuple[SystemPlan, ...]:
        """The systems that are compared, grids multiplied out."""
        return plan_systems(self.systems, self.retrievers, self.prompts, self.models)

    @property
    def answering_models(self) -> tuple[ModelConfig, ...]:
        """The models that any system asks, in the order of the configuration."""
        asked = {plan.model.name for plan in self.plans if plan.asks_model}
        return tuple(model for model in self.models if model.name in asked)

    @property
    def own_limits(self) -> tuple[ModelConfig, ...]:
        """The limits of the systems of one's own that are asked, as those of models."""
        return tuple(plan.model for plan in self.plans if plan.kind in ("http", "python"))

    @property
    def chunk_size(self) -> int:
        """Questions in one chunk: many where nobody has to be asked, and a chunk is no unit of waiting."""
        asks = self.judges or any(plan.kind != "recorded" for plan in self.plans)
        return self.run.chunk_size if asks else max(self.run.chunk_size, _CHUNK_UNASKED)

    @property
    def searched(self) -> tuple[RetrieverConfig, ...]:
        """The retrievers that are evaluated: none where nobody names any, and every system brings its own contexts."""
        if self.retrievers == _RETRIEVERS and self.plans and all(plan.own for plan in self.plans):
            return ()
        has_documents = bool(self.data.documents)
        return tuple(one for one in self.retrievers if has_documents or one.is_own)

    @property
    def answer_retrievers(self) -> tuple[str, ...]:
        """Names of the retrievers whose results any system is shown."""
        return tuple(dict.fromkeys(plan.retriever.name for plan in self.plans if plan.retriever))

    @property
    def judge_model(self) -> ModelConfig | None:
        """The judge, or None if nothing is judged."""
        is_wanted = self.judge.pairwise or catalogue.judged(self.metrics)
        if not self.judge.enabled or not is_wanted or not self.plans:
            return None
        return self.judge.model or next(iter(self.answering_models), None)

    @property
    def judges(self) -> tuple[ModelConfig, ...]:
        """All judges, `judge_model` first; empty if nothing is judged."""
        return (self.judge_model, *self.judge.panel) if self.judge_model else ()
