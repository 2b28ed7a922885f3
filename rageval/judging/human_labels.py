"""A CSV of human labels <-> labels of a run's answers."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from rageval.corpus.files import read_rows
from rageval.corpus.messages import raise_problems
from rageval.errors import ConfigError, DataError
from rageval.judging.labels import (
    LABEL_COLUMNS,
    OPTIONAL_COLUMNS,
    TEMPLATE_COLUMNS,
    CheckedLabels,
    LabelledRun,
    check_labels,
)
from rageval.safety.urls import shown
from rageval.storage.files import replacing


def read_labels(path: str, answered: LabelledRun) -> CheckedLabels:
    """Return the labels of a file; CSV, and any other format that ground truth can have.

    Args:
        path: Path or URL of the file.
        answered: The run that the labels belong to.

    Raises:
        DataError: If the file cannot be read, a row is bad (all of them are listed together, with file, row and
            reason), or no row has a label.
    """
    checked = check_labels(read_rows(path, LABEL_COLUMNS, OPTIONAL_COLUMNS), answered)
    raise_problems(checked.problems)
    if not checked.labels:
        raise DataError(
            f"{shown(path)}: no row has a label of an answer of this run; fill in the column `label` with "
            "RELEVANT, PARTLY_RELEVANT or NON_RELEVANT"
        )
    return checked


def write_template(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Write a CSV for people to fill in; it starts with a byte order mark, by which spreadsheets know UTF-8.

    Raises:
        ConfigError: If the file is there already: it may hold labels that nobody wants to write again.
        RunStoppedError: If it cannot be written.
    """
    if path.exists():
        raise ConfigError(f"{path} is there already, and its labels would be lost; give another name or remove it")
    if path.suffix.lower() != ".csv":
        raise ConfigError(f"expected the name of a CSV file, got {path}; end it with .csv")
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8-sig", errors="replace", newline="") as file:
        writer = csv.DictWriter(file, TEMPLATE_COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
