"""Options of the command line: those of settings say and take what the field does, and every example is a command."""

import shlex
import sys
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from pydantic import BaseModel, Field
from typer.testing import CliRunner

from rageval.cli import (
    audit,
    chat,
    evaluate,
    feedback,
    gate,
    ground_truth,
    index,
    main,
    monitor,
    rescore,
    simulate,
    sweep,
)
from rageval.cli.commands import COMMANDS, load
from rageval.cli.options import Given, Table, offers
from rageval.comparison.gate_config import GateSettings
from rageval.config.evaluation import EvaluationConfig
from rageval.config.models import ModelConfig
from rageval.config.settings import FilledText, Settings
from rageval.errors import ConfigError
from rageval.ground_truth.config import GenerationConfig
from rageval.monitoring.config import MonitoringConfig
from rageval.monitoring.traffic import TrafficConfig
from rageval.sweep.config import SweepConfig

TABLES: dict[str, tuple[type[BaseModel], Table]] = {
    "audit": (EvaluationConfig, audit.SETTINGS),
    "chat": (EvaluationConfig, chat.SETTINGS),
    "evaluate": (EvaluationConfig, evaluate.SETTINGS),
    "feedback accept": (EvaluationConfig, feedback.SETTINGS),
    "feedback forget": (EvaluationConfig, feedback.FORGET_SETTINGS),
    "feedback review": (EvaluationConfig, feedback.SETTINGS),
    "gate": (GateSettings, gate.SETTINGS),
    "ground-truth generate": (GenerationConfig, ground_truth.SETTINGS),
    "index": (EvaluationConfig, index.SETTINGS),
    "monitor": (MonitoringConfig, monitor.SETTINGS),
    "rescore": (EvaluationConfig, rescore.SETTINGS),
    "simulate": (TrafficConfig, simulate.SETTINGS),
    "sweep": (SweepConfig, sweep.SETTINGS),
}


def command_of(words: str) -> Any:
    name, *subcommand = words.split()
    return load(name).commands[subcommand[0]] if subcommand else load(name)


def every_command() -> Iterator[tuple[str, Any]]:
    for name in COMMANDS:
        command = load(name)
        yield from ((f"{name} {sub}", one) for sub, one in getattr(command, "commands", {"": command}).items())


def rows(table: Table) -> Iterator[tuple[str, str]]:
    yield from ((declared.split(" ")[0], path) for options in table.values() for declared, path in options.items())


ROWS = [
    pytest.param(words, option, path, id=f"{words} {option}")
    for words, (_, table) in TABLES.items()
    for option, path in rows(table)
]


def schema_of(kind: type[BaseModel], path: str) -> dict[str, Any]:
    """Return what the JSON schema, which makes the form of the Prefect UI, says of a setting."""
    schema = kind.model_json_schema()
    here = schema
    for name in path.split("."):
        if "$ref" in str(here) and "properties" not in here:
            reference = here.get("$ref") or next(item["$ref"] for item in here["anyOf"] if "$ref" in item)
            here = schema["$defs"][reference.rpartition("/")[2]]
        here = here["properties"][name]
    return here


def default_of(kind: type[BaseModel], path: str) -> Any:
    here: Any = ModelConfig(name="any") if path.startswith("*.") else kind()
    for name in path.removeprefix("*.").split("."):
        here = getattr(here, name)
    values = [
        value.name if hasattr(value, "name") else value for value in (here if isinstance(here, tuple) else [here])
    ]
    return values if isinstance(here, tuple) else values[0]


@pytest.mark.parametrize(("words", "option", "path"), ROWS)
def test_an_option_has_the_help_the_bounds_and_the_default_of_the_field_that_it_sets(
    words: str, option: str, path: str
) -> None:
    kind, _ = TABLES[words]
    schema = schema_of(ModelConfig, path.removeprefix("*.")) if path.startswith("*.") else schema_of(kind, path)
    [parameter] = [parameter for parameter in command_of(words).params if option in parameter.opts]

    description = " ".join(schema["description"].split())
    if option.startswith("--no-"):
        assert parameter.help == f"Turn off: {description[0].lower()}{description[1:]}"
        assert default_of(kind, path) is True
        assert parameter.default is False
        return
    names = schema.get("items", {}).get("enum")
    if names and "|" not in parameter.metavar:
        description += f" One of {', '.join(names)}."
    assert parameter.help.replace("\\[", "[").removesuffix(" Repeat the option for several.") == description
    assert parameter.multiple == (schema.get("type") == "array")
    assert parameter.default == default_of(kind, path)
    number = next(
        (item for item in [schema, *schema.get("anyOf", [])] if item.get("type") in ("integer", "number")), {}
    )
    low = [f"{number[key]}{sign}" for key, sign in (("minimum", "<="), ("exclusiveMinimum", "<")) if key in number]
    high = [f"{sign}{number[key]}" for key, sign in (("maximum", "<="), ("exclusiveMaximum", "<")) if key in number]
    shown = parameter.metavar or ""
    assert ("[" in shown) == bool(low or high)
    assert not number or f"[{''.join(low)}x{''.join(high)}]" in shown


