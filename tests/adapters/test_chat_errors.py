"""What can go wrong with a request: tried again, a row, or the end of the run; and no key in any of it."""

import base64
import socket
import traceback

import pytest

from rageval.config.models import ModelConfig
from rageval.engine.endpoint import endpoint_url, hidden_values
from rageval.errors import ConfigError, CredentialsError, RagevalError, RunStoppedError, ServiceError
from tests.adapters.asking import Asker, script
from tests.fake_llm import FakeLLM, Reply, prompt

KEY = "sk-test-0123456789abcdef"
FORMAT = {"type": "json_object"}
NOT_A_COMPLETION = "the reply is not the JSON of a chat completion"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Reply(drop=True), "connection failed"),
        (Reply(status=500), "HTTP 500: the server had an error"),
        (Reply(status=503, error="busy\n\n now"), "HTTP 503: busy now"),
        (Reply(status=408), "HTTP 408"),
        (Reply(choices=False), "the reply holds no choices"),
        (Reply(raw=b'{"choices": [{"mess'), NOT_A_COMPLETION),
        (Reply(raw=b"<html>"), NOT_A_COMPLETION),
        (Reply(raw=b"null"), NOT_A_COMPLETION),
        (Reply(raw=b'{"choices": ["text"]}'), NOT_A_COMPLETION),
        (Reply(raw=b'{"choices": {"a": 1}}'), NOT_A_COMPLETION),
        (Reply(raw=b'{"choices": [{"message": {"content": [1]}, "finish_reason": "stop"}]}'), NOT_A_COMPLETION),
    ],
)
def test_a_fault_is_tried_again_and_becomes_a_row_when_it_stays(
    llm: FakeLLM, ask: Asker, fault: Reply, error: str
) -> None:
    script(llm, fault, fault, "ok")
    (reply,) = ask()
    assert (reply.text, reply.error, reply.attempts, len(llm.requests)) == ("ok", None, 3, 3)
    script(llm, fault)
    (reply,) = ask(max_attempts=2)
    assert reply.text is None
    assert reply.error is not None
    assert reply.error.startswith(error)
    assert reply.error.endswith("(attempt 2 of 2)")
    assert (reply.attempts, len(llm.requests)) == (2, 5)


def test_what_is_filled_in_reaches_the_server_and_no_error_even_where_the_server_repeats_it(
    llm: FakeLLM, ask: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGIN", "somebody:hunter2%2F2")
    monkeypatch.setenv("TEAM_TOKEN", "hunter2-team")
    url = llm.url.replace("http://", "http://${LOGIN}@")
    script(llm, Reply(status=400, error="hunter2-team may not ask, says hunter2/2"))
    (reply,) = ask(base_url=url, extra_body={"auth": {"token": "Bearer ${TEAM_TOKEN}"}})
    assert llm.requests[0]["auth"] == {"token": "Bearer hunter2-team"}
    assert llm.keys == ["Basic " + base64.b64encode(b"somebody:hunter2/2").decode()]
    assert reply.error == "HTTP 400: [key] may not ask, says [key]"

    script(llm, Reply(status=404))
    with pytest.raises(ConfigError) as unknown:
        ask(base_url=url)
    assert f"the endpoint {llm.url} does not know the model" in str(unknown.value)
    assert "hunter2" not in "".join(traceback.format_exception(unknown.value))


def test_what_cannot_be_filled_in_ends_the_run_before_anything_is_sent(
    llm: FakeLLM, ask: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_ADDRESS", "hunter2")
    for settings, message in (
        ({"base_url": "https://host/v1?sig=${NOT_SET}"}, "https://host/v1 needs the environment variable NOT_SET"),
        ({"base_url": "${NO_ADDRESS}"}, r"the endpoint \$\{NO_ADDRESS\} of the model 'm' is no address"),
        ({"extra_body": {"token": "${NOT_SET}"}}, "needs the environment variable NOT_SET"),
    ):
        with pytest.raises(ConfigError, match=message) as raised:
            ask(**settings)
        assert "hunter2" not in str(raised.value)
    assert llm.requests == []


def test_the_address_of_the_environment_is_shown_without_its_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "https://somebody:hunter2@host/v1?sig=hunter2-too")
    model = ModelConfig(name="m")
    assert endpoint_url(model) == "https://host/v1"
    assert {"hunter2", "hunter2-too"} <= hidden_values(model)


def test_a_refusal_is_an_attempt_but_not_a_fault(llm: FakeLLM, ask: Asker) -> None:
    refusal = Reply(status=429, headers={"retry-after-ms": "5"})
    script(llm, refusal, refusal, refusal, Reply(status=500), Reply(status=500))
    (reply,) = ask(max_attempts=2)
    assert reply.error == "HTTP 500: the server had an error (attempt 2 of 2)"
    assert reply.attempts == 5


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (Reply(status=400, error="no such parameter"), "HTTP 400: no such parameter"),
        (Reply(status=413, error="too long"), "HTTP 413: too long"),
        (Reply(finish_reason="content_filter"), "the provider's content filter withheld the reply"),
        (Reply(text=" \n"), "the reply is empty (finish_reason stop)"),
        (Reply(text=None), "the reply is empty (finish_reason stop)"),
        (Reply(text="", finish_reason="length"), "raise max_completion_tokens"),
    ],
)
def test_what_would_fail_again_becomes_a_row_at_once_and_others_go_on(
    llm: FakeLLM, ask: Asker, bad: Reply, error: str
) -> None:
    llm.reply = lambda body: bad if prompt(body) == "q1" else "ok"
    replies = ask(3)
    assert [reply.text for reply in replies] == ["ok", None, "ok"]
    assert error in (replies[1].error or "")
    assert len(llm.requests) == 3
    counts = ask.engine.counts["answers"]
    assert (counts.done, counts.failed, counts.in_flight) == (3, 1, 0)


