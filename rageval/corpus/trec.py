"""Files of TREC: qrels -> which documents are right for each question; runs -> what each system retrieved."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from rageval.corpus.items import RawContext, RawItem
from rageval.corpus.messages import raise_problems
from rageval.corpus.opening import opened
from rageval.corpus.packed import unpacking
from rageval.corpus.parquet_columns import refuse_rows
from rageval.corpus.row_stream import text_lines
from rageval.errors import DataError
from rageval.text.keys import plain_key

_QRELS: Final = ("question", "0", "document", "grade")
_RUN: Final = ("question", "Q0", "document", "rank", "score", "system")
_BEIR_HEADER: Final = ("query-id", "corpus-id", "score")
"""How qrels of BEIR begin, which have no second column."""


def read_qrels(path: str) -> tuple[RawItem, ...]:
    """Return which documents are right for each question, of qrels of TREC or BEIR.

    Args:
        path: Path or URL of the file, of any name: `question 0 document grade` a line, or BEIR's three columns with
            their header.

    Returns:
        An item for each question, in the file's order, with the documents of a grade of 1 or more; a question of which
        every document was judged wrong has none.

    Raises:
        DataError: If the file cannot be read, or a line is not of this form (all of them are listed together).
        ConfigError: If a variable of its URL is not set, or the run may not read it.
    """
    grades: dict[str, dict[str, int]] = {}
    problems: list[str] = []
    for place, fields in _lines(path):
        if tuple(fields) == _BEIR_HEADER:
            continue
        question, document, grade = (fields[0], fields[-2], fields[-1]) if len(fields) in {3, 4} else ("", "", "")
        if not _is_whole(grade):
            problems.append(f"{place}: expected {' '.join(_QRELS)}, found {' '.join(fields)[:80]}")
        elif grades.setdefault(question, {}).setdefault(document, int(grade)) != int(grade):
            problems.append(f"{place}: document {document} has another grade for question {question} further up")
    raise_problems(problems)
    return tuple(_judged(question, known) for question, known in grades.items())


def read_trec_run(path: str) -> tuple[RawItem, ...]:
    """Return what was retrieved for each question, of a run of TREC.

    As trec_eval does, documents are sorted by score in single precision, the highest first, those of the same score by
    id, the last in the alphabet first; the rank in the file does not count.

    Args:
        path: Path or URL of the file, of any name: `question Q0 document rank score system` a line.

    Returns:
        An item for each system and question, in the file's order, with ids and scores as contexts.

    Raises:
        DataError: If the file cannot be read, or a line is not of this form (all of them are listed together).
        ConfigError: If a variable of its URL is not set, or the run may not read it.
    """
    scores: dict[tuple[str, str], dict[str, float]] = {}
    problems: list[str] = []
    for place, fields in _lines(path):
        score = _number(fields[4]) if len(fields) == len(_RUN) else None
        if score is None:
            problems.append(f"{place}: expected {' '.join(_RUN)}, found {' '.join(fields)[:80]}")
            continue
        found = scores.setdefault((fields[5], fields[0]), {})
        if fields[2] in found:
            problems.append(f"{place}: document {fields[2]} stands twice in the results of question {fields[0]}")
        found[fields[2]] = score
    raise_problems(problems)
    return tuple(
        RawItem(question_id=question, system=system, contexts=tuple(_ranked(found)))
        for (system, question), found in scores.items()
    )


def _lines(path: str) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield the fields of each line that has any, with its place."""
    with opened(path, suffix=".txt") as file:
        is_empty = True
        for number, line in enumerate(text_lines(unpacking(file.file, file.name), file.name), start=1):
            refuse_rows(number, file.name)
            if fields := line.split():
                is_empty = False
                yield f"{file.name}, line {number}", [plain_key(field) for field in fields]
        if is_empty:
            raise DataError(f"{file.name}: the file is empty; expected lines of TREC")


def _judged(question: str, grades: Mapping[str, int]) -> RawItem:
    right = {document: grade for document, grade in grades.items() if grade > 0}
    return RawItem(question_id=question, relevant_ids=tuple(right), relevant_grades=tuple(right.values()))


def _ranked(scores: Mapping[str, float]) -> Iterator[RawContext]:
    with np.errstate(over="ignore"):
        single = np.array(list(scores.values()), dtype=np.float32).tolist()
    for _, document in sorted(zip(single, scores, strict=True), reverse=True):
        yield RawContext(id=document, score=scores[document])


def _is_whole(text: str) -> bool:
    return text.removeprefix("-").isdecimal() and text.isascii()


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if np.isfinite(number) else None
