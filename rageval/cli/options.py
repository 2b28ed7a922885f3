"""Arguments and options that several commands share, so that a word means the same everywhere."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from rageval.errors import ConfigError
from rageval.safety.credentials import variable_name
from rageval.safety.urls import check_location

DATA, MODELS, RUN = "Data", "Models", "Run"


def _checked(option: str, check: Callable[[str], str]) -> Callable[[str | None], str | None]:
    """Refuse a secret at once: a command that has no use for the option would repeat it when it says how to go on."""

    def look(value: str | None) -> str | None:
        try:
            return value and check(value)
        except ValueError as error:
            raise ConfigError(f"{option}: {error}") from None

    return look


without_secret = _checked("--base-url", check_location)
"""For options that take the address of an endpoint."""

ConfigFile = Annotated[
    Path | None, typer.Argument(help="YAML file of settings; see examples/configs.", metavar="[CONFIG.yaml]")
]
RunFolder = Annotated[
    str, typer.Argument(help="Folder or URL of a run, such as runs/demo or s3://bucket/runs/demo.", metavar="RUN")
]
Documents = Annotated[
    str | None,
    typer.Option(
        help="FAQ: JSON, JSONL, CSV or Parquet with id, course, section, question, text.  (default: the sample corpus)",
        metavar="PATH|URL",
        rich_help_panel=DATA,
    ),
]
GroundTruth = Annotated[
    str | None,
    typer.Option(
        help="Questions: CSV, JSONL or Parquet with question, course, document.",
        metavar="PATH|URL",
        rich_help_panel=DATA,
    ),
]
Seed = Annotated[int | None, typer.Option(help="Seed of the sample.  (default: 42)", rich_help_panel=DATA)]
ApiKeyEnv = Annotated[
    str | None,
    typer.Option(
        help="Name of the variable that holds the key.  (default: OPENAI_API_KEY)",
        metavar="VAR",
        callback=_checked("--api-key-env", variable_name),
        rich_help_panel=MODELS,
    ),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(
        help="OpenAI-compatible endpoint of all models but `local`.  (default: OPENAI_BASE_URL, else OpenAI)",
        metavar="URL",
        callback=without_secret,
        rich_help_panel=MODELS,
    ),
]
Rpm = Annotated[
    int | None,
    typer.Option(help="Requests a minute of each model.  (default: learnt from the server)", rich_help_panel=MODELS),
]
Tpm = Annotated[
    int | None,
    typer.Option(help="Tokens a minute of each model.  (default: learnt from the server)", rich_help_panel=MODELS),
]
MaxConcurrency = Annotated[
    int | None, typer.Option(help="Most requests in flight.  (default: 64)", rich_help_panel=MODELS)
]
SharedLimit = Annotated[
    str | None,
    typer.Option(
        help="Prefect global concurrency limit through which all runs and workers keep --rpm and --tpm together.",
        metavar="NAME",
        rich_help_panel=MODELS,
    ),
]
Dask = Annotated[
    str | None,
    typer.Option(
        help="Work on the chunks on the workers of this Dask cluster; needs --shared-limit and a Prefect server.",
        metavar="tcp://HOST:PORT",
        rich_help_panel=RUN,
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        help="Folder, or URL such as s3://bucket/runs, that holds one folder per run.  (default: runs)",
        metavar="DIR|URL",
        rich_help_panel=RUN,
    ),
]
RunId = Annotated[
    str | None, typer.Option(help="Name of the run; the name of an earlier run resumes it.", rich_help_panel=RUN)
]
Debug = Annotated[
    bool, typer.Option("--debug", help="Show Prefect's logs, and the traceback of an error.", rich_help_panel=RUN)
]