def test_a_reply_that_cannot_be_used_was_paid_for(llm: FakeLLM, ask: Asker) -> None:
    llm.reply = lambda _: Reply(text="x" * 40, finish_reason="content_filter")
    (reply,) = ask(["y" * 400], input_usd_per_mtok=2, output_usd_per_mtok=10)
    # 100 x 2 + 10 x 10 dollars a million
    assert (reply.finish_reason, reply.cost_usd) == ("content_filter", pytest.approx(3e-4))


def test_a_text_cut_for_its_length_is_an_answer(llm: FakeLLM, ask: Asker) -> None:
    llm.reply = lambda _: Reply(text="The first half", finish_reason="length")
    (reply,) = ask()
    assert (reply.text, reply.error, reply.finish_reason) == ("The first half", None, "length")


def test_odd_texts_and_counts_become_what_tables_can_hold(llm: FakeLLM, ask: Asker) -> None:
    choice = b'{"message": {"content": "a\\ud800 \\ud83d\\ude42"}, "finish_reason": null}'
    usage = b'{"prompt_tokens": 1e30, "completion_tokens": -5, "completion_tokens_details": {"reasoning_tokens": "x"}}'
    llm.reply = lambda _: Reply(raw=b'{"choices": [' + choice + b'], "usage": ' + usage + b"}")
    (reply,) = ask()
    assert reply.text == "a\N{REPLACEMENT CHARACTER} \N{SLIGHTLY SMILING FACE}"
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.usage.reasoning_tokens) == (None,) * 3


