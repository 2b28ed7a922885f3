"""Retrievers, prompts and systems by name, and the systems that an evaluation compares."""

from collections.abc import Sequence
from itertools import product
from pathlib import PurePosixPath
from typing import Any, Final, Literal, TypeVar

from pydantic import Field, model_validator

from rageval.config.existing_index import ExistingIndexConfig
from rageval.config.models import ModelConfig
from rageval.config.own_systems import OWN_KINDS, OwnSystemConfig
from rageval.config.settings import FilledText, FunctionName, Name, OptionalName, Settings
from rageval.records import SearchMethod

RetrieverMethod = Literal[SearchMethod, "elasticsearch", "python"]
Combination = Literal["together", "best", "sum"]
SystemKind = Literal["pipeline", "closed_book", "oracle", "http", "python", "recorded"]
MEASURES: Final = frozenset({"closed_book", "oracle"})
"""Kinds that nobody would put to use: they measure what the retrieval of the others is worth."""
DEFAULT_PROMPT = "default"
"""Name of the prompt that is taken where none is named."""
CLOSED_BOOK_PROMPT = "closed_book"
"""Name of the prompt of a system without contexts, where none is named."""
_BUILT_IN = (DEFAULT_PROMPT, CLOSED_BOOK_PROMPT)
_Named = TypeVar("_Named", "RetrieverConfig", "PromptConfig", ModelConfig)


class RetrieverConfig(Settings):
    """A way to find documents, by name."""

    name: OptionalName = ""
    """What it is called in every table; empty for the name of its search method."""
    method: RetrieverMethod = "vector"
    """`vector` compares embeddings, `text` is BM25, `hybrid` fuses both by reciprocal rank: in an index that is built
    for them. `elasticsearch` searches an index that is there already, `python` calls a function of yours."""
    combination: Combination = Field(default="together", title="How fields count")
    """Text and hybrid search: `together` searches title, text and metadata as one text, in which a boost adds weight to
    a field; `best` takes the best field's score, `sum` adds the fields' scores up."""
    question_boost: float = Field(default=1.0, ge=0.0, le=100.0, title="Boost of the title")
    """How much a match in a document's title (in a FAQ, its question) counts; 1 or more with `together`."""
    text_boost: float = Field(default=1.0, ge=0.0, le=100.0, title="Boost of the text")
    """How much a match in a document's text counts; 1 or more with `together`."""
    metadata_boost: float = Field(default=1.0, ge=0.0, le=100.0, title="Boost of the metadata")
    """How much a match in a document's metadata counts; 1 or more with `together`."""
    candidates: int = Field(default=50, ge=1, le=1000, title="Candidates of hybrid search")
    """Hits of text and vector search that hybrid search fuses."""
    elasticsearch: ExistingIndexConfig | None = Field(default=None, title="Existing index")
    """The index that is there already (method elasticsearch)."""
    function: FunctionName = ""
    """`module:function` or `path.py:function`, called with a question and how many documents are wanted (method
    python)."""
    function_folder: FilledText = ""
    """Folder that the function's path begins at and its imports are looked for in; empty for that of the file that
    these settings are in."""
    concurrency: int = Field(default=1, ge=1, le=64, title="Calls at once")
    """Calls of the function that are under way at once; more make its latency that of a busy service."""

    @model_validator(mode="after")
    def _check(self) -> "RetrieverConfig":
        if (self.method == "elasticsearch") != (self.elasticsearch is not None):
            raise ValueError(f"the retriever {self.name!r} needs `method: elasticsearch` and a group `elasticsearch`")
        if (self.method == "python") != bool(self.function):
            raise ValueError(f"the retriever {self.name!r} needs `method: python` and a `function`")
        if self.method in ("text", "hybrid"):
            check_boosts(self.combination, (self.question_boost, self.text_boost, self.metadata_boost))
        return self

    @property
    def is_own(self) -> bool:
        """Whether it is its user's own: it searches in nothing that was built for it."""
        return self.method in ("elasticsearch", "python")

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        """Read a search method's name as the retriever, and name one without a name after its method."""
        value = {"method": value} if isinstance(value, str) else value
        if isinstance(value, dict) and not value.get("name"):
            value = {**value, "name": value.get("method", "vector")}
        return value


