"""What counts as an answer that says it does not know, and what only looks like one."""

import numpy as np
import pytest

from rageval.metrics.refusal import refusals


@pytest.mark.parametrize(
    "answer",
    [
        "I don't know.",
        "I do not know",
        "I don\u2019t know the answer to that question.",
        "I'm sorry, but I don't know if you can still join the course.",
        "I am sorry. I do not know.",
        "Unfortunately, I do not know when the next cohort starts.",
        "Based on the FAQ entries, I do not know whether a certificate is given.",
        "I don't know, but you can ask in Slack.",
        "The FAQ does not mention a deadline for the second homework.",
        "The provided context doesn't contain that information.",
        "The FAQ entries provided do not specify how long the videos are.",
        "None of the documents mention this.",
        "There is no information about refunds in the FAQ entries.",
        "I cannot find the answer in the FAQ.",
        "I couldn't find any information on that.",
        "I don't have enough information to answer this.",
        "I have no information about that.",
        "Unknown.",
        "The answer is not given in the context.",
        "This question cannot be answered from the FAQ.",
        "**I don't know.**",
        "You could try to restart it. I don't know.",
        "Answer: I do not know.",
    ],
)  # fmt: skip
def test_an_answer_that_says_it_does_not_know_is_a_refusal(answer: str) -> None:
    assert refusals([answer]).tolist() == [1.0]


@pytest.mark.parametrize(
    "answer",
    [
        "",
        " \n",
        "Yes, you can still join after the start date.",
        "I don't know why you would need that, use `pip install`.",
        "I don't know how anyone could finish it in a day, so start early.",
        "If you don't know the answer, ask in Slack.",
        "Students who do not know Python should take another course first.",
        "Press the button \"I don't know\" in the form.",
        "You do not know the password yet: it is sent by mail.",
        "The form does not have a save button; submit it at the end.",
        "There is no deadline for the project.",
        "There are no prerequisites.",
        "The certificate does not mention your grade.",
        "Docker does not contain a GUI; use the terminal.",
        "The course uses Docker. The FAQ does not say which version.",
        "It is unknown whether the host is reachable if the port is closed, so open it.",
        "No, the homework is not graded.",
        "The documents folder does not contain the data: download it first.",
        "I cannot stress enough that you should commit the lock file.",
        "We do not accept late submissions.",
        "Das weiss ich nicht.",  # another language: out of scope, and documented as such
    ],
)  # fmt: skip
def test_what_only_looks_like_it_is_none(answer: str) -> None:
    assert refusals([answer]).tolist() == [0.0]


@pytest.mark.parametrize("answer", ["我不知道。", "请在 Slack 里问。", "Не знаю.", "ไม่ทราบ", "모르겠습니다."])
def test_an_answer_in_another_script_has_no_value(answer: str) -> None:
    assert np.isnan(refusals([answer])).tolist() == [True]


def test_a_column_keeps_its_order_and_an_empty_one_is_empty() -> None:
    assert refusals(["I don't know.", "Yes.", "I don't know."]).tolist() == [1.0, 0.0, 1.0]
    assert refusals([]).shape == (0,)


def test_a_hostile_text_is_read_in_linear_time() -> None:
    # Each repeats what a pattern may begin with; backtracking over the pieces would take for ever.
    pieces = ("sorry ", "i don't have the ", "the faq entry ", "based on the ", "- * _ ", "there is no ", "\n")
    assert refusals([piece * 20_000 for piece in pieces]).sum() <= len(pieces)
