"""A system behind HTTP: what is sent, what is read of every form of reply, and what ends a run at once."""

import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from rageval.errors import ConfigError, CredentialsError, RunStoppedError, ServiceError
from rageval.records import Context, Question, Usage
from tests.certificates import certificate
from tests.fake_llm import FakeLLM
from tests.systems.conftest import Ask
from tests.toy_rag import ToyRag

ASKED = "Please explain: worker"
TEXT = "A worker is number 2 of the things that this course explains."


def of_stream(**settings: str) -> dict[str, str]:
    return {"kind": "http", "stream": "sse", "piece_path": "delta", "answer_path": "", **settings}


@pytest.mark.parametrize(
    ("path", "settings"),
    [
        ("/ask", {"kind": "http"}),
        ("/ask?version=2", {"kind": "http", "http_method": "GET", "body": '{"question": "{{ question }}"}'}),
        ("/stream", of_stream(contexts_path="end.contexts", usage_path="usage")),
        ("/lines", of_stream(stream="ndjson")),
    ],
)
def test_answer_contexts_citations_and_tokens_are_read_of_json_and_streams(
    rag: ToyRag, ask: Ask, path: str, settings: dict[str, str]
) -> None:
    rag.documents = rag.documents[:3]
    (reply,) = ask(ASKED, **{"url": rag.url + path, **settings})

    assert reply.error is None
    assert reply.text == TEXT
    assert reply.contexts is not None
    assert reply.contexts[0].id == "d2"
    assert reply.contexts[0].text == TEXT
    assert reply.citations == ("d2",)
    # 22 characters of the question, 61 of the answer.
    assert reply.usage == Usage(prompt_tokens=6, completion_tokens=16)
    assert (reply.first_token_s is not None) == ("stream" in settings)
    assert rag.requests[-1].get("version", "2") == "2", "the query of the URL is kept"


