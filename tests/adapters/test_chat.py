"""The request engine keeps the limits, loses nothing, and stops when told. Failures: `test_chat_errors.py`."""

import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from rageval.adapters.chat_call import ChatReply, ChatRequest
from rageval.config import ModelConfig
from rageval.errors import RunStoppedError
from tests.adapters.asking import WAIT_S, Asker, eventually, script
from tests.fake_llm import Body, Bucket, FakeLLM, Reply, prompt


@pytest.fixture
def ask(llm: FakeLLM) -> Iterator[Asker]:
    asker = Asker(llm)
    yield asker
    asker.engine.close()


def test_every_request_is_sent_once_and_gets_its_own_reply(llm: FakeLLM, ask: Asker) -> None:
    llm.reply = lambda body: f"re: {prompt(body)}"
    replies = ask(500)
    assert [reply.text for reply in replies] == [f"re: q{number}" for number in range(500)]
    assert {reply.attempts for reply in replies} == {1}
    assert Counter(prompt(body) for body in llm.requests) == Counter(f"q{number}" for number in range(500))


def test_a_configured_limit_is_never_run_into(llm: FakeLLM, ask: Asker) -> None:
    llm.requests_limit = Bucket(per_minute=600)
    ask(25, rpm=600)
    assert llm.refused == 0
    # All but the last must fit into 10/s x (window + 0.65 s), the share of the second's worth that the server's headers
    # show: 24 of them take 1.75 s or more; 5 s would be half the rate.
    assert 1.7 <= llm.admitted[-1] - llm.admitted[0] <= 5


def test_an_unknown_limit_is_learnt_from_the_headers(llm: FakeLLM, ask: Asker) -> None:
    llm.requests_limit = Bucket(per_minute=1200)
    replies = ask(60)
    assert all(reply.text for reply in replies)
    assert llm.refused <= 3


def test_a_limit_that_the_server_does_not_tell_loses_no_request(llm: FakeLLM, ask: Asker) -> None:
    llm.requests_limit, llm.headers_on, llm.retry_after_on = Bucket(per_minute=1200), False, False
    replies = ask(60)
    assert all(reply.text for reply in replies)
    assert 0 < llm.refused <= 40
    # Each refusal is an attempt, and none is counted twice or lost.
    refused = ask.engine.counts["answers"].requests_refused
    assert sum(reply.attempts for reply in replies) == 60 + llm.refused == 60 + refused


def test_one_refusal_pauses_every_request_of_the_model(llm: FakeLLM, ask: Asker) -> None:
    refusal = Reply(status=429, delay_s=0.2, headers={"retry-after-ms": "800"})
    llm.reply = lambda body: refusal if prompt(body) == "q0" and len(llm.admitted) <= 4 else Reply(delay_s=0.3)
    replies = ask(12, max_concurrency=4)
    assert [reply.attempts for reply in replies] == [2] + [1] * 11
    # Four are in flight when the refusal comes; slots are free from 0.3 s on, yet nothing is sent before 0.2 + 0.8 s.
    assert min(llm.admitted[4:]) - llm.admitted[0] >= 1.0


def test_a_refusal_that_asks_for_no_wait_is_not_repeated_at_once(llm: FakeLLM, ask: Asker) -> None:
    script(llm, Reply(status=429, headers={"retry-after": "0"}), "ok")
    assert ask()[0].attempts == 2
    assert llm.admitted[1] - llm.admitted[0] >= 0.9


def test_a_paused_model_does_not_hold_up_another_one(llm: FakeLLM, ask: Asker) -> None:
    refused = threading.Event()

    def reply(body: dict[str, object]) -> str | Reply:
        if body["model"] == "b":
            return "ok"
        refused.set()
        return Reply(status=429, headers={"retry-after": "20"})

    llm.reply = reply
    waiting = ask.start(3, name="a")
    assert refused.wait(WAIT_S)
    assert [reply.text for reply in ask(20, name="label", model="b")] == ["ok"] * 20
    assert not waiting.done()


