"""The names of the commands -> what `rageval --help` lists, and each command itself once it is called.

A command is the function of its name in the module of its name, or a group of commands, `app`, in it.
"""

import ast
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

EXIT_STATUS: Final = (
    "Exit status: 0 done, 1 the gate failed or the audit found an error, 2 bad usage or bad input, "
    "3 run incomplete but saved, 4 a fault of the program, 130 Ctrl-C."
)
_PANELS: Final = {
    "Evaluate": ("init", "evaluate", "score", "index", "sweep", "try-system"),
    "Documents and questions": ("audit", "ground-truth"),
    "A run": ("inspect", "report", "rescore", "labels", "prune"),
    "Several runs": ("compare", "gate", "accept", "history"),
    "Serve": ("serve", "chat", "server"),
    "Monitor": ("monitor", "feedback", "dashboard", "publish", "simulate"),
}
COMMANDS: Final[Mapping[str, str]] = {name: panel for panel, names in _PANELS.items() for name in names}
"""Every command, in the order of the list, and the heading that it stands under."""
_MODULES: Final = {"inspect": "inspection"}
"""Where a module cannot bear the command's name, since one of Python's own does."""


class CommandGroup(TyperGroup):
    """All commands, none of them loaded before it is called: the libraries that they need take seconds."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {name: _LazyCommand(name=name, rich_help_panel=panel) for name, panel in COMMANDS.items()}

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command with what the list says of it."""
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            command.help = _summary(cmd_name)
        return command


class _LazyCommand(TyperCommand):
    """A command in the list; its arguments and options are known once it is called."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        return load(str(self.name)).make_context(info_name, args, parent, **extra)


def load(name: str) -> Any:
    """Return a command, or a group of them, with everything that its help shows."""
    module = import_module(_module(name))
    app = getattr(module, "app", None)
    if app is None:
        app = typer.Typer(add_completion=False, rich_markup_mode="rich")
        app.command(name)(getattr(module, _function(name)))
    command = typer.main.get_command(app)
    for one in (command, *getattr(command, "commands", {}).values()):
        one.help, one.epilog = _paragraphs(one.help or ""), EXIT_STATUS
        for flag in [parameter for parameter in one.params if getattr(parameter, "is_flag", False)]:
            flag.metavar = ""  # typer shows a type, as if the flag took a value
    return command


def _summary(name: str) -> str:
    """Return the first paragraph of a command's docstring, read from the source: importing it may take a second."""
    spec = find_spec(_module(name))
    tree = ast.parse(Path(str(spec and spec.origin)).read_text(encoding="utf-8"))
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == _function(name))
    return _paragraphs(ast.get_docstring(next(functions)) or "").partition("\n\n")[0]


def _paragraphs(docstring: str) -> str:
    """Return a docstring without the breaks of its lines, which are those of the source and not of a terminal."""
    return "\n\n".join(" ".join(part.split()) for part in docstring.split("\n\n"))


def _function(name: str) -> str:
    return name.replace("-", "_")


def _module(name: str) -> str:
    return f"rageval.cli.{_MODULES.get(name, _function(name))}"
