"""`rageval init`: a folder -> settings and a prompt to begin with, which run as they are."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from rageval.errors import ConfigError
from rageval.text.terminal import console, plain

_SETTINGS = """\
# `rageval evaluate rageval.yaml --dry-run` says what it would take; without --dry-run it is done.
data:
  documents: sample:documents      # your file: JSON, JSONL, CSV or Parquet with id and text, and any other columns
  ground_truth: sample:questions   # your file: CSV, JSONL or Parquet with question and document (its id)
  sample: 10                       # ask so many; leave it out for all
retrievers: [vector, text]         # the first one supplies the contexts of the answers
prompts:                           # every model answers with every prompt
  - default
  - prompts/mine.md
models: [local]                    # the embedded one, to try it; then names of models at your endpoint
# models:
#   - {name: gpt-5-mini}           # the key is in OPENAI_API_KEY
#   - {name: mine, base_url: "http://127.0.0.1:8000/v1", api_key_env: MY_KEY, rpm: 600}
metrics: [correctness, cosine]
"""


def init(
    folder: Annotated[str, typer.Argument(help="Where they are written; made if it is not there.")] = ".",
) -> None:
    """Write what an evaluation begins with: settings and a prompt, to be changed.

    They run as they are, on the sample corpus with the embedded model. A file that
    is there already is never replaced.

    Example:

    rageval init
    """
    target = Path(folder)
    prompt = (files("rageval.systems") / "prompts" / "default.md").read_text("utf-8")
    wanted = {target / "rageval.yaml": _SETTINGS, target / "prompts" / "mine.md": prompt}
    if there := [path for path in wanted if path.exists()]:
        raise ConfigError(f"{there[0]} is there already; move it away, or name another folder")
    for path, text in wanted.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{path} cannot be written ({error.strerror}); name another folder") from None
        console.print(f"Wrote {plain(str(path))}", highlight=False)
    inside = "" if target == Path() else f"cd {plain(folder)} && "
    console.print(f"Next: {inside}rageval evaluate rageval.yaml --dry-run", highlight=False)
