"""Scores that ask no model are computed behind the traffic: nothing waits for them, and nothing of them is lost."""

import signal
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import rageval
from rageval.config.evaluation import IndexConfig
from rageval.errors import RunStoppedError
from rageval.judging.requests import ScorableAnswer
from rageval.metrics.metric import Array, TextMetric
from rageval.pipeline.chunk_scheduler import ChunkScheduler, Line, LineBehind, Work
from rageval.records import Question
from rageval.scoring.computed import computed
from rageval.scoring.computing import at_low_priority
from tests.fake_llm import VERDICT, Body, FakeLLM, Reply
from tests.processes import PATIENCE_S, eventually, running

QUESTIONS = 12
FRAME = pd.DataFrame({"question": [f"What is {n}?" for n in range(QUESTIONS)], "reference": ["It is a number."] * 12})
OWN = """
asked = []

def mine(question):
    asked.append(question)
    return f"Answer: {question}"
"""
BEHIND_FOR_EVER = """
import sys, threading
import pandas as pd
import rageval
from rageval.scoring import computing
sys.path.insert(0, {folder!r})
import own_rag

def never(*_, look, **__):
    while not threading.Event().wait(0.01):
        look()

computing.computed = never
rageval.evaluate(
    {settings!r}, questions=pd.read_json({folder!r} + "/frame.jsonl", lines=True), systems={{"mine": own_rag.mine}},
    metrics={metrics!r}, judge="m1", base_url={url!r}, output={folder!r} + "/runs", run_id="r1",
)
"""
SETTINGS = {"run": {"chunk_size": 4}, "judge": {"again_share": 0}}
METRICS = ["correctness", "rouge_l", "answer_words"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_ends_while_scores_are_behind_computes_them_at_the_next_start_and_asks_nothing(
    number: signal.Signals, tmp_path: Path, llm: FakeLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm.reply = lambda _: VERDICT
    (tmp_path / "own_rag.py").write_text(OWN)
    FRAME.to_json(tmp_path / "frame.jsonl", orient="records", lines=True)
    script = BEHIND_FOR_EVER.format(folder=str(tmp_path), settings=SETTINGS, metrics=METRICS, url=llm.url)
    parts = tmp_path / "runs" / "r1" / "parts"
    with running(tmp_path / "log", [sys.executable, "-c", script]) as process:
        eventually("every verdict", lambda: len([*parts.glob("scores/*.parquet")]) == 3, process)
        process.send_signal(number)
        process.wait(PATIENCE_S)
    assert len(llm.requests) == QUESTIONS, "a verdict on each answer"
    assert not [*parts.glob("computed/*")]

    monkeypatch.syspath_prepend(str(tmp_path))
    own_rag = __import__("own_rag")
    frame = pd.read_json(tmp_path / "frame.jsonl", lines=True)
    run = rageval.evaluate(
        SETTINGS, questions=frame, systems={"mine": own_rag.mine}, metrics=METRICS, judge="m1", base_url=llm.url,
        output=str(tmp_path / "runs"), run_id="r1",
    )  # fmt: skip

    assert (len(llm.requests), own_rag.asked) == (QUESTIONS, [])
    scores = run.scores()
    assert not scores.duplicated(["question_id", "metric"]).any()
    assert scores.groupby("metric")["status"].agg(list).to_dict() == {name: ["ok"] * QUESTIONS for name in METRICS}
    assert not parts.exists()
    del sys.modules["own_rag"]


def test_answers_get_their_other_scores_though_their_judge_ends_the_run(tmp_path: Path, llm: FakeLLM) -> None:
    def out_of_credit(_: Body) -> Reply:
        return Reply(status=429, code="insufficient_quota", error="You exceeded it.")

    llm.reply = out_of_credit
    with pytest.raises(RunStoppedError, match="exceeded"):
        rageval.evaluate(
            SETTINGS, questions=FRAME, systems={"mine": lambda question: question}, metrics=METRICS, judge="m1",
            base_url=llm.url, output=str(tmp_path), run_id="r1",
        )  # fmt: skip

    run = rageval.open_run(tmp_path / "r1")
    answered = run.answers().query("status == 'ok'")["question_id"]
    words = run.scores().query("metric == 'answer_words'").set_index("question_id")["value"]
    assert set(answered) == set(words.index) != set()
    assert set(words) == {3.0}


def test_a_metric_that_breaks_on_some_answers_fails_these_rows_alone(tmp_path: Path) -> None:
    calls: list[int] = []

    def picky(answers: Sequence[str]) -> Array:
        calls.append(len(answers))
        if "poison" in answers:
            raise ZeroDivisionError("no\n value")
        return np.array([len(answer) for answer in answers], dtype=np.float64)

    metric = TextMetric(
        name="picky", version="1", title="t", description="d", bounds=None, needs=("answer",), compute=picky
    )
    texts = ["poison" if n in (3, 700) else "ab" for n in range(1000)]
    candidates = [
        ScorableAnswer(question=Question(question_id=str(n), question="q"), answer=text, contexts=None)
        for n, text in enumerate(texts)
    ]
    rows = computed(metric, candidates, IndexConfig(), tmp_path)

    failed = {"status": "failed", "value": None, "error": "picky ended with ZeroDivisionError: no value"}
    assert [n for n, row in enumerate(rows) if row == failed] == [3, 700]
    assert {row["value"] for n, row in enumerate(rows) if n not in (3, 700)} == {2.0}
    assert len(calls) < 60, "halved until the answer is found, and not asked one by one"


def test_no_chunk_waits_for_what_is_behind_it_and_a_batch_takes_all_that_has_gathered() -> None:
    may_go_on, batches = threading.Event(), list[list[int]]()

    def behind(batch: Sequence[int]) -> list[Future[None]]:
        batches.append(list(batch))
        return [pool.submit(lambda: may_go_on.wait() and None)]

    def start(number: int, ended: list[int]) -> list[Future[None]]:
        return [pool.submit(ended.append, number)]

    with ThreadPoolExecutor(4) as pool:
        ended: list[int] = []
        works = [Work(start=partial(start, number, ended), brings=[number]) for number in range(9)]
        scheduler = ChunkScheduler(LineBehind(start=behind, most=6))
        chunks = sum(one.chunks for one in scheduler.through([Line(works=works, width=1)]))
        assert (chunks, ended, batches) == (9, [*range(9)], [[0]]), "the first batch has not ended yet"
        may_go_on.set()
        assert sum(one.behind for one in scheduler.rest()) == 9
    assert batches == [[0], [1, 2, 3, 4, 5, 6], [7, 8]]


def test_what_a_failed_step_had_brought_before_is_still_worked_on() -> None:
    answered: Future[None] = Future()
    answered.set_result(None)
    judged: Future[None] = Future()
    judged.set_exception(RunStoppedError("no credit"))
    done: list[int] = []

    def behind(batch: Sequence[int]) -> list[Future[None]]:
        done.extend(batch)
        return [answered]

    scheduler = ChunkScheduler(LineBehind(start=behind))
    with pytest.raises(RunStoppedError, match="no credit"):
        list(scheduler.through([Line(works=[Work(start=lambda: [answered, judged], brings=[1])], width=1)]))
    scheduler.wait()
    list(scheduler.rest())
    assert done == [1]


def test_work_at_low_priority_raises_what_it_raises_here_and_leaves_this_thread_as_it_is() -> None:
    def niceness() -> int:
        return _niceness(threading.get_native_id())

    before = niceness()
    assert at_low_priority(niceness) == (max(before, 10) if sys.platform == "linux" else before)
    assert niceness() == before
    fails: Callable[[], None] = lambda: (_ for _ in ()).throw(KeyError("x"))  # noqa: E731
    with pytest.raises(KeyError, match="x"):
        at_low_priority(fails)


def _niceness(thread: int) -> int:
    import os

    return os.getpriority(os.PRIO_PROCESS, thread)