@pytest.mark.parametrize(
    ("reply", "kind", "message"),
    [
        (Reply(status=401, error=f"Incorrect key {KEY}"), CredentialsError, "refused the key in OPENAI_API_KEY"),
        (Reply(status=403, error=f"No access for {KEY}"), CredentialsError, "refused the key in OPENAI_API_KEY"),
        (Reply(status=404), ConfigError, "does not know the model 'm'"),
        (Reply(status=400, error="No connected db.", code="no_db_connection"), CredentialsError, "HTTP 400: .No conn"),
        (Reply(status=400, error=f"API key not valid: {KEY}"), CredentialsError, "refused the key in OPENAI_API_KEY"),
        (Reply(status=400, error="Invalid model name passed in model=m."), ConfigError, "does not know the model 'm'"),
        (Reply(status=400, error="x-portkey-provider header is required"), ConfigError, "set it in `headers`"),
        (Reply(status=400, error="Invalid provider passed"), ConfigError, "wants another header"),
        (Reply(status=402), RunStoppedError, "the credit .* is spent"),
        (Reply(status=402, error="more credits, or fewer max_tokens"), RunStoppedError, "402: more credits, or fewer"),
        (Reply(status=429, code="insufficient_quota"), RunStoppedError, r"is spent \(HTTP 429: .*\); add credit"),
        (
            Reply(status=403, error="Insufficient Balance"),
            RunStoppedError,
            r"is spent \(HTTP 403: Insufficient Balance",
        ),
        (Reply(status=429, error="Limit 200 on requests per day"), RunStoppedError, "a day .* Limit 200 on requests"),
        (Reply(status=429, error="free-models-per-day exceeded"), RunStoppedError, "the limit of requests a day"),
        (Reply(status=429, error="limited to 1000 calls / month"), RunStoppedError, "the credit .* is spent"),
        (Reply(status=429, headers={"retry-after": "7200"}), RunStoppedError, "asks to wait 7200 s"),
    ],
)
def test_what_no_request_can_survive_ends_the_run(
    llm: FakeLLM, ask: Asker, monkeypatch: pytest.MonkeyPatch, reply: Reply, kind: type[RagevalError], message: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    llm.reply = lambda _: reply
    with pytest.raises(kind, match=message) as raised:
        ask(50, max_concurrency=2)
    assert llm.keys[0] == KEY
    assert KEY not in "".join(traceback.format_exception(raised.value))
    with pytest.raises(kind, match=message):
        ask(50)
    # Those in flight at once when the first reply came, or the four that have to be refused; and none after.
    assert len(llm.requests) <= 4 + 2
    llm.reply = lambda _: "ok"
    ask.next_run()
    assert ask()[0].text == "ok"


def test_twenty_failures_in_a_row_end_the_run(llm: FakeLLM, ask: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    llm.reply = lambda body: "ok" if prompt(body) == "q19" else Reply(status=500, error=f"crashed for {KEY}")
    # 19 failures, a success, 10 failures: never 20 in a row.
    replies = ask(30, max_attempts=1, max_concurrency=1)
    assert sum(reply.error is not None for reply in replies) == 29
    ask.next_run()
    llm.requests.clear()
    llm.reply = lambda _: Reply(status=500, error=f"crashed for {KEY}")
    with pytest.raises(RunStoppedError, match=r"the last 20 requests to 'm' .* HTTP 500: crashed for \[key\]"):
        ask(60, max_attempts=1, max_concurrency=1)
    assert len(llm.requests) == 20


def test_twenty_deadlines_in_a_row_end_the_run_too(llm: FakeLLM, ask: Asker) -> None:
    llm.reply = lambda _: Reply(hang=True)
    with pytest.raises(RunStoppedError, match=r"the last 20 requests .* no answer within the deadline of 0\.1 s"):
        ask(100, deadline_s=0.1)


@pytest.mark.parametrize("status", [400, 500])
def test_a_key_that_the_server_repeats_is_not_stored(
    llm: FakeLLM, ask: Asker, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    # The second one is cut to 500 characters, in the middle of the key.
    script(llm, Reply(status=status, error=f"bad {KEY}!"), Reply(status=status, error="x" * 485 + KEY))
    errors = [ask(max_attempts=1)[0].error or "" for _ in range(2)]
    assert errors[0].startswith(f"HTTP {status}: bad [key]!")
    assert "sk-test" not in errors[1]


def test_a_missing_or_impossible_key_shows_before_any_request(ask: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = {"base_url": "https://llm.invalid/v1", "api_key_env": "SOME_KEY"}
    with pytest.raises(CredentialsError, match=r"SOME_KEY is not set; set it, .* or use --model local"):
        ask(**remote)
    monkeypatch.setenv("SOME_KEY", "sk\N{EN DASH}1234")
    with pytest.raises(CredentialsError, match="the key in SOME_KEY holds characters") as raised:
        ask(**remote)
    assert "1234" not in str(raised.value)


@pytest.mark.parametrize("key", ["x", "none", "EMPTY"])
def test_what_stands_in_for_a_key_is_not_cut_out_of_messages(
    llm: FakeLLM, ask: Asker, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    llm.reply = lambda _: Reply(status=400, error="max_tokens: none, EMPTY")
    assert ask()[0].error == "HTTP 400: max_tokens: none, EMPTY"


def test_the_query_of_an_address_stays_at_its_end(llm: FakeLLM, ask: Asker) -> None:
    for query in ("", "?api-version=2024-10-21", "?a=1&b=x%20y&empty="):
        for path in ("", "/"):
            assert ask(base_url=f"{llm.url}{path}{query}")[0].text == "Answer: q0"
            assert llm.queries.pop() == query.removeprefix("?").replace("%20", " ")


def test_an_address_of_ipv6_is_an_address_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with FakeLLM("::1") as llm:
        asker = Asker(llm)
        asker.engine.check(ModelConfig(name="m", base_url=llm.url))
        assert asker()[0].text == "Answer: q0"  # without a key
        asker.engine.close()


def test_the_embedded_model_is_never_sent_a_key(llm: FakeLLM, ask: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    ask(name="local")
    assert llm.keys == ["none"]


@pytest.mark.parametrize(
    ("status", "error"), [(402, "flagged"), (403, "flagged"), (404, "flagged"), (400, "is the model m not found?")]
)
@pytest.mark.parametrize("max_concurrency", [1, 8])
def test_a_refusal_of_one_prompt_is_a_row_wherever_it_comes(
    llm: FakeLLM, ask: Asker, status: int, error: str, max_concurrency: int
) -> None:
    for odd in ("q0", "q3", "q9"):
        llm.reply = lambda body, odd=odd: Reply(status=status, error=error) if prompt(body) == odd else "ok"
        replies = ask(10, max_concurrency=max_concurrency)
        ask.next_run()
        assert {f"q{n}": reply.error for n, reply in enumerate(replies) if reply.error} == {
            odd: f"HTTP {status}: {error}"
        }


def test_a_refusal_alone_is_a_row_where_an_earlier_start_got_replies(llm: FakeLLM, ask: Asker) -> None:
    llm.reply = lambda _: Reply(status=403, error="flagged")
    ask.engine.expect("answers", 25, stored=24)
    assert ask()[0].error == "HTTP 403: flagged"
    ask.next_run()
    with pytest.raises(CredentialsError, match='HTTP 403: "flagged"'):
        ask()


@pytest.mark.parametrize(("answered", "most"), [(False, 20), (True, 100)])
def test_requests_that_are_all_refused_alike_are_not_all_sent(
    llm: FakeLLM, ask: Asker, answered: bool, most: int
) -> None:
    llm.reply = lambda body: (
        "ok" if answered and prompt(body) == "q0" else Reply(status=400, error=f"no {prompt(body)}")
    )
    with pytest.raises(RunStoppedError, match=rf"the last {most} requests to 'm' .* HTTP 400: no q\d+"):
        ask(300, max_concurrency=1)
    assert len(llm.requests) == most + answered


def test_prompts_that_a_filter_refuses_are_rows_however_many(llm: FakeLLM, ask: Asker) -> None:
    llm.reply = lambda _: Reply(status=400, error="The prompt was flagged.", code="content_filter")
    assert {reply.error for reply in ask(120)} == {"HTTP 400: The prompt was flagged."}


@pytest.mark.parametrize("status", [400, 404, 422, 501])
def test_a_server_that_knows_no_formats_is_asked_again_without_and_remembered(
    llm: FakeLLM, ask: Asker, status: int
) -> None:
    # The refusal of "slow" comes when another reply has already shown that formats are refused.
    llm.reply = lambda body: (
        Reply(status=status, delay_s=0.4 * (prompt(body) == "slow")) if "response_format" in body else "{}"
    )
    replies = ask(["slow", "fast"], response_format=FORMAT)
    assert [(reply.text, reply.attempts) for reply in replies] == [("{}", 2)] * 2
    assert ask(response_format=FORMAT)[0].attempts == 1
    assert ["response_format" in body for body in llm.requests] == [True, True, False, False, False]


def test_a_server_that_formats_break_is_asked_without_and_believed_after_a_few(llm: FakeLLM, ask: Asker) -> None:
    llm.reply = lambda body: Reply(status=500) if "response_format" in body else "{}"
    attempts = [ask(response_format=FORMAT)[0].attempts for _ in range(4)]
    assert attempts == [2, 2, 2, 1]


def test_an_accident_of_the_server_does_not_switch_formats_off(llm: FakeLLM, ask: Asker) -> None:
    script(llm, Reply(status=500), "{}")
    ask(response_format=FORMAT)
    ask(response_format=FORMAT)
    assert ["response_format" in body for body in llm.requests] == [True, False, True]


def test_another_reason_to_refuse_a_formatted_request_stays_a_row(llm: FakeLLM, ask: Asker) -> None:
    script(llm, Reply(status=400, error="too long"), Reply(status=400, error="too long"), "{}")
    assert ask(response_format=FORMAT)[0].error == "HTTP 400: too long"
    assert ask(response_format=FORMAT)[0].text == "{}"  # with its format: nothing was learnt from that
    assert "response_format" in llm.requests[2]
    script(llm, Reply(status=400, error="too long"))
    assert ask(response_format=FORMAT)[0].attempts == 1  # the server is known to know formats


def test_the_check_of_an_endpoint_finds_what_is_wrong_and_costs_nothing(
    llm: FakeLLM, ask: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    model = ModelConfig(name="m", base_url=llm.url)
    ask.engine.check(model)
    for status in (403, 404):  # not every server lists its models, nor may every key see the list
        llm.models_status = status
        ask.engine.check(model)
    for status, message in ((401, "no"), (400, "Unauthorized: no connected db")):  # the second one is LiteLLM's
        llm.models_status, llm.models_error = status, message
        with pytest.raises(CredentialsError, match="refused the key in OPENAI_API_KEY"):
            ask.engine.check(model)
    assert llm.requests == []
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = ModelConfig(name="m", base_url=f"http://127.0.0.1:{closed.getsockname()[1]}/v1")
        with pytest.raises(ServiceError, match=r"cannot be reached; check that it runs, or name another one"):
            ask.engine.check(nobody)
    assert llm.requests == []
