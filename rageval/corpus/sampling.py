"""All questions of a ground truth -> those that a run asks: of one course, or a sample drawn by hashes."""

import heapq
from collections.abc import Collection, Iterable, Sequence

from rageval.corpus.messages import count, listed
from rageval.errors import ConfigError, DataError
from rageval.records import Question
from rageval.text.fingerprint import digest


def select_questions(
    questions: Sequence[Question],
    courses: Iterable[str],
    *,
    course: str,
    sample: int | None,
    seed: int,
    first: Collection[str] = (),
) -> tuple[Question, ...]:
    """Return the questions of the course, or as many of them as the sample asks for, in their order.

    A question is drawn by a hash of the seed and its id. So the same seed draws the same questions whatever
    the order of the rows, and a file that grows changes the sample only where new questions displace old ones.

    Args:
        questions: All questions.
        courses: The courses that the documents belong to.
        course: The only course wanted; empty for all.
        sample: How many questions are wanted; None for all.
        seed: Decides which ones.
        first: Ids of questions that are drawn before all others.

    Raises:
        ConfigError: If no document belongs to the course, or the sample is larger than the set.
        DataError: If the course has no questions.
    """
    known = sorted(set(courses))
    if course and course not in known:
        raise ConfigError(
            f'data.course is "{course}", to which no document belongs; known courses: {listed(known)}; '
            "name one of them, or leave it empty for all"
        )
    wanted = [question for question in questions if course in ("", question.course)]
    if not wanted:
        asked = sorted({question.course for question in questions})
        raise DataError(
            f'the ground truth has no question of data.course "{course}"; it has questions of: '
            f"{listed(asked)}; name one of these, or add questions"
        )
    if sample is None:
        return tuple(wanted)
    if sample > len(wanted):
        raise ConfigError(
            f"data.sample is {sample}, but there are only {count(len(wanted), 'question')}"
            f"{f' of course {course}' if course else ''}; name at most that many, or leave it empty for all"
        )

    def place(question: Question) -> tuple[bool, str]:
        return question.question_id not in first, digest(str(seed), question.question_id)

    last = heapq.nsmallest(sample, map(place, wanted))[-1]
    return tuple(question for question in wanted if place(question) <= last)
