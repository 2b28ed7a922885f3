"""Placeholders in JSON: values of any type, texts that cannot break out, and what is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rageval.text.json_template import json_template

KNOWN = ("question", "vector", "depth")


def filled(body: object, **values: object) -> object:
    return json_template(json.dumps(body), KNOWN, whole=("vector",)).filled(values)


def test_a_placeholder_alone_becomes_the_value_and_within_a_text_it_becomes_text() -> None:
    body = {"knn": {"query_vector": "{{vector}}", "k": "{{ depth }}"}, "texts": ["query: {{question}}, {{depth}}"]}
    assert filled(body, question="why?", vector=[0.5, 1.0], depth=3) == {
        "knn": {"query_vector": [0.5, 1.0], "k": 3},
        "texts": ["query: why?, 3"],
    }


@given(st.text())
def test_whatever_a_question_holds_it_stays_one_text(question: str) -> None:
    body = {"query": {"match": {"body": "{{question}}"}}, "label": "q: {{question}}"}
    assert filled(body, question=question) == {"query": {"match": {"body": question}}, "label": f"q: {question}"}


def test_a_value_is_not_looked_at_for_placeholders() -> None:
    assert filled({"a": "{{question}} {{depth}}"}, question="{{depth}}", depth=3) == {"a": "{{depth}} 3"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": ', "it is not JSON"),
        ("[1]", "no object"),
        ('{"a": NaN}', "it is not JSON"),
        ('{"a": "{{qestion}}"}', r"asks for \{\{qestion\}\}; known are question, vector, depth"),
        ('{"a": "v: {{vector}}"}', "has to stand alone"),
    ],
)
def test_what_cannot_be_filled_is_refused_before_anything_is_sent(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        json_template(text, KNOWN, whole=("vector",))
