"""What is wrong with the rows of a corpus, or was merged in them, in words."""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from rageval.corpus.rows import RowFile
from rageval.errors import DataError

MAX_SHOWN = 20
"""The most problems, places or names that a message lists; the others are counted."""
_FEW = 3
_DETAIL = re.compile(r" \((?:found|document) .*\)$", re.DOTALL)
"""What may differ between problems with the same cause."""


def raise_problems(problems: Sequence[str]) -> None:
    """Raise one error that shows the first problems and counts the others; do nothing if there are none.

    Rows of a file with the same thing wrong share a line.

    Raises:
        DataError: If there is a problem.
    """
    if not problems:
        return
    causes: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for problem in problems:
        place, _, reason = problem.partition(": ")
        causes[place.rpartition(", ")[0] if reason else place, _DETAIL.sub("", reason)].append(problem)
    shown = [_with_the_same_cause(members) for members in causes.values()]
    if len(shown) > MAX_SHOWN:
        left_out = sum(map(len, list(causes.values())[MAX_SHOWN:]))
        shown[MAX_SHOWN:] = [f"and {left_out} more"]
    head = f"{count(len(problems), 'problem')} in the input; correct or remove these rows and start again:"
    raise DataError("\n  ".join([head, *shown]))


def _with_the_same_cause(problems: Sequence[str]) -> str:
    first, *others = problems
    if not others:
        return first
    places = [problem.partition(": ")[0].rpartition(", ")[2] for problem in others]
    return f"{first}; the same in {count(len(others), 'more row')}: {listed(places)}"


def files_apart(file: RowFile, known: Collection[str]) -> str | None:
    """Return what is wrong with a ground truth of which no row names a document, or None.

    Args:
        file: The ground truth.
        known: The ids of the documents, at least one.
    """
    named = [str(row.values.get("document")) for row in file.rows]
    if len(named) < _FEW or not set(named).isdisjoint(known):
        return None
    return (
        f"{file.name}: none of its {len(named):,} rows names an id of the documents: they name {named[0][:40]}, ..., "
        f"the documents are {next(iter(known))[:40]}, ...; give files that belong together"
    )


def merged_documents(merged: Mapping[str, int]) -> tuple[str, ...]:
    """Return a note on documents that stand several times, given how often each stands again; none without any."""
    if not merged:
        return ()
    times = "twice" if set(merged.values()) == {1} else "several times"
    verbs = ("stands", "was") if len(merged) == 1 else ("stand", "were")
    return (
        f"{count(len(merged), 'document')} {verbs[0]} {times} with the same content and {verbs[1]} merged: "
        f"{listed(list(merged))}",
    )


def continued_document(file: RowFile, document_id: str, first: str, second: str) -> str:
    """Return a note on a document that stands at two places, with a longer text at one of them."""
    return (
        f"1 document stands twice and one of its texts has more lines at the end, which was kept: {document_id} "
        f"({file.name}, {first} and {second})"
    )


def repeated_rows(file: RowFile, places: Sequence[str]) -> tuple[str, ...]:
    """Return a note on the places of ground-truth rows that repeat an earlier one; none without any."""
    if not places:
        return ()
    verbs = ("repeats", "was") if len(places) == 1 else ("repeat", "were")
    return (
        f"{count(len(places), 'ground-truth row')} {verbs[0]} an earlier row and {verbs[1]} merged with it: "
        f"{file.name}, {listed(places)}",
    )


def count(number: int, noun: str) -> str:
    """Return `1 row`, `2 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    """Return the names with commas between them, the first `MAX_SHOWN` of them."""
    more = f" and {len(names) - MAX_SHOWN} more" if len(names) > MAX_SHOWN else ""
    return ", ".join(names[:MAX_SHOWN]) + more