def test_answers_and_verdicts_of_one_model_share_its_limit(llm: FakeLLM, ask: Asker) -> None:
    ask(1, rpm=1200)
    answers = ask.start(15, rpm=1200, label="answers")
    verdicts = ask.start(15, rpm=1200, label="verdicts", name="judge", model="m")
    answers.result(WAIT_S)
    verdicts.result(WAIT_S)
    # 30 at 20 a second take 29/20 - 0.2 = 1.25 s or more; with a budget each it would be 0.5 s.
    assert llm.admitted[-1] - llm.admitted[1] >= 1.1
    assert (ask.engine.counts["answers"].done, ask.engine.counts["verdicts"].done) == (16, 15)


def test_no_more_requests_are_in_flight_than_allowed(llm: FakeLLM, ask: Asker) -> None:
    llm.reply = lambda _: Reply(delay_s=0.02)
    ask(60, max_concurrency=5)
    assert llm.peak == 5


def test_concurrency_grows_while_the_server_keeps_up(llm: FakeLLM, ask: Asker) -> None:
    llm.reply = lambda _: Reply(delay_s=0.3)
    ask(100, max_concurrency=32)
    assert 16 < llm.peak <= 32


def test_a_request_that_hangs_is_cancelled_and_sent_again(llm: FakeLLM, ask: Asker) -> None:
    script(llm, Reply(hang=True), "ok")
    (reply,) = ask(timeout_s=0.2)
    assert (reply.text, reply.attempts) == ("ok", 2)
    assert eventually(lambda: llm.gone == 1)
    assert reply.latency_s is not None
    assert reply.latency_s < 0.2


def test_a_request_is_given_up_at_its_deadline(llm: FakeLLM, ask: Asker) -> None:
    llm.reply = lambda _: Reply(hang=True)
    (reply,) = ask(timeout_s=0.2, deadline_s=0.5)
    assert reply.text is None
    assert reply.error == "no answer within the deadline of 0.5 s; last: no reply within 0.2 s"
    assert reply.attempts in (2, 3)


def test_waiting_behind_others_is_not_held_against_a_request(llm: FakeLLM, ask: Asker) -> None:
    # Six at 2 a second: the last is sent after 6/2 - 0.2 - 0.5 = 2.3 s, long after the deadline of one request.
    replies = ask(6, rpm=120, deadline_s=1.2)
    assert [reply.error for reply in replies] == [None] * 6
    assert llm.admitted[-1] - llm.admitted[0] >= 2.2


def test_stop_ends_everything_in_flight_until_the_next_run(llm: FakeLLM, ask: Asker) -> None:
    llm.reply = lambda _: Reply(hang=True)
    running = [ask.start(30), ask.start(30, name="other")]
    assert eventually(lambda: llm.in_flight >= 2)
    stopped_at = time.monotonic()
    ask.engine.stop(RunStoppedError("it was interrupted"))
    for future in running:
        with pytest.raises(RunStoppedError, match="it was interrupted"):
            future.result(WAIT_S)
    assert time.monotonic() - stopped_at < 1
    assert eventually(lambda: llm.in_flight == 0)
    sent = len(llm.requests)
    with pytest.raises(RunStoppedError, match="it was interrupted"):
        ask()
    assert len(llm.requests) == sent
    llm.reply = lambda _: "ok"
    ask.engine.start_run()
    assert ask()[0].text == "ok"


def test_a_stop_reaches_its_callers_even_if_the_next_run_starts_at_once(llm: FakeLLM, ask: Asker) -> None:
    llm.reply = lambda _: Reply(hang=True)
    running = ask.start(3)
    assert eventually(lambda: llm.in_flight == 3)
    ask.engine.stop(RunStoppedError("it was interrupted"))
    ask.engine.start_run()
    with pytest.raises(RunStoppedError, match="it was interrupted"):
        running.result(WAIT_S)