def check_boosts(combination: Combination, boosts: Sequence[float]) -> None:
    """Refuse boosts that fields cannot be combined with.

    Raises:
        ValueError: If one is below 1 where a field can only gain weight, or none is above 0.
    """
    if combination == "together" and min(boosts) < 1:
        raise ValueError(
            f"found a boost of {min(boosts)}, but with `combination: together` a boost adds weight to a field: give 1 "
            "or more, or take `best` or `sum`"
        )
    if not any(boosts):
        raise ValueError("all boosts are 0, so nothing would be searched; give one of them more")


class PromptConfig(Settings):
    """A prompt of an answering model, by name: a Jinja template in a file, or written here. `default` and `closed_book`
    alone are the built-in ones."""

    name: Name
    """What it is called in every table."""
    file: FilledText = ""
    """Path or URL of the template. Lines `system:` and `user:` begin its two parts; without them, all of it is the user
    part."""
    system: str = Field(default="", max_length=100_000)
    """Template of the system part, in place of a file."""
    user: str = Field(default="", max_length=100_000)
    """Template of the user part, in place of a file. It knows `question`, `contexts` (each with number, id, title,
    section, text, metadata), `history` and `metadata`."""

    @model_validator(mode="before")
    @classmethod
    def _from_file(cls, value: Any) -> Any:
        """Read a path alone as a prompt in that file, called after it, and the name of a built-in one as that."""
        if not isinstance(value, str):
            return value
        return {"name": value} if value in _BUILT_IN else {"name": PurePosixPath(value).stem, "file": value}

    @model_validator(mode="after")
    def _check(self) -> "PromptConfig":
        if self.is_built_in:
            return self
        if bool(self.file) == bool(self.user):
            raise ValueError(f"the prompt {self.name!r} needs a `file` or a `user` part, one of them")
        if self.file and self.system:
            raise ValueError(f"the prompt {self.name!r} has a file and a `system` part; write that part into the file")
        return self

    @property
    def is_built_in(self) -> bool:
        """Whether it is one that comes with the package, by its name alone."""
        return self.name in _BUILT_IN and not (self.file or self.system or self.user)


class _MadeSystem(Settings):
    """What a system of ours is made of."""

    kind: SystemKind = "pipeline"
    """`pipeline` shows the model what the retriever finds, `closed_book` nothing, `oracle` the relevant documents: what
    retrieval is worth. `http` asks your endpoint, `python` calls your function, `recorded` reads answers from a
    file."""
    name: OptionalName = ""
    """What it is called in every table, if it is one system; empty makes a name of the parts."""
    retrievers: tuple[Name, ...] = ()
    """Names of retrievers; empty for the first one. Only a pipeline has any."""
    prompts: tuple[Name, ...] = ()
    """Names of prompts; empty for all that are named, or the default one. `closed_book` has a default of its own."""
    models: tuple[Name, ...] = ()
    """Names of models; empty for all."""


class SystemConfig(OwnSystemConfig, _MadeSystem):
    """One system of your own, or a grid of ours: every retriever named here, with every prompt and every model."""

    @model_validator(mode="after")
    def _check(self) -> "SystemConfig":
        self.check_kind(self.kind)
        return self

    @model_validator(mode="before")
    @classmethod
    def _from_kind(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value


class SystemPlan(Settings):
    """One system of an evaluation: what it is made of."""

    name: Name
    kind: SystemKind
    retriever: RetrieverConfig | None
    """None where no retriever finds its contexts."""
    prompt: PromptConfig | None
    """None for the built-in prompt called `prompt_name`."""
    prompt_name: OptionalName
    """Empty for a system of its user's own."""
    model: ModelConfig
    """Who answers, and under whose limits; of a system of its user's own, its limits alone."""
    own: OwnSystemConfig | None = None
    """How a system of its user's own is asked; None for ours."""

    @property
    def asks_model(self) -> bool:
        """Whether a model of the configuration answers."""
        return self.own is None


def plan_systems(
    systems: Sequence[SystemConfig],
    retrievers: Sequence[RetrieverConfig],
    prompts: Sequence[PromptConfig],
    models: Sequence[ModelConfig],
) -> tuple[SystemPlan, ...]:
    """Return the systems of a configuration, grids multiplied out.

    Without any, every model answers with the first retriever and every prompt that is named; without models, there are
    none.

    Raises:
        ValueError: If a name is unknown or two systems would have the same.
    """
    if not (systems or models):
        return ()
    planned = [plan for config in systems or (SystemConfig(),) for plan in _grid(config, retrievers, prompts, models)]
    names = [plan.name for plan in planned]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"two systems are called {twice[0]!r}; give one of them another `name`")
    return tuple(planned)


