"""A function as a retriever: what it may return, sync and async, and what becomes of its exceptions."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rageval.config.systems import RetrieverConfig
from rageval.records import Question
from rageval.search.function_search import FunctionSearch, read_hits
from rageval.search.own_search import PassageResult


def search(folder: Path, code: str, asked: list[str], **settings: Any) -> list[PassageResult]:
    (folder / "mine.py").write_text(code, encoding="utf-8")
    retriever = RetrieverConfig(method="python", function="mine.py:find", function_folder=str(folder), **settings)
    questions = [
        Question(
            question_id=text,
            question=text,
            relevant_ids=("d",),
            relevant_grades=(1,),
            filter_value="ml",
            tags={"source": "mail"},
        )
        for text in asked
    ]
    return FunctionSearch(retriever, 2, "course").search(questions, None)


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        ([], []),
        (["a", "b"], [("a", "", 1.0), ("b", "", 0.5)]),
        ([7, ("b", 0.25)], [("7", "", 1.0), ("b", "", 0.25)]),
        ([("a", 0.5, "text"), ("b", "text", np.float32(0.25))], [("a", "text", 0.5), ("b", "text", 0.25)]),
        (({"id": "a", "score": 2}, {"text": "text"}), [("a", "", 2.0), ("", "text", 0.5)]),
        ({"ids": ["a", "b"], "scores": [3, 2], "texts": ["x", None]}, [("a", "x", 3.0), ("b", "", 2.0)]),
    ],
    ids=repr,
)
def test_hits_come_in_several_forms(returned: Any, expected: list[tuple[str, str, float]]) -> None:
    assert [(hit.document_id, hit.text, hit.score) for hit in read_hits(returned)] == expected


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "it returned a NoneType; expected a list of hits"),
        ("a", "it returned a str"),
        ([{"document": "a"}], "a hit has 'document'"),
        ([{"score": 1.0}], "hit 1 has no id and no text"),
        ([("a", float("nan"))], "a score that is no number"),
        ([("a", 1.0, 2.0)], "a hit is a tuple"),
        ([None], "a hit is a tuple"),
        ({"ids": ["a"], "scores": [1, 2]}, "lists of 1 and 2 entries"),
        ({"documents": []}, "unknown 'documents'"),
    ],
    ids=repr,
)
def test_anything_else_is_told_with_what_is_expected(returned: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_hits(returned)


def test_it_is_called_with_the_question_and_the_depth_and_with_metadata_where_it_takes_them(tmp_path: Path) -> None:
    (plain,) = search(tmp_path, "def find(question, k): return [question] * (k + 5)", ["q"])
    assert [hit.document_id for hit in plain.hits] == ["q", "q"]
    (with_metadata,) = search(
        tmp_path, "def find(question, k, metadata): return [str(sorted(metadata.items()))]", ["q"]
    )
    assert with_metadata.hits[0].document_id == "[('course', 'ml'), ('source', 'mail')]"


def test_calls_of_an_async_function_are_under_way_at_once_also_where_a_loop_runs_already(tmp_path: Path) -> None:
    code = (
        "import asyncio\nmeeting = asyncio.Barrier(3)\n"
        "async def find(question, k):\n    await meeting.wait()\n    return [question]"
    )

    async def as_in_a_notebook() -> list[PassageResult]:
        return search(tmp_path, code, ["a", "b", "c"], concurrency=3)

    assert [one.hits[0].document_id for one in asyncio.run(as_in_a_notebook())] == ["a", "b", "c"]


def test_an_exception_is_the_row_of_its_question(tmp_path: Path) -> None:
    code = "def find(question, k): return [1 / len(question)] if question else [1 / 0]"
    first, second = search(tmp_path, code, ["", "q"])
    assert first.error == "ZeroDivisionError: division by zero"
    assert (second.error, len(second.hits)) == (None, 1)
