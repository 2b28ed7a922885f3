"""`sample:documents` and `sample:questions` -> the files of the sample corpus that comes with the package."""

from importlib.resources import files
from pathlib import Path
from typing import Final

from rageval.errors import DataError

SAMPLE: Final = "sample:"
DOCUMENTS: Final = f"{SAMPLE}documents"
QUESTIONS: Final = f"{SAMPLE}questions"
_FILES: Final = {DOCUMENTS: "documents.json", QUESTIONS: "ground-truth.csv"}


def sample_file(name: str) -> Path:
    """Return a file of the sample corpus.

    Args:
        name: `DOCUMENTS` or `QUESTIONS`.

    Raises:
        DataError: If there is none of this name.
    """
    if name not in _FILES:
        raise DataError(f"{name}: there is no such sample; known are {', '.join(_FILES)}")
    return examples() / "faq" / _FILES[name]


def examples() -> Path:
    """Return the folder of examples: inside an installed package, beside it in a checkout."""
    package = Path(str(files("rageval")))
    installed = package / "examples"
    return installed if installed.is_dir() else package.parent / "examples"
