"""YAML as everybody reads it, but for keys that stand twice."""

import pytest
import yaml

from rageval.text.yaml_text import DuplicateKeyError, load_yaml


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules:\n  - name: a\n    below: 1\n\n    below: 2\n", "several times: below (lines 3 and 5);"),
        ("a: 1\nb: 1\nb: 2\na: 2\na: 3\n", "several times: a (lines 1 and 4 and 5), b (lines 2 and 3);"),
        ("a: {b: 1, 'b': 2}\n", "b (lines 1 and 1)"),
        ("? 1\n: x\n1: y\n", "1 (lines 1 and 3)"),
        ("a: &base {b: 1, b: 2}\nc: {<<: *base}\n", "b (lines 1 and 1)"),
    ],
)
def test_a_key_that_stands_twice_is_named_with_its_lines(text: str, message: str) -> None:
    with pytest.raises(DuplicateKeyError) as raised:
        load_yaml(text)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        "a: {b: 1}\nc: {b: 1}\n",
        "1: a\n'1': b\n",  # a number and a text
        "base: &base {b: 1, c: 2}\nmore: &more {<<: *base, c: 3}\nown: {b: 4, <<: *more, c: 5}\n",
        "x: &x {a: 1}\ny: &y {a: 2}\nz: {<<: *x, <<: *y}\n",
        "[1, 2]",
        "",
    ],
)
def test_everything_else_is_what_it_was(text: str) -> None:
    assert load_yaml(text) == yaml.safe_load(text)