def test_an_error_while_storing_a_reply_ends_the_submit_with_it(llm: FakeLLM, ask: Asker) -> None:
    def full(position: int, _: ChatReply) -> None:
        if position == 3:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        ask.start(200, full, max_concurrency=2).result(WAIT_S)
    assert len(llm.requests) < 200
    assert ask()[0].text


def test_only_configured_parameters_are_sent_and_as_json(llm: FakeLLM, ask: Asker) -> None:
    ask(["a"])
    # YAML reads {50256: -100} with a number for a key.
    ask(["b"], temperature=0.0, max_completion_tokens=9, extra_body={"logit_bias": {50256: -100}}, model="served")
    messages = [{"role": "user", "content": "a"}]
    assert llm.requests[0] == {"model": "m", "messages": messages}
    assert llm.requests[1] | {"messages": messages} == {
        "model": "served", "messages": messages, "temperature": 0.0, "max_completion_tokens": 9,
        "logit_bias": {"50256": -100},
    }  # fmt: skip


def test_a_fingerprint_follows_what_is_asked_and_not_where() -> None:
    request = ChatRequest(messages=[{"role": "user", "content": "a"}])
    model = ModelConfig(name="m", extra_body={"logit_bias": {50256: -100}})
    first = request.fingerprint(model)
    same = {"base_url": "http://x", "api_key_env": "OTHER", "rpm": 5, "name": "label", "model": "m", "timeout_s": 1}
    assert request.fingerprint(model.model_copy(update=same)) == first
    for other in ({"name": "m2"}, {"temperature": 0.0}, {"max_completion_tokens": 5}, {"extra_body": {}}):
        assert request.fingerprint(model.model_copy(update=other)) != first
    formatted = ChatRequest(messages=request.messages, response_format={"type": "json_object"})
    assert formatted.fingerprint(model) != first


def test_a_reply_costs_its_tokens_at_the_configured_price_and_nothing_unknown(llm: FakeLLM, ask: Asker) -> None:
    llm.reply = lambda _: "x" * 40
    # The server counts 4 characters a token: 100 x 2 + 10 x 10 dollars a million.
    (reply,) = ask(["y" * 400], input_usd_per_mtok=2, output_usd_per_mtok=10)
    assert reply.cost_usd == pytest.approx(3e-4)
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (100, 10)
    assert ask.engine.counts["answers"].cost_usd == pytest.approx(3e-4)
    assert ask(name="nobody-sells-this")[0].cost_usd is None
    assert ask(name="local")[0].cost_usd == 0
    # gpt-4o-mini: 0.15 and 0.60 dollars a million, 100 and 10 tokens.
    assert ask(["y" * 400], name="gpt-4o-mini")[0].cost_usd == pytest.approx(2.1e-5)


def test_a_reply_that_is_far_later_than_usual_is_asked_for_once_more(llm: FakeLLM, ask: Asker) -> None:
    hung = []

    def reply(body: Body) -> Reply:
        if "late" in body["messages"][0]["content"] and not hung:
            hung.append(body)
            return Reply(hang=True)
        return Reply(delay_s=0.02)

    llm.reply = reply
    replies = ask([*[f"q{number}" for number in range(60)], "late"], max_concurrency=8, timeout_s=20)
    # Five times the usual 0.02 s is less than the least wait of 0.25 s, and far less than the time-out of 20 s.
    assert all(reply.text for reply in replies)
    assert replies[-1].attempts == 2
    assert len(llm.requests) <= 61 + 2  # one in fifty, and one more
    assert eventually(lambda: llm.gone >= 1)


def test_hedging_can_be_switched_off(llm: FakeLLM, ask: Asker) -> None:
    llm.reply = lambda body: Reply(delay_s=1.0 if "late" in body["messages"][0]["content"] else 0.01)
    replies = ask([*[f"q{number}" for number in range(40)], "late"], max_concurrency=8, hedge=False)
    assert len(llm.requests) == 41
    assert replies[-1].attempts == 1