def _grid(
    config: SystemConfig,
    retrievers: Sequence[RetrieverConfig],
    prompts: Sequence[PromptConfig],
    models: Sequence[ModelConfig],
) -> list[SystemPlan]:
    if config.kind in OWN_KINDS:
        return [_own(config)]
    if not models:
        raise ValueError(f"a system of kind {config.kind} asks a model, and `models` is empty; name one there")
    found: Sequence[RetrieverConfig | None] = [None]
    if config.kind == "pipeline":
        found = _chosen(config.retrievers, retrievers, "retrievers") if config.retrievers else retrievers[:1]
    elif config.retrievers:
        raise ValueError(f"a system of kind {config.kind} has no retriever; leave its `retrievers` out")
    plans = [
        SystemPlan(
            name=config.name or _name(config.kind, retriever, retrievers[0], prompt_name, model),
            kind=config.kind,
            retriever=retriever,
            prompt=prompt,
            prompt_name=prompt_name,
            model=model,
        )
        for retriever, (prompt_name, prompt), model in product(
            found, _prompts(config, prompts), _chosen(config.models, models, "models") if config.models else models
        )
    ]
    if config.name and len(plans) > 1:
        raise ValueError(
            f"the system {config.name!r} is {len(plans)} systems: name one retriever, prompt and model each, or leave "
            "its `name` out"
        )
    return plans


def _own(config: SystemConfig) -> SystemPlan:
    name = config.name or config.recorded_system or config.function.rpartition(":")[2] or config.kind
    for part in ("retrievers", "prompts", "models"):
        if getattr(config, part):
            raise ValueError(f"a system of kind {config.kind} has no {part} of ours; leave its `{part}` out")
    own = OwnSystemConfig.model_construct(**{one: getattr(config, one) for one in OwnSystemConfig.model_fields})
    limits = config.limits(name, config.kind)
    return SystemPlan(name=name, kind=config.kind, retriever=None, prompt=None, prompt_name="", model=limits, own=own)


def _prompts(config: SystemConfig, prompts: Sequence[PromptConfig]) -> list[tuple[str, PromptConfig | None]]:
    named = {prompt.name: prompt for prompt in prompts}
    built_in = CLOSED_BOOK_PROMPT if config.kind == "closed_book" else DEFAULT_PROMPT
    if config.prompts:
        unknown = [name for name in config.prompts if name not in named and name != built_in]
        if unknown:
            raise ValueError(f"systems.prompts names {unknown[0]!r}; known are {', '.join([*named, built_in])}")
        return [(name, named.get(name)) for name in config.prompts]
    if config.kind == "closed_book" or not prompts:
        return [(built_in, named.get(built_in))]
    return list(named.items())


def _chosen(names: Sequence[str], known: Sequence[_Named], what: str) -> list[_Named]:
    by_name = {one.name: one for one in known}
    if unknown := [name for name in names if name not in by_name]:
        raise ValueError(f"systems.{what} names {unknown[0]!r}; known are {', '.join(by_name)}")
    return [by_name[name] for name in names]


def _name(
    kind: str, retriever: RetrieverConfig | None, first: RetrieverConfig, prompt_name: str, model: ModelConfig
) -> str:
    """Return the model's name, and whatever else is not the default."""
    parts = [model.name]
    if kind != "pipeline":
        parts.append(kind)
    if prompt_name not in _BUILT_IN:
        parts.append(prompt_name)
    if retriever and retriever != first:
        parts.append(retriever.name)
    return " + ".join(parts)


def check_names(kind: str, names: Sequence[str]) -> None:
    """Refuse two of a kind with one name.

    Raises:
        ValueError: If a name stands twice.
    """
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"two {kind} have the same name: {twice[0]}; give each its own `name`")