def test_a_body_is_filled_in_with_all_that_is_known_of_a_question_and_headers_with_variables(
    rag: ToyRag, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAG_API_KEY", "s3cret-of-the-rag")
    monkeypatch.setenv("TENANT", "acme")
    rag.key = "s3cret-of-the-rag"
    turns = ({"role": "user", "content": "Hi"}, {"role": "assistant", "content": 'Say "what"?'})
    asked = Question(
        question_id="q", question='Why "${HOME}"?', history=turns, conversation="c7", tags={"tier": "{{ question }}"}
    )
    body = {
        "question": "{{ question }}", "options": {"tenant": "${TENANT}", "about": "to {{ question }}"},
        "history": "{{ history }}", "metadata": "{{ metadata }}", "session": "{{ conversation }}",
    }  # fmt: skip
    headers = [{"name": "x-key", "env": "RAG_API_KEY"}, {"name": "Content-Type", "value": "application/vnd.rag+json"}]
    (reply,) = ask(asked, kind="http", url=rag.url + "/ask", body=json.dumps(body), headers=headers)

    assert reply.error is None
    assert rag.requests == [
        {
            "question": 'Why "${HOME}"?', "options": {"tenant": "acme", "about": 'to Why "${HOME}"?'},
            "history": list(turns), "metadata": {"tier": "{{ question }}"}, "session": "c7",
        }
    ]  # fmt: skip
    assert rag.headers[0]["content-type"] == "application/vnd.rag+json"


@pytest.mark.parametrize(
    ("reply", "settings", "contexts"),
    [
        ({"answer": "A", "contexts": ["one", "two"]}, {}, [Context(text="one"), Context(text="two")]),
        (
            {"answer": "A", "ids": [7, "d8"], "texts": ["one", "two"], "by": [0.5, None]},
            {"contexts_path": "texts", "context_ids_path": "ids", "context_scores_path": "by"},
            [Context(id="7", text="one", score=0.5), Context(id="d8", text="two")],
        ),
        ({"answer": "A", "ids": ["d1"]}, {"context_ids_path": "ids"}, [Context(id="d1")]),
        (
            {"answer": "A", "hits": [{"doc": "d1", "body": "one", "rank": 1, "_score": 2}]},
            {"contexts_path": "hits[].{id: doc, text: body, score: _score}"},
            [Context(id="d1", text="one", score=2.0)],
        ),
        ({"answer": "A", "contexts": []}, {}, []),
        ({"answer": None, "contexts": ["one"]}, {}, [Context(text="one")]),
        ({"answer": "A"}, {}, None),
    ],
)
def test_contexts_are_texts_ids_objects_or_lists_beside_each_other(
    rag: ToyRag, ask: Ask, reply: dict[str, object], settings: dict[str, str], contexts: list[Context] | None
) -> None:
    rag.reply = lambda _: JSONResponse(reply)
    (read,) = ask(ASKED, kind="http", url=rag.url + "/ask", **settings)

    assert read.error is None
    assert read.text == reply["answer"]
    assert read.contexts == (None if contexts is None else tuple(contexts))


@pytest.mark.parametrize(
    ("stream", "settings", "text"),
    [
        ("data: See\n\ndata:  [1]\n\ndata: 42\n\ndata: [1]\n\ndata: [DONE]\n\n", {"piece_path": "@"}, "See [1]42[1]"),
        ("data: two\ndata: lines\n\n", {"piece_path": "@"}, "two\nlines"),
        ('data: "quoted\\u2028"\r\n\r\ndata: " end"', {"piece_path": "@"}, "quoted\u2028 end"),
        ('event: token\ndata: Yes\n\nevent: sources\ndata: ["d1"]\n\n', {"piece_path": "token"}, "Yes"),
        ('data: {"delta": "\u2028A"}\n\ndata: {"delta": null}\n\n', {}, "\u2028A"),
        ('data: {"status": "searching"}\n\ndata: {"full": "All."}\n\n', {"answer_path": "full"}, "All."),
    ],
)  # fmt: skip
def test_streams_are_read_as_servers_write_them(
    rag: ToyRag, ask: Ask, stream: str, settings: dict[str, str], text: str
) -> None:
    rag.reply = lambda _: Response(stream, media_type="text/event-stream")
    (reply,) = ask(ASKED, **of_stream(url=rag.url + "/stream", **settings))
    assert (reply.text, reply.error) == (text, None)


@pytest.mark.parametrize(
    ("reply", "settings", "error"),
    [
        (Response('data: {"delta": "A"}\n\nevent: error\ndata: no GPU\n\n'), of_stream(), "no GPU"),
        (Response('data: {"delta": "A"}\n\ndata: {"error": {"message": "no GPU"}}\n\n'), of_stream(), "no GPU"),
        (JSONResponse({"error": "no GPU"}), of_stream(), "no GPU"),
        (Response(""), of_stream(), "the reply is empty"),
        (Response('data: {"contexts": ["one"]}\n\n'), of_stream(), "the reply is empty"),
        (JSONResponse({"answer": "", "contexts": []}), {"kind": "http"}, "the reply is empty"),
        (JSONResponse({"error": "no GPU", "answer": ""}), {"kind": "http"}, "no GPU (attempt 2 of 2)"),
        (JSONResponse({"text": "A"}), {"kind": "http"}, "neither an answer nor contexts (its keys: text)"),
        (JSONResponse({"answer": ["A"]}), {"kind": "http"}, "the answer is no text but list"),
        (JSONResponse({"answer": "A", "contexts": [{"x": 1}]}), {"kind": "http"}, "neither an id nor a text; it has x"),
        (PlainTextResponse("Oops"), {"kind": "http"}, "the reply is not JSON: Oops (attempt 2 of 2)"),
    ],
)
def test_what_is_no_answer_is_a_failed_row_that_says_why(
    rag: ToyRag, ask: Ask, reply: Response, settings: dict[str, str], error: str
) -> None:
    rag.reply = lambda _: reply
    (read,) = ask(ASKED, url=rag.url + "/ask", max_attempts=2, **settings)
    assert read.text is None
    assert error in str(read.error)


def test_text_that_is_no_json_is_an_answer_where_the_path_says_so(rag: ToyRag, ask: Ask) -> None:
    assert ask(ASKED, kind="http", url=rag.url + "/text", answer_path="@")[0].text == TEXT


def test_a_price_a_call_or_of_tokens_is_what_a_reply_costs_unless_it_says_so_itself(rag: ToyRag, ask: Ask) -> None:
    here = {"kind": "http", "url": rag.url + "/ask"}
    (per_call,) = ask(ASKED, **here, usd_per_call=0.25)
    # 6 tokens of the question at 1 dollar each, 16 of the answer at 10: a million of them cost so many dollars.
    (per_token,) = ask(ASKED, **here, name="priced", input_usd_per_mtok=1, output_usd_per_mtok=10)
    (unknown,) = ask(ASKED, **here, name="gemini-2.0-flash")
    rag.reply = lambda _: JSONResponse({"answer": "A", "meta": {"usd": 0.5}})
    (told,) = ask(ASKED, **here, name="told", usd_per_call=0.25, cost_path="meta.usd")

    assert (per_call.cost_usd, unknown.cost_usd, told.cost_usd) == (0.25, None, 0.5)
    assert per_token.cost_usd == pytest.approx((6 * 1 + 16 * 10) / 1e6)


def test_faults_are_tried_again_and_a_refusal_is_not(rag: ToyRag, ask: Ask) -> None:
    left = [JSONResponse({}, 503), JSONResponse({}, 429, {"retry-after-ms": "1"}), PlainTextResponse("<html>")]
    rag.reply = lambda _: left.pop() if left else None
    assert ask(ASKED, kind="http", url=rag.url + "/ask")[0].text == TEXT
    assert len(rag.requests) == 4

    rag.reply = lambda _: JSONResponse({"detail": [{"loc": ["body", "query"], "msg": "Field required"}]}, 422)
    (refused,) = ask(ASKED, kind="http", url=rag.url + "/ask")
    assert refused.error == "HTTP 422: body.query: Field required"
    assert len(rag.requests) == 5


def test_a_wrong_key_ends_after_a_few_requests_and_is_not_repeated(
    rag: ToyRag, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAG_API_KEY", "a-wrong-and-secret-key")
    rag.key = "another"
    headers = [{"name": "x-key", "env": "RAG_API_KEY"}]
    with pytest.raises(CredentialsError, match=r"refused the request.*check the URL and the headers") as ended:
        ask(*(f"q{n}" for n in range(300)), kind="http", url=rag.url + "/ask", headers=headers)
    assert "no such key: [key]" in str(ended.value)
    assert len(rag.requests) <= 8


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (JSONResponse({}, 404), CredentialsError, "HTTP 404.*check the URL"),
        (RedirectResponse("/elsewhere"), ConfigError, "redirects to /elsewhere, and redirects are not followed"),
        (JSONResponse({"said": "A"}), RunStoppedError, "last 20 requests.*its keys: said.*correct the paths"),
        (JSONResponse({"detail": "no field query"}, 422), RunStoppedError, "last 20 requests.*no field query"),
    ],
)
def test_what_is_wrong_with_every_request_ends_a_run_early(
    rag: ToyRag, ask: Ask, reply: Response, error: type[Exception], words: str
) -> None:
    rag.reply = lambda _: reply
    with pytest.raises(error, match=words):
        ask(*(f"q{n}" for n in range(300)), kind="http", url=rag.url + "/ask")
    assert len(rag.requests) <= 60


