"""The configuration -> the systems that an evaluation compares, and their table."""

from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any, Final

import orjson
import pyarrow as pa

from rageval.config.evaluation import EvaluationConfig
from rageval.config.models import ModelConfig
from rageval.config.systems import PromptConfig, SystemKind, SystemPlan
from rageval.corpus.opening import read_text
from rageval.errors import ConfigError
from rageval.runs.run import Run
from rageval.systems.callables import CallableSystem
from rageval.systems.closed_book import ClosedBook
from rageval.systems.http import HttpSystem
from rageval.systems.oracle import Oracle
from rageval.systems.pipeline import Pipeline
from rageval.systems.python import PythonSystem
from rageval.systems.recorded import RecordedSystem
from rageval.systems.system import System
from rageval.systems.templates import Prompt, checked, parse_prompt
from rageval.tables import SYSTEMS

_OWN: Final[Mapping[SystemKind, type[HttpSystem] | type[PythonSystem] | type[RecordedSystem]]] = {
    "http": HttpSystem,
    "python": PythonSystem,
    "recorded": RecordedSystem,
}
_NONE: Final[Mapping[str, Callable[..., Any]]] = {}


def make_systems(config: EvaluationConfig, functions: Mapping[str, Callable[..., Any]] = _NONE) -> list[System]:
    """Return the systems of a configuration, with their prompts read and checked.

    Args:
        config: The configuration.
        functions: Functions of this process by the names of the systems that they are, in place of their settings'.

    Raises:
        ConfigError: If a prompt cannot be read or used.
        DataError: If its file is not there.
    """
    named = {prompt.name: read_prompt(prompt) for prompt in config.prompts}
    return [
        own_system(plan, functions.get(plan.name))
        if plan.own
        else _system(plan, named.get(plan.prompt_name) or built_in(plan.prompt_name))
        for plan in config.plans
    ]


def read_prompt(config: PromptConfig) -> Prompt:
    """Return a prompt of the configuration, checked.

    Raises:
        ConfigError: If it cannot be used.
        DataError: If its file cannot be read.
    """
    if config.is_built_in:
        return built_in(config.name)
    if config.file:
        return parse_prompt(config.name, read_text(config.file))
    return checked(Prompt(name=config.name, system=config.system.strip(), user=config.user.strip()))


def built_in(name: str) -> Prompt:
    """Return a prompt that comes with the package: `default` or `closed_book`."""
    return parse_prompt(name, (files("rageval.systems") / "prompts" / f"{name}.md").read_text("utf-8"))


def served(systems: Sequence[System], models: Sequence[ModelConfig]) -> list[System]:
    """Return the systems with models of the same names, whose endpoints serve them."""
    by_name = {model.name: model for model in models}
    return [s if s.brings_contexts else s.with_model(by_name[s.model.name]) for s in systems]


def describe_systems(run: Run, systems: Sequence[System]) -> None:
    """Keep in the run what its systems are made of.

    Raises:
        ConfigError: If the run was started before with another text of a prompt.
    """
    table = systems_table(systems)
    if run.has("systems"):
        before = {row["system"]: row["prompt_hash"] for row in run.read("systems").to_pylist()}
        prompts = [(s.name, s.prompt) for s in systems if s.prompt]
        changed = [prompt.name for name, prompt in prompts if before.get(name, prompt.hash) != prompt.hash]
        if changed:
            raise ConfigError(
                f"the prompt {changed[0]!r} has changed since the run {run.run_id!r} was started; restore it to resume "
                "the run, or give another --run-id"
            )
    run.write("systems", table)


def stored_systems(run: Run, config: EvaluationConfig) -> list[System]:
    """Return the systems of a run as they were when it was started, with the models of these settings.

    Raises:
        DataError: If the run has not got as far as that.
    """
    by_name = {model.name: model for model in config.models}
    own = {plan.name: plan for plan in config.plans if plan.own}
    return [
        own_system(own[row["system"]])
        if row["system"] in own
        else _made(
            row["kind"],
            name=row["system"],
            retriever=row["retriever"],
            prompt=Prompt(name=row["prompt"], system=row["prompt_system"], user=row["prompt_user"]),
            model=by_name[row["model"]],
        )
        for row in run.read("systems").to_pylist()
    ]


def systems_table(systems: Sequence[System]) -> pa.Table:
    """Return table `tables.SYSTEMS`."""
    return pa.Table.from_pylist([_row(system) for system in systems], schema=SYSTEMS)


def own_system(plan: SystemPlan, function: Callable[..., Any] | None = None) -> System:
    """Return a system of its user's own, which may be a function of this process.

    Raises:
        ConfigError: If it cannot be used.
    """
    if plan.own is None:
        raise TypeError(f"{plan.name} is a system of ours")
    if function:
        return CallableSystem(
            name=plan.name, kind=plan.kind, model=plan.model, settings=plan.own, function=function
        )  # fmt: skip
    return _OWN[plan.kind](name=plan.name, kind=plan.kind, model=plan.model, settings=plan.own)


def _system(plan: SystemPlan, prompt: Prompt) -> System:
    retriever = plan.retriever.name if plan.retriever else None
    return _made(plan.kind, name=plan.name, retriever=retriever, prompt=prompt, model=plan.model)


def _made(kind: SystemKind, *, name: str, retriever: str | None, prompt: Prompt, model: ModelConfig) -> System:
    if kind == "closed_book":
        return ClosedBook(name=name, prompt=prompt, model=model)
    if kind == "oracle":
        return Oracle(name=name, prompt=prompt, model=model)
    return Pipeline(name=name, prompt=prompt, model=model, retriever=retriever or "")


def _row(system: System) -> dict[str, str | None]:
    prompt = system.prompt
    return {
        "system": system.name,
        "kind": system.kind,
        "retriever": system.name if system.brings_contexts else system.retriever,
        "prompt": prompt.name if prompt else None,
        "prompt_hash": prompt.hash if prompt else None,
        "prompt_system": prompt.system if prompt else None,
        "prompt_user": prompt.user if prompt else None,
        "model": system.model.name if prompt else None,
        "endpoint": system.endpoint,
        "parameters": orjson.dumps(system.parameters, option=orjson.OPT_SORT_KEYS).decode(),
    }
