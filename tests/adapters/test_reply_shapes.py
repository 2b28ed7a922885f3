"""Replies as providers really send them: what is the answer in them, what it cost, and what the server says instead."""

import json
from typing import Any

import pytest

from tests.adapters.asking import Asker, script
from tests.fake_llm import FakeLLM, Reply

USAGE = {"prompt_tokens": 100, "completion_tokens": 10}
PRICES = {"input_usd_per_mtok": 2, "output_usd_per_mtok": 10}
COST_USD = (100 * 2 + 10 * 10) / 1e6
TWO_HOURS = "They meet after 2 hours."


def body(choice: Any, **fields: Any) -> Reply:
    return Reply(raw=json.dumps({"choices": [choice], "usage": USAGE, **fields}).encode())


def message(content: Any, **fields: Any) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": content, **fields}, "finish_reason": "stop"}


def part(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def events(*chunks: Any, end: bytes = b"data: [DONE]\n\n") -> Reply:
    lines = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)
    return Reply(raw=b": a comment\n\n" + lines + end, content_type="text/event-stream")


def delta(finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"delta": fields, "finish_reason": finish_reason}]}


@pytest.mark.parametrize(
    ("choice", "thinking"),
    [
        (message([part("They meet "), part("after 2 hours.")]), None),
        (message([{"type": "thinking", "thinking": [part("hm")]}, part(TWO_HOURS)]), "hm"),
        (message([{"type": "reasoning", "text": "hm"}, {"type": "output_text", "text": TWO_HOURS}]), "hm"),
        (message(["They meet ", {"text": "after 2 hours."}, {"type": "image_url", "image_url": {}}]), None),
        (message(part(TWO_HOURS)), None),
        (message(TWO_HOURS, reasoning_content="hm"), "hm"),
        (message(TWO_HOURS, reasoning="hm", refusal=None), "hm"),
        (message(f"<think>\nhm\n</think>\n\n{TWO_HOURS}"), "hm"),
        (message(f"<THINK>hm</THINK><think>hm</think>{TWO_HOURS}"), "hm\n\nhm"),
        (message(f"hm\n</think>\n\n{TWO_HOURS}"), "hm"),
        (message(f"[THINK]hm[/THINK]{TWO_HOURS}"), "hm"),
        (message(f"<think>\n\n</think>\n{TWO_HOURS}"), None),
        ({"text": TWO_HOURS, "finish_reason": "stop"}, None),
        ({"delta": {"content": TWO_HOURS}, "finish_reason": "stop"}, None),
    ],
)  # fmt: skip
def test_the_answer_is_found_in_every_shape_and_thinking_is_kept_apart(
    llm: FakeLLM, ask: Asker, choice: dict[str, Any], thinking: str | None
) -> None:
    llm.reply = lambda _: body(choice)
    (reply,) = ask(**PRICES)
    assert (reply.text, reply.thinking, reply.error, reply.attempts) == (TWO_HOURS, thinking, None, 1)
    assert reply.cost_usd == pytest.approx(COST_USD)


@pytest.mark.parametrize(
    "text",
    [
        "Close it with </think> on the same line.",
        "It looks like this:\n<think>\nhm\n</think>\nand then the answer.",
        "a <think> b",
    ],
)
def test_an_answer_that_speaks_of_marks_is_an_answer(llm: FakeLLM, ask: Asker, text: str) -> None:
    llm.reply = lambda _: text
    (reply,) = ask()
    assert (reply.text, reply.thinking) == (text, None)


@pytest.mark.parametrize(
    ("choice", "error"),
    [
        (message(None, refusal="I cannot help with that."), "the model refused to reply: I cannot help with that."),
        (message([{"type": "refusal", "refusal": "No."}]), "the model refused to reply: No."),
        (message("<think>hm</think>"), "the reply holds nothing but thinking (finish_reason stop)"),
        (message("<think>hm") | {"finish_reason": "max_tokens"}, "the reply is empty and was cut for its length"),
        (message("") | {"finish_reason": None}, "the reply is empty (finish_reason not given)"),
        (message("half") | {"finish_reason": "SAFETY"}, "the provider's content filter withheld the reply"),
    ],
)
def test_a_reply_without_an_answer_says_why_and_was_paid_for(
    llm: FakeLLM, ask: Asker, choice: dict[str, Any], error: str
) -> None:
    llm.reply = lambda _: body(choice)
    (reply,) = ask(**PRICES)
    assert (reply.text, reply.attempts) == (None, 1)
    assert (reply.error or "").startswith(error)
    assert reply.cost_usd == pytest.approx(COST_USD)