def test_where_nothing_answers_is_told_before_any_question_is_sent(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for url in ("http://no-such-host.invalid/ask", "http://127.0.0.1:9/ask"):
        with pytest.raises(ServiceError, match=f"the endpoint {url} cannot be reached; check that it runs"):
            ask(ASKED, kind="http", url=url)
    with pytest.raises(ConfigError, match="needs the environment variable RAG_HOST, which is not set"):
        ask(ASKED, kind="http", url="http://${RAG_HOST}/ask")


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[tuple[FakeLLM, Path]]:
    """A server with a certificate that signs itself, and that; it outlives the engine of `ask`."""
    own = certificate(tmp_path / "tls")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.pem, own.key)
    with FakeLLM("localhost", tls=context) as server:
        yield server, own.pem


def test_a_certificate_is_checked_against_the_authority_that_is_named(secured: tuple[FakeLLM, Path], ask: Ask) -> None:
    server, authority = secured
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "{{ question }}"}]})
    settings = {"kind": "http", "url": f"{server.url}/chat/completions", "body": body}
    with pytest.raises(ServiceError, match=r"name its authority in tls\.ca_file"):
        ask(ASKED, **settings)
    path = "choices[0].message.content"
    (reply,) = ask(ASKED, **settings, tls={"ca_file": str(authority)}, answer_path=path)
    assert reply.text == f"Answer: {ASKED}"


def test_an_attempt_that_takes_too_long_is_cancelled(rag: ToyRag, ask: Ask) -> None:
    rag.delay_s = 60.0
    (given_up,) = ask(ASKED, kind="http", url=rag.url + "/ask", timeout_s=0.05, max_attempts=2)
    assert given_up.error == "no reply within 0.05 s (attempt 2 of 2)"
    rag.delay_s = 0.0
    assert ask(ASKED, kind="http", url=rag.url + "/ask")[0].text == TEXT
