"""Functions of one's own program as systems of `rageval.evaluate`, and a frame of questions."""

import asyncio
import threading
from pathlib import Path

import pandas as pd
import pytest

import rageval
from rageval.errors import ConfigError, DataError
from tests.fake_llm import FAITHFUL, FakeLLM

FRAME = pd.DataFrame(
    {
        "user_input": ["Who made it?", "When was it made?", "Was it sold?"],
        "reference": ["Ada made it.", "It was made in 1843.", None],
        "tier": ["a", "b", "b"],
    }
)
SAID = {"Who": "Ada made it.", "When": "It was made in 1844.", "Was": "I do not know."}
Seen = list[tuple[str, str]]


@pytest.fixture
def output(tmp_path: Path) -> str:
    return str(tmp_path / "runs")


def test_a_function_and_an_async_one_answer_the_questions_of_a_frame(output: str, llm: FakeLLM) -> None:
    seen: Seen = []

    def mine(question: str, metadata: dict[str, str]) -> rageval.Answer:
        seen.append((metadata["tier"], threading.current_thread().name))
        usage = {"prompt_tokens": 7, "completion_tokens": 2}
        return rageval.Answer(
            SAID[question.split(maxsplit=1)[0]], contexts=[rageval.Context(text="It is so.")], usage=usage
        )

    async def other(question: str) -> str:
        await asyncio.sleep(0)
        if question.startswith("When"):
            raise KeyError("no such year")
        return SAID[question.split(maxsplit=1)[0]]

    llm.reply = lambda _: FAITHFUL
    run = rageval.evaluate(
        {"run": {"max_failed_share": 0.5}}, questions=FRAME, systems={"mine": mine, "other": other},
        metrics=["exact_match", "faithfulness"], judge="m1", base_url=llm.url, output=output,
    )  # fmt: skip

    answers = run.answers()
    mine_rows = answers[answers["system"] == "mine"]
    assert mine_rows["answer"].tolist() == [*SAID.values()]
    assert mine_rows["prompt_tokens"].tolist() == [7, 7, 7]
    assert {name for _, name in seen} == {"rageval-call"}
    assert [tier for tier, _ in sorted(seen)] == ["a", "b", "b"]
    (failed,) = answers[answers["status"] == "failed"].to_dict("records")
    assert (failed["system"], failed["error"]) == ("other", "the function ended with KeyError: 'no such year'")
    means = run.summary().set_index(["system", "metric"])["mean"]
    assert means["mine", "exact_match"] == 0.5, "one of two answers whose reference is known"
    assert means["mine", "faithfulness"] == 1.0


def test_settings_stand_beside_functions_and_a_run_goes_on_with_the_same_names(output: str) -> None:
    asked: list[str] = []

    class Rag:
        def __call__(self, question: str) -> dict[str, object]:
            asked.append(question)
            return {"contexts": [{"id": "d1", "text": question}]}

    arguments = {
        "questions": FRAME[:2], "systems": {"mine": Rag()}, "metrics": ["exact_match"], "judge": "",
        "output": output, "run_id": "r1",
    }  # fmt: skip
    first = rageval.evaluate(**arguments)
    again = rageval.evaluate(**arguments)
    assert len(asked) == 2
    assert again.answers()["answer"].isna().all()
    assert first.path == again.path
    with pytest.raises(ConfigError, match="other"):
        rageval.evaluate(**{**arguments, "questions": FRAME})


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"systems": {"mine": 7}}, ConfigError, "the system 'mine' is of type int"),
        ({"systems": {"mine": lambda: "?"}}, ConfigError, "cannot be called with a question"),
        ({"systems": {"mine": {"kind": "http"}}}, ConfigError, "needs `url`"),
        ({"questions": FRAME[:0]}, DataError, "has no rows"),
        ({"questions": FRAME[["tier"]]}, DataError, "question"),
    ],
)
def test_what_cannot_be_used_is_refused(
    output: str, given: dict[str, object], error: type[Exception], words: str
) -> None:
    whole = {"questions": FRAME, "systems": {"mine": str.upper}, "metrics": ["exact_match"], "judge": ""}
    with pytest.raises(error, match=words):
        rageval.evaluate(output=output, **{**whole, **given})
