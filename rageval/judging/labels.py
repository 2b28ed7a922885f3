"""Rows of a file of human labels -> labels of a run's answers; a run's answers -> rows of such a file to fill in.

A label belongs to one answer of one run: the file's question_id and system name it, and where the file
repeats the answer, as the one that is made here does, it has to be the answer of this run.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from rageval.corpus.checks import check_columns
from rageval.corpus.rows import RowFile
from rageval.metrics.correctness import ANSWER_LABELS
from rageval.text.fingerprint import digest
from rageval.text.formulas import safe_cell

LABEL_COLUMNS: Final = ("question_id", "system", "label")
OPTIONAL_COLUMNS: Final = ("answer",)
TEMPLATE_COLUMNS: Final = ("question_id", "system", "question", "reference", "answer", "label")

_COMPARED_CHARS: Final = 500

AnswerKey: TypeAlias = tuple[str, str]
"""question_id, system."""


@dataclass(frozen=True, kw_only=True)
class HumanLabel:
    """What a person thinks of one answer."""

    question_id: str
    system: str
    label: str
    """RELEVANT, PARTLY_RELEVANT or NON_RELEVANT."""


@dataclass(frozen=True, kw_only=True)
class LabelledRun:
    """What labels can belong to."""

    questions: frozenset[str]
    """Ids of all questions of the run."""
    systems: frozenset[str]
    """Names of all systems of the run."""
    answers: Mapping[AnswerKey, str | None]
    """The answers that were asked for; None where there is none."""


@dataclass(frozen=True, kw_only=True)
class CheckedLabels:
    """The labels of a file, what was left out, and the rows that are no labels."""

    labels: tuple[HumanLabel, ...]
    notes: tuple[str, ...]
    problems: tuple[str, ...]


def check_labels(file: RowFile, answered: LabelledRun) -> CheckedLabels:
    """Return the labels of a file.

    A row with an empty label is not filled in yet, and one of a question that the system was not asked, or failed to
    answer, has nothing to be compared with: both are left out and counted in a note. Labels are read whatever their
    case. Identical rows become one.

    Args:
        file: Rows with question_id, system and label; with answer where it should be checked that the label belongs to
            the answer of this run.
        answered: The run's questions, systems and answers.

    Raises:
        DataError: If the file has no rows, or no row has one of the columns.
    """
    check_columns(file, LABEL_COLUMNS)
    problems = list(file.problems)
    labels: dict[AnswerKey, HumanLabel] = {}
    places: dict[AnswerKey, str] = {}
    empty = unanswered = 0
    for row in file.rows:
        values = {column: _text(row.values.get(column)) for column in (*LABEL_COLUMNS, *OPTIONAL_COLUMNS)}
        if not values["label"]:
            empty += 1
            continue
        label, reasons = _label(values, answered)
        key = (label.question_id, label.system)
        earlier = labels.get(key)
        if not reasons and earlier and earlier != label:
            reasons = [f"the same answer stands at {places[key]} with {earlier.label}: decide on one"]
        problems += [f"{file.name}, {row.place}: {reason}" for reason in reasons]
        if reasons:
            continue
        if answered.answers.get(key) is None:
            unanswered += 1
        else:
            labels[key] = label
            places.setdefault(key, row.place)
    return CheckedLabels(
        labels=tuple(labels.values()), notes=tuple(_notes(file.name, empty, unanswered)), problems=tuple(problems)
    )


def template_rows(
    questions: Mapping[str, Mapping[str, Any]], answered: LabelledRun, n: int, seed: int
) -> list[dict[str, str]]:
    """Return answers to be labelled: a random sample with as many of each system.

    An answer is drawn by a hash of the seed and its key, whatever the order of the rows, so within a system every
    answer is as likely, which is what the corrected share asks for. The rows come in a random order too.

    Args:
        questions: The run's questions by id, each with `question` and `references`.
        answered: The run's answers.
        n: Rows wanted, at least 1; all answers if there are fewer.
        seed: Another one draws other answers.

    Returns:
        Rows of `TEMPLATE_COLUMNS` whose texts no spreadsheet takes for a formula, with an empty label.
    """
    groups: dict[str, list[AnswerKey]] = {}
    for key, answer in answered.answers.items():
        if answer is not None:
            groups.setdefault(key[1], []).append(key)
    drawn: list[AnswerKey] = []
    for place, keys in enumerate(sorted(groups.values(), key=len)):  # small groups first: others fill what they lack
        wanted = -(-(n - len(drawn)) // (len(groups) - place))
        drawn += heapq.nsmallest(wanted, keys, key=lambda key: digest(str(seed), *key))
    return [
        {
            "question_id": key[0],
            "system": safe_cell(key[1]),
            "question": safe_cell(questions[key[0]]["question"]),
            "reference": safe_cell("\n\n".join(questions[key[0]]["references"])),
            "answer": safe_cell(answered.answers[key] or ""),
            "label": "",
        }
        for key in sorted(drawn, key=lambda key: digest(str(seed), "order", *key))
    ]


def _label(values: Mapping[str, str], answered: LabelledRun) -> tuple[HumanLabel, list[str]]:
    """Return the label that a row states, and what is wrong with it."""
    question_id, system = values["question_id"], _known(values["system"], answered.systems)
    label = values["label"].upper().replace(" ", "_").replace("-", "_")
    reasons = []
    if question_id not in answered.questions:
        reasons.append(f"question_id {question_id[:80] or '(empty)'} is not in the run's questions")
    if system not in answered.systems:
        known = ", ".join(sorted(answered.systems))
        reasons.append(f"system {system[:80] or '(empty)'} is not one of the run's: {known[:300]}")
    if label not in ANSWER_LABELS:
        reasons.append(f"label is {values['label'][:40]}, expected one of {', '.join(ANSWER_LABELS)}")
    answer = answered.answers.get((question_id, system))
    if not reasons and values["answer"] and answer is not None and _skeleton(values["answer"]) != _skeleton(answer):
        reasons.append(
            "its answer is not the one of this run: a label belongs to the answer that was read; remove the column "
            "`answer` if the label holds for the new one too"
        )
    return HumanLabel(question_id=question_id, system=system, label=label), reasons


def _known(name: str, names: Iterable[str]) -> str:
    """Return the name without the apostrophe that `safe_cell` has put before it."""
    return name[1:] if name not in names and name.startswith("'") else name


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _skeleton(text: str) -> str:
    """Return the letters and digits alone: a spreadsheet changes quotes, spaces and line ends on its way."""
    return "".join(char for char in text.casefold() if char.isalnum())[:_COMPARED_CHARS]


def _notes(name: str, empty: int, unanswered: int) -> Iterator[str]:
    if empty:
        yield f"{name}: {empty:,} rows without a label were left out"
    if unanswered:
        yield f"{name}: {unanswered:,} labels of answers that the run does not have were left out"
