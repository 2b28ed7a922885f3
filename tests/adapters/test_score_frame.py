"""`rageval.score`: answers of whoever gave them, scored without a run."""

import pandas as pd
import pytest

import rageval
from rageval.errors import ConfigError, DataError, RagevalError
from tests.fake_llm import VERDICT, FakeLLM

FRAME = pd.DataFrame(
    {
        "question": ["When does it start?", "Where is it?", "Who pays?"],
        "answer": ["On the 15th of January.", "I do not know.", None],
        "reference": ["On the 15th of January.", "In Berlin.", "You do."],
        "contexts": [["It starts on the 15th."], [], ["You pay."]],
    },
    index=["a", "b", "c"],
)


def value_of(scores: pd.DataFrame, row: str, metric: str) -> float:
    found: float = scores.set_index(["row", "metric"]).loc[(row, metric), "value"]
    return found


def test_every_answer_has_a_row_of_each_metric_that_the_columns_allow_and_one_without_answer_says_so() -> None:
    scores = rageval.score(FRAME)
    assert set(scores["metric"]) == {"cosine", "rouge_l", "exact_match", "fuzzy_match", "refusal", "answer_words"}
    assert len(scores) == 3 * 6
    assert value_of(scores, "a", "exact_match") == 1
    assert value_of(scores, "a", "cosine") == pytest.approx(1)
    assert value_of(scores, "b", "refusal") == 1
    assert set(scores.loc[scores["row"] == "c", "status"]) == {"skipped"}
    assert scores.loc[scores["row"] == "c", "error"].notna().all()
    without = rageval.score(FRAME[["question", "answer"]])
    assert set(without["metric"]) == {"refusal", "answer_words"}
    assert scores.attrs["cost_usd"] == 0


def test_a_cosine_of_which_the_model_has_read_only_the_beginning_says_so() -> None:
    long = FRAME.assign(reference="word " * 2000).loc[["a"]]
    scores = rageval.score(long, metrics=["cosine", "rouge_l"]).set_index("metric")
    assert "reference" in scores.loc["cosine", "reason"]
    assert scores.loc["rouge_l", "reason"] is None


def test_the_judge_sees_what_each_metric_shows_and_is_asked_for_no_answer_that_is_not_there(llm: FakeLLM) -> None:
    llm.reply = lambda body: VERDICT if "It starts" in str(body) else "no verdict"
    scores = rageval.score(FRAME, metrics=["faithfulness", "relevance"], judge="m1", base_url=llm.url)
    assert len(llm.requests) == 4
    assert list(scores["metric"]) == ["relevance"] * 3 + ["faithfulness"] * 3
    by_key = scores.set_index(["row", "metric"])
    assert by_key.loc[("b", "relevance"), "status"] == "unscored"
    assert by_key.loc[("c", "relevance"), "status"] == "skipped"
    assert set(scores["judge_model"]) == {"m1"}
    shown = [str(body["messages"]) for body in llm.requests]
    assert sum("It starts on the 15th." in text for text in shown) == 1


@pytest.mark.parametrize(
    ("frame", "options", "words"),
    [
        (FRAME[["answer"]], {}, "no column question"),
        (FRAME[["question", "answer"]], {"metrics": ["cosine"]}, "cosine needs the column reference"),
        (FRAME, {"metrics": ["correctness"]}, "correctness needs a judge"),
        (FRAME, {"metrics": ["psychic"]}, "psychic: no such metric"),
        (FRAME.assign(contexts="text"), {}, "row a: contexts has to be a list of texts"),
        (FRAME.assign(question=[1, 2, 3]), {}, "row a: question has to be a text, and is int"),
    ],
)
def test_what_cannot_be_scored_is_named(frame: pd.DataFrame, options: dict[str, list[str]], words: str) -> None:
    with pytest.raises(RagevalError, match=words) as raised:
        rageval.score(frame, **options)  # type: ignore[arg-type]
    assert isinstance(raised.value, ConfigError | DataError)
