"""Systems: grids and their names, prompts that are refused before anything is sent, and what each kind is shown."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rageval.config.evaluation import EvaluationConfig
from rageval.config.overrides import validate
from rageval.errors import ConfigError
from rageval.records import Document, Question
from rageval.report.prompt_differences import prompt_differences
from rageval.systems.kinds import built_in, make_systems, systems_table
from rageval.systems.templates import MAX_CHARS, Prompt, checked, messages, parse_prompt

TWO = {
    "models": ["a", "b"],
    "prompts": [{"name": "strict", "user": "{{ question }}!"}, {"name": "plain", "user": "{{ question }}"}],
}


def names(**settings: object) -> list[str]:
    return [plan.name for plan in validate(EvaluationConfig, {**TWO, **settings}).plans]


def document(number: int, text: str = "It is.") -> Document:
    return Document(
        document_id=f"d{number}", title=f"Title {number}", text=text, metadata={"section": "General"}, content_hash=""
    )


def question(**known: object) -> Question:
    return Question(
        **{"question_id": "q", "question": "Why?", "relevant_ids": ("d1",), "relevant_grades": (1,)} | known
    )


def test_nothing_named_is_every_model_with_the_first_retriever_and_the_default_prompt() -> None:
    config = validate(EvaluationConfig, {"models": ["a", "b"]})
    assert [plan.name for plan in config.plans] == ["a", "b"]
    assert {plan.prompt_name for plan in config.plans} == {"default"}
    assert config.answer_retrievers == ("vector",)


def test_without_models_there_are_no_systems_and_nothing_is_judged() -> None:
    config = validate(EvaluationConfig, {"models": []})
    assert (config.plans, config.answering_models, config.judges) == ((), (), ())
    with pytest.raises(ConfigError, match="a system of kind oracle asks a model, and `models` is empty"):
        validate(EvaluationConfig, {"models": [], "systems": ["oracle"]})


def test_prompts_that_are_named_are_compared_with_every_model() -> None:
    assert names() == ["a + strict", "b + strict", "a + plain", "b + plain"]


def test_an_entry_is_a_grid_of_what_it_names() -> None:
    assert names(
        retrievers=["vector", "text"],
        systems=[
            {"retrievers": ["vector", "text"], "prompts": ["plain"], "models": ["b"]}, "closed_book",
            {"kind": "oracle", "name": "best", "prompts": ["strict"], "models": ["a"]},
        ],
    ) == ["b + plain", "b + plain + text", "a + closed_book", "b + closed_book", "best"]  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"systems": [{"prompts": ["x"]}]}, "systems.prompts names 'x'; known are strict, plain, default"),
        ({"systems": [{"models": ["x"]}]}, "systems.models names 'x'; known are a, b"),
        ({"systems": [{"retrievers": ["x"]}]}, "systems.retrievers names 'x'; known are vector, text, hybrid"),
        ({"systems": [{"kind": "oracle", "retrievers": ["text"]}]}, "a system of kind oracle has no retriever"),
        ({"systems": [{"name": "one"}]}, "the system 'one' is 4 systems"),
        ({"systems": ["pipeline", "pipeline"]}, "two systems are called 'a + strict'"),
        ({"retrievers": ["text", "text"]}, "two retrievers have the same name: text"),
        ({"prompts": [{"name": "p", "user": "x"}, {"name": "p", "user": "y"}]}, "two prompts have the same name: p"),
        ({"prompts": [{"name": "p"}]}, "the prompt 'p' needs a `file` or a `user` part"),
        ({"prompts": [{"name": "p", "file": "f", "user": "x"}]}, "the prompt 'p' needs a `file` or a `user` part"),
    ],
)
def test_what_does_not_fit_together_is_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        names(**settings)


def test_each_kind_is_shown_what_its_name_says() -> None:
    config = validate(EvaluationConfig, {"models": ["a"], "systems": ["pipeline", "closed_book", "oracle"]})
    pipeline, closed_book, oracle = make_systems(config)
    asked = question(alternate_ids=("d7", "d8"), alternate_grades=(3, 1))
    assert pipeline.context_ids(asked, ["d5", "d2"]) == ("d5", "d2")
    assert closed_book.context_ids(asked, []) == ()
    # The highest grade first; of equal ones, the row's own document.
    assert oracle.context_ids(asked, []) == ("d7", "d1", "d8")
    table = systems_table([pipeline, closed_book, oracle]).to_pylist()
    assert [(row["system"], row["retriever"], row["prompt"]) for row in table] == [
        ("a", "vector", "default"), ("a + closed_book", None, "closed_book"), ("a + oracle", None, "default"),
    ]  # fmt: skip


def test_a_prompt_has_two_parts_and_knows_contexts_by_number_title_section_and_text() -> None:
    prompt = parse_prompt(
        "p",
        "system:\nBe brief.\n\nuser:\n{% for c in contexts %}\n{{ c.number }} {{ c.title }} {{ c.section }}: "
        "{{ c.text }}\n{% endfor %}\n{{ question }}\n",
    )
    assert messages(prompt, "Why?", [document(1), document(2, "No.")]) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "1 Title 1 General: It is.\n2 Title 2 General: No.\nWhy?"},
    ]
    assert parse_prompt("p", "Only: {{ question }}").system == ""


def test_what_a_document_says_is_text_and_never_a_template() -> None:
    prompt = parse_prompt("p", "{% for c in contexts %}{{ c.text }}{% endfor %} {{ question }}")
    said = messages(prompt, "{{ 7 + 7 }} {% raw %}", [document(1, "{{ contexts }}")])
    assert said[0]["content"] == "{{ contexts }} {{ 7 + 7 }} {% raw %}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "{{ questoin }} {{ question }}",
            "unknown variable 'questoin'; known are contexts, history, metadata, question",
        ),
        ("Answer!", "prints no question"),
        ("{% if contexts %}{{ question }}{% endif %}{{ contexts[7].text }}", "cannot be filled in"),
        ("{% for %}", "is no Jinja template"),
        ("system:\nNo question\n", "needs a `user:` part"),
        ("text\nuser:\n{{ question }}", "has to begin with"),
        ("user:\n{{ question }}\nuser:\n{{ question }}", "has to begin with"),
        ("{{ question.__class__.__mro__ }}{{ question }}", "cannot be filled in"),
        ("{{ question * 3 }}", r"the operator \* is not available"),
        ("{{ question.center(999999999) }}", "a number above 10,000"),
        ("{% for x in range(3) %}{{ question }}{% endfor %}", "unknown variable 'range'"),
        ("{% include 'other.md' %}{{ question }}", "cannot be filled in|no Jinja"),
    ],
)
def test_a_prompt_that_cannot_be_used_is_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_prompt("p", text)


def test_no_prompt_writes_without_end() -> None:
    nested = "".join(f"{{% for a{i} in contexts %}}" for i in range(7)) + "x" * 100 + "{% endfor %}" * 7
    prompt = checked(Prompt(name="p", system="", user=nested + "{{ question }}"))
    with pytest.raises(ConfigError, match=f"more than {MAX_CHARS:,} characters"):
        messages(prompt, "Why?", [document(i) for i in range(10)])


def test_the_hash_depends_on_both_parts_and_not_on_the_name() -> None:
    one = Prompt(name="a", system="s", user="u")
    assert one.hash == Prompt(name="b", system="s", user="u").hash
    assert (
        len({one.hash, Prompt(name="a", system="su", user="").hash, Prompt(name="a", system="", user="su").hash}) == 3
    )


@pytest.mark.parametrize("name", ["default", "closed_book"])
def test_the_built_in_prompts_can_be_used(name: str) -> None:
    said = messages(built_in(name), "Why is it so?", [document(1)])
    assert "Why is it so?" in said[-1]["content"]
    assert ("It is." in said[-1]["content"]) == (name == "default")


@given(st.lists(st.text(), max_size=4), st.text())
def test_any_contexts_and_any_question_fill_the_default_prompt(texts: list[str], asked: str) -> None:
    said = messages(built_in("default"), asked, [document(i, text) for i, text in enumerate(texts)])[-1]["content"]
    assert all(text.strip() in said for text in (*texts, asked))


def test_the_built_in_prompt_is_compared_by_its_name() -> None:
    config = validate(
        EvaluationConfig, {"models": ["a"], "prompts": ["default", {"name": "p", "user": "{{ question }}"}]}
    )
    default, other = make_systems(config)
    assert (default.prompt.hash, other.prompt.user) == (built_in("default").hash, "{{ question }}")


def test_how_two_prompts_differ_is_said_line_by_line() -> None:
    first, second = prompt_differences({"a": ("Be brief.", "{{ question }}"), "b": ("Be long.", "{{ question }}")})
    assert {mark for mark, _ in first["lines"]} == {"same"}
    assert [line for mark, line in second["lines"] if mark == "added"] == ["Be long."]
    assert [line for mark, line in second["lines"] if mark == "removed"] == ["Be brief."]