class _Group(Settings):
    names: tuple[str, ...] = ("a",)
    """Names."""
    address: FilledText = ""
    """Where it is."""
    share: float = Field(default=0.5, gt=0, lt=1)
    """A share."""
    judged: bool = True
    """Whether it is judged."""


class _Config(Settings):
    group: _Group = Field(default_factory=_Group)


def _given(*words: str) -> Given | Exception | str:
    """Return what a command gets of these words, the error that it raises, or what it says of bad usage."""
    got: list[Given] = []
    app = typer.Typer()
    table = {
        "Group": {
            "--name NAME": "group.names", "--address URL": "group.address", "--share SHARE": "group.share",
            "--no-judge": "group.judged", "--rpm N": "*.rpm",
        }
    }  # fmt: skip

    @app.command()
    @offers(_Config, table)
    def command(given: Given, flag: bool = False) -> None:
        got.append(given)

    ended = CliRunner().invoke(app, list(words))
    return got[0] if got else ended.exception if isinstance(ended.exception, ConfigError) else ended.output


def test_a_command_gets_what_was_given_by_the_paths_of_the_settings_and_nothing_else() -> None:
    assert _given("--flag") == {}
    assert _given("--share", "0.5") == {"group.share": 0.5}, "given, though it is the default"
    assert _given("--name", "b", "--name", "c", "--no-judge", "--rpm", "7") == {
        "group.names": ["b", "c"], "group.judged": False, "*.rpm": 7,
    }  # fmt: skip


def test_what_a_field_does_not_take_is_refused_by_the_name_of_the_option_and_a_secret_is_not_repeated() -> None:
    assert "--share: Input should be less than 1" in str(_given("--share", "1"))
    assert "--rpm: Input should be greater than or equal to 1" in str(_given("--rpm", "0"))
    for words in (["--address", "https://me:hunter2@host"], ["--name", "https://me:hunter2@host"]):
        refused = _given(*words)
        assert isinstance(refused, ConfigError)
        assert words[0] in str(refused)
        assert "hunter2" not in str(refused)


def test_one_word_means_the_same_in_every_command() -> None:
    paths = defaultdict(set)
    for _, table in TABLES.values():
        for option, path in rows(table):
            paths[option].add(path)

    assert paths["--sample"] == {"data.sample"}, "a number of questions"
    assert paths["--share"] == {"judging.share"}, "a share"
    assert paths["--model"] == {"models"}, "who answers"
    assert paths["--judge"] == {"judge.model", "judging.model", "checker"}, "who judges"
    assert paths["--output"] == {"run.output", "output"}, "the folder of runs"


@pytest.mark.parametrize(("name", "command"), [pytest.param(*one, id=one[0]) for one in every_command()])
def test_every_command_has_an_example_that_can_be_called(name: str, command: Any) -> None:
    examples = [line for line in command.help.splitlines() if line.startswith("rageval ")]

    assert examples
    for example in examples:
        words = shlex.split(example.removeprefix(f"rageval {name}".strip()))
        command.make_context(name, words)  # raises for what does not exist


@pytest.mark.parametrize(
    ("words", "proposed"),
    [
        (["evalute"], "'evaluate'"),
        (["evaluate", "--modle", "m"], "--model"),
        (["ground-truth", "genrate"], "'generate'"),
    ],
)
def test_what_is_misspelt_is_answered_with_what_may_be_meant(
    words: list[str], proposed: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["rageval", *words])
    with pytest.raises(SystemExit) as ended:
        main.main()

    assert ended.value.code == 2
    assert proposed in capfd.readouterr().err
