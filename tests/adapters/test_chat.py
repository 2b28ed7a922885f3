"""The request engine keeps the limits, loses nothing, and stops when told. Failures: `test_chat_errors.py`."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from rageval.config.models import ModelConfig
from rageval.engine.requests import ChatReply, ChatRequest
from rageval.errors import RunStoppedError
from tests.adapters.asking import WAIT_S, Asker, script, until
from tests.adapters.clocks import ScriptedLoop
from tests.fake_llm import Body, Bucket, FakeLLM, Reply, prompt


@pytest.fixture
def clock() -> ScriptedLoop:
    """The time of `still`."""
    return ScriptedLoop()


@pytest.fixture
def still(llm: FakeLLM, clock: ScriptedLoop) -> Iterator[Asker]:
    """As `ask`, but no limit, pause or time-out ends before the test lets time pass."""
    asker = Asker(llm, clock)
    yield asker
    asker.engine.close()


def passing_time(asker: Asker, clock: ScriptedLoop) -> bool:
    """Let an eighth of a second pass if nothing is in flight: on its way, a request takes no time."""
    if not asker.engine.counts["answers"].in_flight:
        clock.advance(1 / 8)
    return True


def let_time_pass(asker: Asker, clock: ScriptedLoop, answers: Future[None]) -> None:
    """Let as much time pass as the answers take."""
    until(lambda: answers.done() or not passing_time(asker, clock))
    answers.result()


def asked_meanwhile(llm: FakeLLM, asker: Asker) -> int:
    """Return how many requests have been made, once one that nothing holds up has been answered."""
    asker(["by the way"], name="another", label="others")
    return sum(body["model"] != "another" for body in llm.requests)


def test_every_request_is_sent_once_and_gets_its_own_reply(llm: FakeLLM, ask: Asker) -> None:
    llm.reply = lambda body: f"re: {prompt(body)}"
    replies = ask(500)
    assert [reply.text for reply in replies] == [f"re: q{number}" for number in range(500)]
    assert {reply.attempts for reply in replies} == {1}
    assert Counter(prompt(body) for body in llm.requests) == Counter(f"q{number}" for number in range(500))


# One is due every 1/8 s, and may be sent 0.2 s before that, and 0.65 s where the server's headers show how full its own
# bucket is: two at once, or six, the sixth being due at 5/8 s. One after the other, as headers of several may overtake.
@pytest.mark.parametrize(("headers_on", "at_once"), [(False, 2), (True, 6)])
def test_a_configured_limit_is_used_and_never_run_into(
    llm: FakeLLM, still: Asker, clock: ScriptedLoop, headers_on: bool, at_once: int
) -> None:
    llm.requests_limit, llm.headers_on = Bucket(per_minute=480, clock=clock.time), headers_on
    answers = still.start(25, rpm=480, max_concurrency=1)
    for sent in range(at_once, 26):
        until(lambda: len(llm.requests) >= sent)  # noqa: B023 - it is over when the next round begins
        assert len(llm.requests) == sent
        clock.advance(1 / 8)
    answers.result(WAIT_S)
    assert llm.refused == 0


def test_an_unknown_limit_is_learnt_from_the_headers(llm: FakeLLM, still: Asker, clock: ScriptedLoop) -> None:
    llm.requests_limit = Bucket(per_minute=1200, clock=clock.time)
    let_time_pass(still, clock, still.start(60))
    assert len(llm.requests) == 60
    assert llm.refused <= 3


def test_a_limit_that_the_server_does_not_tell_loses_no_request(
    llm: FakeLLM, still: Asker, clock: ScriptedLoop
) -> None:
    llm.requests_limit = Bucket(per_minute=1200, clock=clock.time)
    llm.headers_on = llm.retry_after_on = False
    replies: dict[int, ChatReply] = {}
    answers = still.start(60, replies.__setitem__)
    until(lambda: llm.refused > 0)  # no time has passed: 60 are more than the 20 that it gives at once
    let_time_pass(still, clock, answers)
    assert all(reply.text for reply in replies.values())
    assert llm.refused <= 40
    # Each refusal is an attempt, and none is counted twice or lost.
    refused = still.engine.counts["answers"].requests_refused
    assert sum(reply.attempts for reply in replies.values()) == 60 + llm.refused == 60 + refused


def test_one_refusal_pauses_every_request_of_the_model(llm: FakeLLM, still: Asker, clock: ScriptedLoop) -> None:
    def reply(body: Body) -> Reply:
        if prompt(body) == "q0" and len(llm.requests) <= 4:
            return Reply(status=429, headers={"retry-after": "30"})
        # Slots are free again only when the refusal has come.
        return Reply(after=lambda: still.engine.counts["answers"].requests_refused == 1)

    llm.reply = reply
    replies: dict[int, ChatReply] = {}
    answers = still.start(12, replies.__setitem__, max_concurrency=4)
    until(lambda: len(replies) == 3)
    for seconds in (0, 29):
        clock.advance(seconds)
        assert asked_meanwhile(llm, still) == 4
    let_time_pass(still, clock, answers)
    assert [replies[number].attempts for number in range(12)] == [2] + [1] * 11


def test_a_refusal_that_asks_for_no_wait_is_not_repeated_at_once(
    llm: FakeLLM, still: Asker, clock: ScriptedLoop
) -> None:
    script(llm, Reply(status=429, headers={"retry-after": "0"}), "ok")
    answer = still.start(1)
    until(lambda: llm.in_flight == 0 and still.engine.counts["answers"].requests_refused == 1)
    for seconds in (0, 0.9):
        clock.advance(seconds)
        assert asked_meanwhile(llm, still) == 1
    let_time_pass(still, clock, answer)
    assert asked_meanwhile(llm, still) == 2


def test_a_paused_model_does_not_hold_up_another_one(llm: FakeLLM, ask: Asker) -> None:
    refused = threading.Event()

    def reply(body: dict[str, object]) -> str | Reply:
        if body["model"] == "b":
            return "ok"
        refused.set()
        return Reply(status=429, headers={"retry-after": "600"})

    llm.reply = reply
    waiting = ask.start(3, name="a")
    assert refused.wait(WAIT_S)
    assert [reply.text for reply in ask(20, name="label", model="b")] == ["ok"] * 20
    assert not waiting.done()


def test_answers_and_verdicts_of_one_model_share_its_limit(llm: FakeLLM, still: Asker, clock: ScriptedLoop) -> None:
    answers = still.start(10, rpm=480, label="answers")
    verdicts = still.start(10, rpm=480, label="verdicts", name="judge", model="m")
    # One is due every 1/8 s, and 0.2 s before that: at once two, of both together.
    for sent in range(2, 21):
        until(lambda: len(llm.requests) >= sent)  # noqa: B023 - it is over when the next round begins
        assert len(llm.requests) == sent
        clock.advance(1 / 8)
    answers.result(WAIT_S)
    verdicts.result(WAIT_S)
    assert [still.engine.counts[label].done for label in ("answers", "verdicts")] == [10, 10]


def test_no_more_requests_are_in_flight_than_allowed(llm: FakeLLM, ask: Asker) -> None:
    # Until the first reply has come, only a few are sent; from then on as many as may be.
    llm.reply = lambda _: Reply(after=lambda: llm.peak >= 5) if len(llm.requests) > 1 else "ok"
    ask(60, max_concurrency=5)
    assert llm.peak == 5


def test_a_request_that_hangs_is_cancelled_and_sent_again(llm: FakeLLM, still: Asker, clock: ScriptedLoop) -> None:
    script(llm, Reply(hang=True), "ok")
    replies: dict[int, ChatReply] = {}
    answer = still.start(1, replies.__setitem__, timeout_s=60)
    until(lambda: llm.in_flight == 1)
    clock.advance(60)
    let_time_pass(still, clock, answer)
    assert (replies[0].text, replies[0].attempts) == ("ok", 2)
    until(lambda: llm.gone == 1)


def test_a_request_is_given_up_at_its_deadline(llm: FakeLLM, still: Asker, clock: ScriptedLoop) -> None:
    llm.reply = lambda _: Reply(hang=True)
    replies: dict[int, ChatReply] = {}
    answer = still.start(1, replies.__setitem__, timeout_s=60, deadline_s=150)
    for attempt, seconds in ((1, 60), (2, 60), (3, 40)):  # and what lies between them
        until(lambda: passing_time(still, clock) and len(llm.requests) == attempt)  # noqa: B023 - as above
        clock.advance(seconds)
    answer.result(WAIT_S)
    assert replies[0].error == "no answer within the deadline of 150 s; last: no reply within 60 s"
    assert (replies[0].text, replies[0].attempts) == (None, 3)


def test_waiting_behind_others_is_not_held_against_a_request(llm: FakeLLM, still: Asker, clock: ScriptedLoop) -> None:
    # Six at twelve a minute: the last one is sent after 25 s, long after the deadline of one request.
    replies: dict[int, ChatReply] = {}
    let_time_pass(still, clock, still.start(6, replies.__setitem__, rpm=12, deadline_s=10))
    assert clock.now >= 5 * 5 - 0.2
    assert [reply.error for reply in replies.values()] == [None] * 6


def test_stop_ends_everything_in_flight_and_everything_later_of_the_run(llm: FakeLLM, still: Asker) -> None:
    llm.reply = lambda _: Reply(hang=True)
    running = [still.start(30), still.start(30, name="other")]
    until(lambda: llm.in_flight >= 2)
    still.engine.stop(RunStoppedError("it was interrupted"))
    for future in running:
        with pytest.raises(RunStoppedError, match="it was interrupted"):
            future.result(WAIT_S)
    until(lambda: llm.in_flight == 0)
    sent = len(llm.requests)
    with pytest.raises(RunStoppedError, match="it was interrupted"):
        still()
    assert len(llm.requests) == sent
    llm.reply = lambda _: "ok"
    still.next_run()
    assert still()[0].text == "ok"


def test_a_stop_reaches_its_callers_even_if_the_engine_is_closed_at_once(llm: FakeLLM, ask: Asker) -> None:
    llm.reply = lambda _: Reply(hang=True)
    running = ask.start(3)
    until(lambda: llm.in_flight == 3)
    ask.engine.stop(RunStoppedError("it was interrupted"))
    ask.next_run()
    with pytest.raises(RunStoppedError, match="it was interrupted"):
        running.result(WAIT_S)


def test_runs_of_one_process_share_limits_and_neither_stops_nor_counts(llm: FakeLLM, ask: Asker) -> None:
    llm.reply = lambda body: Reply(hang=True) if prompt(body) == "mine" else "ok"
    mine = ask.start(["mine"], max_concurrency=1)
    until(lambda: llm.in_flight == 1)
    other = Asker(llm)
    with other.engine:
        theirs = other.start(["theirs"], max_concurrency=1)
        assert asked_meanwhile(llm, other) == 1  # one at a time, whoever asks
        ask.engine.stop(RunStoppedError("it was interrupted"))
        with pytest.raises(RunStoppedError, match="it was interrupted"):
            mine.result(WAIT_S)
        theirs.result(WAIT_S)
    assert [asker.engine.counts["answers"].done for asker in (ask, other)] == [0, 1]


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


def test_a_reply_that_is_far_later_than_usual_is_asked_for_once_more(
    llm: FakeLLM, still: Asker, clock: ScriptedLoop
) -> None:
    hung = []

    def reply(body: Body) -> str | Reply:
        if "late" in prompt(body) and not hung:
            hung.append(body)
            return Reply(hang=True)
        return "ok"

    llm.reply = reply
    replies: dict[int, ChatReply] = {}
    questions = [*[f"q{number}" for number in range(60)], "late"]
    answers = still.start(questions, replies.__setitem__, max_concurrency=8, timeout_s=3600, deadline_s=7200)
    until(lambda: len(replies) == 60 and llm.in_flight == 1)
    clock.advance(1800)  # far more than five times what the others took, and less than the time-out
    answers.result(WAIT_S)
    assert all(reply.text for reply in replies.values())
    assert replies[60].attempts == 2
    assert len(llm.requests) == 62
    until(lambda: llm.gone == 1)


def test_hedging_can_be_switched_off(llm: FakeLLM, still: Asker, clock: ScriptedLoop) -> None:
    released = threading.Event()
    llm.reply = lambda body: Reply(after=released.is_set) if "late" in prompt(body) else "ok"
    replies: dict[int, ChatReply] = {}
    questions = [*[f"q{number}" for number in range(40)], "late"]
    answers = still.start(
        questions, replies.__setitem__, max_concurrency=8, timeout_s=3600, deadline_s=7200, hedge=False
    )
    until(lambda: len(replies) == 40 and llm.in_flight == 1)
    clock.advance(1800)
    assert asked_meanwhile(llm, still) == 41
    released.set()
    answers.result(WAIT_S)
    assert replies[40].attempts == 1
