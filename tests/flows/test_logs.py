"""Logs as JSON lines: one object a line, whose run, stage and model it is, and no key."""

import json
import logging

import pytest

from tests.evaluations import Rageval
from tests.fake_llm import FakeLLM, Reply, prompt

KEY = "sk-very-secret"


def test_logs_are_json_lines_that_name_run_stage_and_model_and_hold_no_key(
    rageval: Rageval, llm: FakeLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAGEVAL_LOG_FORMAT", "json")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    llm.reply = lambda body: (
        Reply(status=400, error=f"{KEY} is refused") if "Please explain: flow" in prompt(body) else "an answer"
    )
    handlers = list(logging.getLogger().handlers)

    done = rageval("--no-judge", "--set", "run.max_failed_share=0")

    lines = [json.loads(line) for line in done.err.splitlines()]
    assert done.status == 3, "one of twenty answers failed"
    assert all(line.keys() >= {"time", "level", "logger", "message"} for line in lines)
    assert {line["run_id"] for line in lines[:-1]} == {"r1"}
    assert {line.get("stage") for line in lines} >= {"documents", "index", "retrieval", "answers", "scores"}
    assert {line["model"] for line in lines if line.get("stage") == "answers"} == {"m1"}
    assert any(line.get("task_run_name") == "begin-r1" and line["flow_run_id"] for line in lines)
    assert lines[-1]["level"] == "ERROR"
    assert "1 of 20 answers failed" in lines[-1]["message"]
    assert "[key] is refused" in done.table("answers")["error"].drop_null().to_pylist()[0]
    assert KEY not in done.err + done.out
    assert [handler for handler in logging.getLogger().handlers if handler not in handlers] == []


def test_a_key_that_the_server_refuses_and_repeats_is_in_no_line(
    rageval: Rageval, llm: FakeLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAGEVAL_LOG_FORMAT", "json")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    llm.reply = lambda body: Reply(status=401, error=f"the key {KEY} is wrong")

    done = rageval("--no-judge")

    lines = [json.loads(line) for line in done.err.splitlines()]
    assert done.status == 2
    assert any("exception" in line or line["level"] == "ERROR" for line in lines)
    assert KEY not in done.err + done.out


def test_an_unknown_format_is_refused(rageval: Rageval, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGEVAL_LOG_FORMAT", "xml")

    done = rageval()

    assert done.status == 2
    assert "RAGEVAL_LOG_FORMAT must be text or json, found 'xml'" in done.err
