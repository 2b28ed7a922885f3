"""`rageval try-system`: one question -> what a system is sent, what it replies, and what is read of that."""

from pathlib import Path
from typing import Annotated

import typer

from rageval.cli.arguments import Assignments
from rageval.config.evaluation import EvaluationConfig
from rageval.config.file import read_settings
from rageval.config.overrides import override, validate


def try_system(
    name: Annotated[str, typer.Argument(help="Name of the system, as in the configuration.")],
    question: Annotated[str, typer.Argument(help="What is asked; the text or id of a known one brings all of it.")],
    config: Annotated[Path, typer.Option(help="YAML file of settings.", metavar="CONFIG.yaml")] = Path("rageval.yaml"),
    assignments: Assignments = [],  # noqa: B006 - typer copies it
) -> None:
    """Ask one system one question, and show request, raw reply, and what is read of it; nothing is stored.

    Of a system of yours: so a mapping takes minutes to get right. A pipeline of ours shows its contexts and its prompt,
    and asks no model. Secrets are shown as [[key]].

    Example:

    rageval try-system mine refunds --config rag.yaml
    """
    settings = read_settings(config)
    override(settings, {}, assignments)
    configuration = validate(EvaluationConfig, settings)
    from rageval.cli.system_trials import show_trial
    from rageval.pipeline.system_trial import try_system as tried

    trial = tried(configuration, name, question)
    show_trial(trial)
    if trial.error:
        raise typer.Exit(3)
