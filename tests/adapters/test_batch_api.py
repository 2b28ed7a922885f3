"""Requests -> files, batches, replies: against a real HTTP server, line by line."""

import json
from datetime import UTC, datetime

import pytest

from rageval.config.models import ModelConfig
from rageval.engine import batch_lines
from rageval.engine.batch_api import BatchApi
from rageval.engine.batch_lines import batch_files, read_replies
from rageval.engine.parameters import request_parameters
from rageval.engine.prices import cost_usd
from rageval.engine.requests import ChatRequest
from rageval.errors import ConfigError
from rageval.records import Usage
from tests.fake_llm import FakeLLM, Reply, prompt

MODEL = ModelConfig(name="m1", input_usd_per_mtok=1.0, output_usd_per_mtok=2.0)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def requests(count: int) -> dict[str, ChatRequest]:
    return {f"id{n}": ChatRequest(messages=[{"role": "user", "content": f"What is {n}?"}]) for n in range(count)}


def line(custom_id: str = "id0", *, status: int = 200, body: object = None, error: object = None) -> bytes:
    response = None if error else {"status_code": status, "body": body}
    return json.dumps({"custom_id": custom_id, "response": response, "error": error}).encode()


def test_a_file_holds_no_more_lines_and_no_more_bytes_than_the_api_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_lines, "MAX_REQUESTS", 8)
    assert [len(file.ids) for file in batch_files(requests(20), MODEL)] == [8, 8, 4]

    one = len(next(batch_files(requests(1), MODEL)).content)
    monkeypatch.setattr(batch_lines, "MAX_BYTES", 3 * one)
    files = list(batch_files(requests(7), MODEL))
    assert [len(file.ids) for file in files] == [3, 3, 1]
    assert all(len(file.content) <= 3 * one for file in files)
    lines = [json.loads(text) for file in files for text in file.content.splitlines()]
    assert [line["custom_id"] for line in lines] == list(requests(7))
    assert {(line["method"], line["url"], line["body"]["model"]) for line in lines} == {
        ("POST", "/v1/chat/completions", "m1")
    }


def test_what_is_filled_in_is_part_of_a_line_and_of_no_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    model = MODEL.with_body({"token": "${TEAM_TOKEN}"})
    (request,) = requests(1).values()
    before = request.fingerprint(model)
    monkeypatch.setenv("TEAM_TOKEN", "hunter2")
    (file,) = batch_files({"id0": request}, model)
    assert json.loads(file.content)["body"]["token"] == "hunter2"
    assert request.fingerprint(model) == before


def test_every_request_gets_one_reply_whatever_became_of_its_line(llm: FakeLLM) -> None:
    llm.reply = lambda body: {
        "What is 0?": "Zero.",
        "What is 1?": Reply(status=400, error="too long"),
        "What is 2?": Reply(drop=True),
        "What is 3?": Reply(text="", finish_reason="length"),
    }[prompt(body)]
    llm.batches.looks_to_end = 1
    asked = requests(4)
    with BatchApi(MODEL.model_copy(update={"base_url": llm.url})) as api:
        batch_id = api.create(api.upload(next(batch_files(asked, MODEL)).content), "token")
        state = api.state(batch_id)
        replies = api.replies(state, list(asked))

        assert api.find("token") == batch_id
        assert api.find("another") is None

    assert (state.status, state.completed, state.failed, state.total) == ("completed", 2, 1, 4)
    assert (replies["id0"].text, replies["id0"].error, replies["id0"].attempts) == ("Zero.", None, 1)
    assert [replies[f"id{n}"].error for n in (1, 2)] == [
        "HTTP 400: too long",
        "the batch batch_1 is completed without a result for this request",
    ]
    assert "was cut for its length" in (replies["id3"].error or "")
    assert replies["id3"].text is None


def test_results_that_are_gone_fail_with_that_reason(llm: FakeLLM) -> None:
    llm.batches.looks_to_end = 1
    with BatchApi(MODEL.model_copy(update={"base_url": llm.url})) as api:
        state = api.state(api.create(api.upload(next(batch_files(requests(1), MODEL)).content), "token"))
        llm.batches.forget_files()
        reply = api.replies(state, ["id0"])["id0"]

    assert reply.error == "the batch batch_1 is completed but its results are gone from the server (HTTP 404)"


def test_an_endpoint_without_a_batch_api_is_said_to_have_none(llm: FakeLLM) -> None:
    elsewhere = MODEL.model_copy(update={"base_url": llm.url + "/elsewhere"})
    with BatchApi(elsewhere) as api, pytest.raises(ConfigError, match="has no Batch API"):
        api.upload(b"")


@pytest.mark.parametrize(
    "body",
    [None, "text", [], {}, {"choices": 3}, {"choices": ["x"]}, {"choices": [{"message": {"content": 3}}]}, {"self": 1}],
)
def test_a_body_that_is_no_completion_is_a_failed_reply(body: object) -> None:
    reply = read_replies(line(body=body), MODEL, NOW, str)["id0"]

    assert reply.text is None
    assert reply.error
    assert reply.attempts == 1


def test_a_line_that_was_not_carried_out_says_why_and_was_no_attempt() -> None:
    error = {"code": "batch_expired", "message": "It was too late. Key: sk-1"}
    reply = read_replies(line(error=error), MODEL, NOW, lambda text: text.replace("sk-1", "[key]"))["id0"]

    assert (reply.error, reply.attempts) == ("It was too late. Key: [key] (batch_expired)", 0)


def test_lines_that_are_no_json_or_name_no_id_are_left_out() -> None:
    content = b"\n".join([b"", b"not JSON", b"3", b"{}", b'{"custom_id": 3}', line("id1", body={})])

    assert list(read_replies(content, MODEL, NOW, str)) == ["id1"]


def test_flex_and_batch_cost_half() -> None:
    usage = Usage(prompt_tokens=1_000_000, completion_tokens=500_000)
    flex = MODEL.model_copy(update={"service_tier": "flex"})

    # 1 million prompt tokens at $1, half a million completion tokens at $2 a million.
    assert cost_usd(MODEL, usage) == pytest.approx(2.0)
    assert cost_usd(MODEL, usage, tier="batch") == cost_usd(flex, usage) == pytest.approx(1.0)
    listed = ModelConfig(name="gpt-4o-mini")
    assert cost_usd(listed, usage, tier="flex") == pytest.approx((cost_usd(listed, usage) or 0) / 2)
    assert cost_usd(ModelConfig(name="gpt-4o-mini", service_tier="priority"), usage) is None


def test_the_service_tier_is_sent_only_if_set_and_is_part_of_the_fingerprint() -> None:
    flex = MODEL.model_copy(update={"service_tier": "flex"})
    request = requests(1)["id0"]

    assert "service_tier" not in request_parameters(MODEL)
    assert request_parameters(flex)["service_tier"] == "flex"
    assert request.fingerprint(flex) != request.fingerprint(MODEL)
