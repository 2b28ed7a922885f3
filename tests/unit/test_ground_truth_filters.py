"""Which generated questions are kept, and the reason that each of the others is dropped for."""

import numpy as np

from rageval.ground_truth import filters
from rageval.ground_truth.filters import Draft, filter_near, filter_texts
from tests.unit.test_audit_documents import document


def drafts(key: str, *questions: str, course: str = "a", text: str = "It is.") -> list[Draft]:
    source = document(key, course=course, text=text)
    return [Draft(document=source, number=n, question=question) for n, question in enumerate(questions, start=1)]


def test_each_filter_gives_its_reason() -> None:
    given = [
        *drafts("1", "Too short?", "How would I begin this course?", "how would I begin this course"),
        *drafts("2", "Where is the list of all dates?", "Which of these do you like best?"),
        *drafts("3", "where is the list of all dates", text="x"),
        *drafts("4", "Where is the list of all dates?", course="b"),
        *drafts("5", "do install it from the given folder", text="First do install it from the given folder."),
        Draft(document=document("6"), number=0, question=None, status="failed", reason=filters.NO_REPLY),
    ]
    found = filter_texts(given, fewest_words=4, filter_by="course")
    assert [draft.reason for draft in found] == [
        filters.TOO_SHORT, None, filters.REPEATED,
        filters.AMBIGUOUS, None,
        filters.AMBIGUOUS,
        None,  # of another course: no search meets both documents
        filters.COPIED,
        filters.NO_REPLY,
    ]  # fmt: skip
    assert found[3].detail == "3"
    assert found[-1].status == "failed"


def test_near_questions_of_one_document_keep_the_first_and_those_of_two_documents_none() -> None:
    given = [*drafts("1", "q1", "q2", "q3"), *drafts("2", "q4", "q5"), *drafts("3", "q6", course="b")]
    given[2] = Draft(document=given[2].document, number=3, question="q3", status="dropped", reason=filters.TOO_SHORT)
    # Only the kept ones have vectors. q1 and q2 are close, and so are q5 and q6, which belong to different courses.
    vectors = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]], np.float32)
    found = filter_near(given, vectors, 0.9, "course")
    assert [draft.reason for draft in found] == [None, filters.NEAR, filters.TOO_SHORT, None, None, None]

    # Now q4 is close to q1: either document may be right for either question.
    vectors[2] = [1, 0, 0]
    found = filter_near(given, vectors, 0.9, "course")
    assert [draft.reason for draft in found] == [
        filters.NEAR_OTHER, filters.NEAR_OTHER, filters.TOO_SHORT, filters.NEAR_OTHER, None, None,
    ]  # fmt: skip
    assert found[0].detail == "2: q4 (cosine 1.000)"


def test_of_a_chain_of_close_questions_only_those_close_to_a_kept_one_go() -> None:
    angles = np.radians([0, 20, 40])  # cos 20 = 0.94, cos 40 = 0.77
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = filter_near(drafts("1", "q1", "q2", "q3"), vectors, 0.9)
    # q3 is close to q2 alone, which is gone.
    assert [draft.status for draft in found] == ["kept", "dropped", "kept"]


def test_reasons_are_counted_with_the_kept_ones_first() -> None:
    given = filter_texts(drafts("1", "a", "b", "Which of these is the right one?"), fewest_words=4)
    assert list(filters.count_reasons(given).items()) == [("kept", 1), (filters.TOO_SHORT, 2)]
