"""A system that is a Python function: how it is called, what it may return, and what it cannot break."""

import os
import sys
from pathlib import Path

import psutil
import pytest

from rageval.errors import ConfigError, RunStoppedError
from rageval.records import Context, Question, Usage
from tests.processes import eventually
from tests.systems.conftest import Ask

MINE = """
import asyncio, os, signal, sys, threading, time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import flows, tasks.words
from rageval_settings import GREETING

def plain(question):
    print("printed", question)
    os.write(1, b"printed by a library")
    return question.upper()

def with_all(question, *, history, metadata=None, conversation=""):
    return f"{[turn['content'] for turn in history]} {metadata} {conversation}"

async def slowly(question, **known):
    await asyncio.sleep(0)
    return {"response": question, "retrieved_contexts": ["one"], "retrieved_context_ids": ["d1"],
            "usage_metadata": {"input_tokens": 3, "output_tokens": 4}, "cost_usd": 0.5}

@dataclass
class Passage:
    page_content: str
    metadata: dict = field(default_factory=dict)

class Chain:
    def __call__(self, question):
        return {"answer": GREETING, "context": [Passage("one", {"source": "d1"})]}
    def ask(self, question):
        return flows.where() + tasks.words.where()
    async def later(self, question):
        return "later"

class AsyncChain:
    async def __call__(self, question):
        return "async object"

chain, async_chain = Chain(), AsyncChain()

def anything(question):
    return eval(question)

def hang(question):
    if question == "hang":
        threading.Event().wait()
    return f"{question} {os.getpid()}"

async def hang_async(question):
    if question == "hang":
        await asyncio.Event().wait()
    if question == "block":
        time.sleep(3600)
    return f"{question} {os.getpid()}"

def crash(question):
    if question == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if question == "exit":
        print("out of memory", file=sys.stderr, flush=True)
        os._exit(9)
    if question == "wait":
        time.sleep(0.2)
    return question

def retrieves(question):
    return {"contexts": [{"id": "d1", "score": 0.5}, "d2"]}

def no_question():
    return "?"
"""
FILES = {
    "mine.py": MINE,
    "rageval_settings.py": 'GREETING = "hello"\n',
    "flows/__init__.py": 'def where(): return "my flows, "\n',
    "tasks/words.py": 'def where(): return "my tasks"\n',
    "broken.py": 'print("on the way")\nraise OSError("no database at https://me:pw@db.example/x")\n',
    "ends.py": 'import sys\nprint("the last words", flush=True)\nimport os\nos._exit(3)\n',
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def call(ask: Ask, folder: Path) -> Ask:
    def with_function(*questions: str | Question, function: str, **settings: object) -> list[object]:
        where = function if ":" in function else f"mine.py:{function}"
        return ask(*questions, kind="python", function=where, function_folder=str(folder), **settings)

    return with_function


@pytest.mark.parametrize(
    ("function", "text"),
    [
        ("plain", "WHY?"), ("chain", "hello"), ("chain.ask", "my flows, my tasks"), ("chain.later", "later"),
        ("async_chain", "async object"), ("slowly", "Why?"), ("mine:plain", "WHY?"),
    ],
)  # fmt: skip
def test_functions_methods_and_objects_are_called_sync_or_async_among_their_own_packages(
    call: Ask, function: str, text: str
) -> None:
    (reply,) = call("Why?", function=function)
    assert (reply.text, reply.error) == (text, None)


def test_it_is_given_what_it_takes(call: Ask) -> None:
    turns = ({"role": "user", "content": "Hi"},)
    asked = Question(question_id="q", question="Why?", history=turns, tags={"tier": "a"}, conversation="c7")
    assert call(asked, function="with_all")[0].text == "['Hi'] {'tier': 'a'} c7"


def test_contexts_tokens_and_cost_are_read_of_mappings_and_of_objects_of_frameworks(call: Ask) -> None:
    (reply,) = call("Why?", function="slowly")
    assert reply.contexts == (Context(id="d1", text="one"),)
    assert (reply.usage, reply.cost_usd) == (Usage(prompt_tokens=3, completion_tokens=4), 0.5)
    assert call("Why?", function="chain")[0].contexts == (Context(id="d1", text="one"),)
    (found,) = call("Why?", function="retrieves")
    assert (found.text, found.contexts) == (None, (Context(id="d1", score=0.5), Context(text="d2")))


@pytest.mark.parametrize(
    ("returned", "error"),
    [
        ("1 / 0", "the function ended with ZeroDivisionError: division by zero (<string>, line 1)"),
        ("sys.exit(3)", "the function ended with SystemExit: 3"),
        ("(x for x in 'ab')", "TypeError: it returned generator; expected a text, a mapping or a rageval.Answer"),
        ("None", "it returned NoneType"),
        ("''", "the reply is empty"),
        ("{'answer': None}", "neither an answer nor contexts"),
        ("{'error': 'no GPU'}", "the function returned an error: no GPU"),
        ("'x' * 10_000_001", "it returned 10,000"),
    ],
)
def test_an_exception_or_what_is_no_answer_is_a_failed_row(call: Ask, returned: str, error: str) -> None:
    failed, fine = call(returned, "'fine'", function="anything")
    assert error in str(failed.error)
    assert failed.attempts == 1
    assert fine.text == "fine"


def test_what_ends_its_process_costs_no_other_question_anything(call: Ask) -> None:
    questions = ["wait", "crash", "wait too", "exit", *(f"q{n}" for n in range(30))]
    replies = dict(zip(questions, call(*questions, function="crash", max_attempts=2), strict=True))
    assert replies["crash"].error is not None
    assert "ended by signal 11" in replies["crash"].error
    assert "ended with status 9; its last output: out of memory" in str(replies["exit"].error)
    assert [q for q in questions if replies[q].text != q] == ["crash", "exit"]


@pytest.mark.parametrize(
    ("function", "hangs", "others", "stays"),
    [
        ("hang", "hang", ["a", "b"], False),
        ("hang_async", "hang", ["a", "b"], True),
        ("hang_async", "block", [], False),  # what blocks the loop of an async function blocks its other calls
    ],
)
def test_a_call_that_hangs_is_given_up_and_its_process_replaced_unless_it_can_be_cancelled(
    call: Ask, function: str, hangs: str, others: list[str], stays: bool
) -> None:
    settings = {"function": function, "max_attempts": 2, "timeout_s": 3}
    (before,) = call("first", **settings)
    hung, *replies = call(hangs, *others, **settings)
    (after,) = call("last", **settings)

    assert "no reply within 3 s" in hung.error
    assert [reply.text.split()[0] for reply in replies] == others
    assert (before.text.split()[1] == after.text.split()[1]) == stays
    if not stays:
        eventually("its end", lambda: not psutil.pid_exists(int(before.text.split()[1])))


@pytest.mark.parametrize(
    ("function", "settings", "words"),
    [
        ("mine.py:nothing", {}, "has no attribute 'nothing'"),
        ("mine.py:MINE", {}, "has no attribute 'MINE'"),
        ("mine.py:no_question", {}, "it cannot be called with a question: too many positional arguments"),
        ("absent.py:f", {}, "there is no file"),
        ("absent:f", {}, "No module named 'absent'"),
        ("broken.py:f", {}, "OSError: no database at https://db.example/x"),
        ("ends.py:f", {}, "its process ended: the last words"),
        ("mine.py:plain", {"interpreter": "venv/bin/python"}, "cannot be started (No such file or directory)"),
        ("mine.py:plain", {"interpreter": "/bin/true"}, "its process ended: it printed nothing"),
    ],
)
def test_what_cannot_be_loaded_is_told_before_any_question(
    call: Ask, function: str, settings: dict[str, str], words: str
) -> None:
    with pytest.raises(ConfigError) as ended:
        call("Why?", function=function, **settings)
    assert words in str(ended.value)


def test_a_function_that_always_fails_ends_the_run(call: Ask) -> None:
    with pytest.raises(RunStoppedError, match=r"last 20 requests.*ZeroDivisionError"):
        call(*(f"1 / 0 # {n}" for n in range(100)), function="anything")


def test_it_runs_in_the_python_that_is_named_among_its_packages(call: Ask, folder: Path) -> None:
    venv = folder / ".venv"
    os.system(f"{sys.executable} -m venv --without-pip {venv}")
    packages = next(venv.glob("lib/*/site-packages"))
    (packages / "only_there.py").write_text("NAME = 'of the venv'\n")
    (folder / "in_venv.py").write_text(
        "import sys, only_there\ndef f(question): return f'{only_there.NAME} {sys.prefix}'\n"
    )
    (reply,) = call("Why?", function="in_venv.py:f", interpreter=".venv/bin/python")
    assert reply.text == f"of the venv {venv}"


def test_no_process_of_it_is_left_when_its_engine_has_closed(call: Ask, engine: object) -> None:
    pids = {int(reply.text.split()[1]) for reply in call("a", "b", function="hang")}
    engine.close()
    assert not any(psutil.pid_exists(pid) for pid in pids)
