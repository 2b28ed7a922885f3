"""All questions of a ground truth -> those that a run asks: those of one filter value, or a sample drawn by hashes."""

import heapq
from collections.abc import Collection, Iterable, Sequence

from rageval.corpus.messages import count, listed
from rageval.errors import ConfigError, DataError
from rageval.records import Question
from rageval.text.fingerprint import digest


def select_questions(
    questions: Sequence[Question],
    values: Iterable[str],
    *,
    filter_by: str,
    only: str,
    sample: int | None,
    seed: int,
    first: Collection[str] = (),
) -> tuple[Question, ...]:
    """Return the questions with the value, or as many of them as the sample asks for, in their order.

    A question is drawn by a hash of the seed and its id. So the same seed draws the same questions whatever
    the order of the rows, and a file that grows changes the sample only where new questions displace old ones.

    Args:
        questions: All questions.
        values: What the documents have in the column that restricts the search.
        filter_by: That column.
        only: The only value wanted; empty for all.
        sample: How many questions are wanted; None for all.
        seed: Decides which ones.
        first: Ids of questions that are drawn before all others.

    Raises:
        ConfigError: If no document has the value, or the sample is larger than the set.
        DataError: If no question has it.
    """
    check_only(values, filter_by, only)
    wanted = [question for question in questions if only in ("", question.filter_value)]
    if not wanted:
        asked = sorted({question.filter_value for question in questions})
        raise DataError(
            f'the ground truth has no question whose {filter_by} is "{only}" (data.only); it has questions of: '
            f"{listed(asked)}; name one of these, or add questions"
        )
    if sample is None:
        return tuple(wanted)
    if sample > len(wanted):
        raise ConfigError(
            f"data.sample is {sample}, but there are only {count(len(wanted), 'question')}"
            f"{f' whose {filter_by} is {only}' if only else ''}; name at most that many, or leave it empty for all"
        )

    def place(question: Question) -> tuple[bool, str]:
        return question.question_id not in first, digest(str(seed), question.question_id)

    last = heapq.nsmallest(sample, map(place, wanted))[-1]
    return tuple(question for question in wanted if place(question) <= last)


def check_only(values: Iterable[str], filter_by: str, only: str) -> None:
    """Make sure that some document has the value that is wanted alone.

    Args:
        values: What the documents have in the column.
        filter_by: The column.
        only: The only value wanted; empty for all.

    Raises:
        ConfigError: If none has it.
    """
    known = sorted(set(values))
    if only and only not in known:
        raise ConfigError(
            f'`only` is "{only}", but no document has that {filter_by}; the documents have: {listed(known)}; name '
            "one of these, or leave it empty for all"
        )
