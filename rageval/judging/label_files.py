"""A file of human labels -> table `labels` of a run; the run's answers -> a file of labels to fill in."""

from pathlib import Path

import pyarrow as pa

from rageval.errors import ConfigError, DataError
from rageval.judging.human_labels import read_labels, write_template
from rageval.judging.labels import LabelledRun, template_rows
from rageval.runs.inputs import question_ids
from rageval.runs.repeats import shown
from rageval.runs.run import Run
from rageval.tables import HUMAN_LABELS, SCORES


def give_labels(run: Run, path: str) -> tuple[str, ...]:
    """Store the labels of a file as the run's, in place of any that it had.

    Args:
        run: A run with answers.
        path: Path or URL of the file.

    Returns:
        A note on everything that was left out.

    Raises:
        DataError: If the file cannot be read or a row of it is bad.
    """
    checked = read_labels(path, _answered(run))
    run.write("labels", pa.Table.from_pylist([vars(label) for label in checked.labels], schema=HUMAN_LABELS))
    return checked.notes


def labels_of(run: Run, path: str) -> tuple[pa.Table, tuple[str, ...]]:
    """Return the run's labels, read first from a file; empty if there is none.

    Args:
        run: A run with answers.
        path: Path or URL of the file; empty for none.

    Returns:
        Table `tables.HUMAN_LABELS`, and notes: on rows that were left out, or on why the file cannot be used, which
        is no reason to have no report.
    """
    labels = run.read("labels") if run.has("labels") else HUMAN_LABELS.empty_table()
    if not path or labels.num_rows:
        return labels, ()
    try:
        notes = give_labels(run, path)
    except (DataError, ConfigError) as error:
        return labels, (f"The human labels could not be used: {error}",)
    return run.read("labels"), notes


def make_template(run: Run, path: Path, n: int, seed: int) -> int:
    """Write a random sample of the run's answers to a CSV file for people to label; returns how many.

    Raises:
        DataError: If the run has no answers.
        ConfigError: If the file is there already, or is no CSV file by its name.
    """
    questions = {row["question_id"]: row for row in run.read("questions").to_pylist()}
    rows = template_rows(questions, _answered(run), n, seed)
    if not rows:
        raise DataError(f"{run.folder} has no answers to label; run the evaluation first")
    write_template(path, rows)
    return len(rows)


def _answered(run: Run) -> LabelledRun:
    table, _ = shown(run.read("answers"), SCORES.empty_table())
    answers = table.select(["question_id", "system", "answer"]).to_pylist()
    return LabelledRun(
        questions=frozenset(question_ids(run)),
        systems=frozenset(run.read("systems")["system"].to_pylist()),
        answers={(row["question_id"], row["system"]): row["answer"] for row in answers},
    )
