"""`rageval init`: a folder -> settings, data and a schedule to begin with, which run as they are."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from rageval.errors import ConfigError
from rageval.text.terminal import console, plain

Kind = Literal["demo", "recorded", "http", "python"]
_DEFAULT_PROMPT: Final = "../../systems/prompts/default.md"
_EVERYWHERE: Final = {"prefect.yaml": "prefect.yaml", ".gitignore": "gitignore"}
_QUESTIONS: Final = {"questions.csv": "toy/questions.csv"}
_TOY: Final = {**_QUESTIONS, "documents.jsonl": "toy/documents.jsonl", "toy_rag.py": "toy/toy_rag.py"}
_OF_KIND: Final[dict[Kind, dict[str, str]]] = {
    "demo": {"prompts/mine.md": _DEFAULT_PROMPT},
    "recorded": {**_QUESTIONS, "answers.jsonl": "recorded/answers.jsonl"},
    "http": {**_TOY, "toy_service.py": "http/toy_service.py"},
    "python": _TOY,
}
"""Files of a kind beside rageval.yaml, and where each is a copy of."""
_FIRST: Final[dict[Kind, str]] = {
    "demo": "rageval evaluate --dry-run",
    "recorded": "",
    "http": "python toy_service.py &",
    "python": "",
}
"""What is to be done before it is evaluated."""


def init(
    folder: Annotated[
        str, typer.Argument(help="Where they are written; made if it is not there.", metavar="[DIR]")
    ] = ".",
    kind: Annotated[
        Kind,
        typer.Option(
            "--for",
            help="What is evaluated: our pipeline on the sample corpus, answers in a file, an HTTP endpoint, a Python "
            "function.",
        ),
    ] = "demo",
) -> None:
    """Write what an evaluation begins with: settings, questions and a schedule, to be changed.

    They run as they are: the demo with the embedded model, the others on a toy RAG that is written along, until they
    name your own. A file that is there already is never replaced.

    Examples:

    rageval init

    rageval init my-evaluation --for http
    """
    target = Path(folder)
    own = {"rageval.yaml": f"{kind}/rageval.yaml", **_OF_KIND[kind]}
    if there := [target / name for name in own if (target / name).exists()]:
        raise ConfigError(f"{there[0]} is there already; move it away, or name another folder")
    for name, source in (own | _EVERYWHERE).items():
        _write(target / name, source)
    commands = [f"cd {plain(folder)}" if target != Path() else "", _FIRST[kind], "rageval evaluate"]
    console.print("Next:", *filter(None, commands), sep="\n  ", highlight=False, soft_wrap=True)


def _write(path: Path, source: str) -> None:
    """Copy a file of the package, unless there is one already, which an evaluation can do without."""
    if path.exists():
        console.print(f"Kept {plain(str(path))}, which is there already", highlight=False, soft_wrap=True)
        return
    text = (files("rageval.cli") / "templates" / source).read_text("utf-8")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror}); name another folder") from None
    console.print(f"Wrote {plain(str(path))}", highlight=False, soft_wrap=True)