@pytest.mark.parametrize(
    ("given", "stored"), [("MAX_TOKENS", "length"), ("model_length", "length"), ("eos_token", "eos_token"), (7, None)]
)
def test_finish_reasons_of_other_names_are_read(llm: FakeLLM, ask: Asker, given: Any, stored: str | None) -> None:
    llm.reply = lambda _: body(message("half") | {"finish_reason": given})
    (reply,) = ask()
    assert (reply.text, reply.finish_reason) == ("half", stored)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(raw=b'{"error": {"message": "overloaded", "code": 503}}'), "HTTP 503: overloaded"),
        (Reply(raw=b'{"error": "the worker died"}'), "the reply is an error: the worker died"),
        (body({"error": {"message": "upstream", "code": 502}, "message": {"content": ""}}), "HTTP 502: upstream"),
        (body(message("half") | {"finish_reason": "error"}), "the reply is an error: half"),
        (body(message([1])), "the reply is not the JSON of a chat completion"),
        (Reply(raw=b"<html><title>Sign in</title>"), "the reply is not the JSON of a chat completion: Sign in"),
        (events(delta(content="half"), {"error": {"message": "gone", "code": "503"}}), "HTTP 503: gone"),
        (events(delta(content="half"), end=b""), "the reply broke off before its end"),
    ],
)
def test_an_error_inside_a_reply_is_tried_again_and_its_message_kept(
    llm: FakeLLM, ask: Asker, reply: Reply, error: str
) -> None:
    script(llm, reply, "ok")
    assert (ask()[0].text, len(llm.requests)) == ("ok", 2)
    script(llm, reply)
    assert error in (ask(max_attempts=1)[0].error or "")


def test_an_error_inside_a_reply_means_what_its_status_means(llm: FakeLLM, ask: Asker) -> None:
    refused = Reply(raw=b'{"error": {"message": "slow down", "code": 429}, "usage": null}')
    script(llm, refused, refused, "ok")
    assert ask(max_attempts=1)[0].attempts == 3  # a refusal is no fault
    script(llm, Reply(raw=b'{"error": {"message": "no such field: seed", "code": 400}}'))
    assert ask()[0].error == "HTTP 400: no such field: seed"


def test_what_failed_replies_used_is_counted_too(llm: FakeLLM, ask: Asker) -> None:
    llm.reply = lambda _: body(message([1]))
    (reply,) = ask(max_attempts=3, **PRICES)
    assert reply.text is None
    assert ask.engine.spending.spent_usd == pytest.approx(3 * COST_USD)
    assert reply.cost_usd == pytest.approx(3 * COST_USD)


@pytest.mark.parametrize(
    "usage", [{"input_tokens": 100, "output_tokens": 10}, {"prompt_tokens": 100.0, "completion_tokens": 10.0}]
)
def test_usage_is_read_under_its_other_names(llm: FakeLLM, ask: Asker, usage: dict[str, Any]) -> None:
    llm.reply = lambda _: body(message("ok"), usage=usage)
    assert ask(**PRICES)[0].cost_usd == pytest.approx(COST_USD)


LAST = {"choices": [], "usage": USAGE}
SPLIT_MARKS = ("<th", "ink>h", "m</thi", "nk>\n\nThey meet ", "after 2 hours.")
STREAMS = {
    "plain": events(
        delta(role="assistant"), delta(content="They meet "), delta("stop", content="after 2 hours."), LAST
    ),
    "no finish reason": events(delta(content=TWO_HOURS), LAST),
    "usage in the choice": events({"choices": [{"delta": {"content": TWO_HOURS}, "usage": USAGE}]}),
    "thinking in parts": events(
        delta(content=[{"type": "thinking", "thinking": "hm"}]), delta("stop", content=[part(TWO_HOURS)]), LAST
    ),
    "thinking in the text": events(*(delta(content=piece) for piece in SPLIT_MARKS), delta("stop"), LAST),
    "thinking without its first mark": events(
        delta(content="hm\n</think>\n"), delta("stop", content=TWO_HOURS), {"usage": USAGE}
    ),
    "legacy text": events({"choices": [{"text": TWO_HOURS, "finish_reason": "stop"}], "usage": USAGE}),
}


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("asked_for", [True, False])
def test_a_stream_is_read_whether_or_not_it_was_asked_for(llm: FakeLLM, ask: Asker, kind: str, asked_for: bool) -> None:
    llm.reply = lambda _: STREAMS[kind]
    handed_on: list[str | None] = []
    (reply,) = ask(on_piece=handed_on.append if asked_for else None, **PRICES)
    assert (reply.text, reply.error) == (TWO_HOURS, None)
    assert reply.cost_usd == pytest.approx(COST_USD)
    assert reply.thinking == ("hm" if "thinking" in kind else None)
    if asked_for:
        since_last_start = handed_on[len(handed_on) - handed_on[::-1].index(None) :] if None in handed_on else handed_on
        assert "".join(piece or "" for piece in since_last_start) == TWO_HOURS
