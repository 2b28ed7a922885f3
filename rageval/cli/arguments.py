"""Arguments and options of several commands that are no settings, so that a word means the same everywhere."""

from pathlib import Path
from typing import Annotated

import typer

from rageval.cli.options import RUN
from rageval.config.file import read_settings
from rageval.config.overrides import Settings
from rageval.text.terminal import console

ConfigFile = Annotated[
    Path | None, typer.Argument(help="YAML file of settings; see examples/configs.", metavar="[CONFIG.yaml]")
]
EvaluationFile = Annotated[
    Path | None,
    typer.Argument(
        help="YAML file of settings; see examples/configs.  (default: rageval.yaml, if it is there)",
        metavar="[CONFIG.yaml]",
    ),
]
RunFolder = Annotated[
    str, typer.Argument(help="Folder or URL of a run, such as runs/demo or s3://bucket/runs/demo.", metavar="RUN")
]
Assignments = Annotated[
    list[str],
    typer.Option(
        "--set",
        help="Any other setting by its path in the file; the value is YAML. Repeat the option for several.",
        metavar="GROUP.KEY=VALUE",
        rich_help_panel=RUN,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Say how many calls, tokens and dollars it would take, and send nothing.",
        rich_help_panel=RUN,
    ),
]
Debug = Annotated[
    bool, typer.Option("--debug", help="Show Prefect's logs, and the traceback of an error.", rich_help_panel=RUN)
]


def evaluation_settings(config: Path | None) -> Settings:
    """Return the settings of a file, else of the working folder's rageval.yaml, else none.

    Raises:
        ConfigError: If the file cannot be used.
    """
    here = Path("rageval.yaml")
    if config is None and here.exists():
        console.print(f"Settings: {here}", highlight=False)
        config = here
    return read_settings(config) if config else {}
