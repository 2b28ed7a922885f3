"""What nobody should send: a clear 4xx, and nothing is changed by it."""

import json
import re
import socket
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
import sqlalchemy as sa

from rageval.monitoring.store.schema import FEEDBACK
from serving.voters import named_voter
from tests.fake_llm import FakeLLM
from tests.processes import PATIENCE_S
from tests.serving.conftest import Chat, Serve, limited

KEY = "the-key-of-the-chat-app"
NASTY = [
    "'; DROP TABLE conversations; --",
    '" OR ""=" UNION SELECT * FROM feedback',
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "{{7*7}} ${7*7} %s %00 ../../etc/passwd",
    "\u202eright to left \u0007\u001b[31m",
]
JSON = {"Content-Type": "application/json"}
BAD_BODIES = {
    "nothing": (b"", JSON, 422),
    "not JSON": (b"question=hello", JSON, 400),
    "half of it": (b'{"question": "a', JSON, 400),
    "no UTF-8": (b'{"question": "\xff\xfe"}', JSON, 400),
    "too deep": (b"[" * 30_000, JSON, 400),
    "a huge number": (b'{"question": ' + b"9" * 20_000 + b"}", JSON, 400),
    "a list": (b"[]", JSON, 422),
    "NaN": (b'{"question": NaN}', JSON, 422),
    "null": (b'{"question": null}', JSON, 422),
    "a number": (b'{"question": 1}', JSON, 422),
    "empty": (b'{"question": ""}', JSON, 422),
    "blank": (b'{"question": " \\n "}', JSON, 422),
    "too long": (json.dumps({"question": "x" * 2001}).encode(), JSON, 422),
    "NUL": (b'{"question": "a\\u0000b"}', JSON, 422),
    "half a character": (b'{"question": "a\\ud800b"}', JSON, 422),
    "no such field": (b'{"question": "a", "<script>": 1}', JSON, 422),
    "no such filter value": (b'{"question": "a", "filter_value": "x\' OR 1=1"}', JSON, 422),
    "a filter value that is a list": (b'{"question": "a", "filter_value": ["ml"]}', JSON, 422),
    "no UUID": (b'{"question": "a", "conversation_id": "1; DROP TABLE"}', JSON, 422),
    "as text": (b'{"question": "a"}', {"Content-Type": "text/plain"}, 422),
    "as a form": (b'{"question": "a"}', {"Content-Type": "application/x-www-form-urlencoded"}, 422),
    "another site": (b'{"question": "a"}', {**JSON, "Sec-Fetch-Site": "cross-site"}, 403),
    "oversized": (json.dumps({"question": "x" * 40_000}).encode(), JSON, 413),
    "oversized, 100 MB": (b'{"question": "' + b"x" * 100_000_000, JSON, 413),
}


@pytest.fixture(scope="module")
def nothing() -> dict[str, int]:
    return {"asked": 0, "conversations": 0, "votes": 0}


def changed(chat: Chat, llm: FakeLLM) -> dict[str, int]:
    chat.settled()
    return {"asked": len(llm.requests), "conversations": len(chat.conversations()), "votes": len(chat.votes())}


def test_every_bad_question_gets_one_sentence_and_changes_nothing(
    chat: Chat, llm: FakeLLM, nothing: dict[str, int]
) -> None:
    for name, (body, headers, status) in BAD_BODIES.items():
        try:
            response = chat.api.post("/api/ask", content=body, headers=headers)
        except httpx.WriteError:  # it was refused before all of it was sent
            assert "oversized" in name
            continue
        assert response.status_code == status, f"{name}: {response.text}"
        assert set(response.json()) == {"error"}, name
        assert len(response.json()["error"]) > 20, name
        assert "script" not in response.text and "DROP" not in response.text, f"{name}: it repeats what was sent"  # noqa: PT018
    assert changed(chat, llm) == nothing
    assert chat.api.get("/health").json()["in_flight"] == 0


def test_a_body_without_a_length_is_cut_off_at_the_limit(chat: Chat) -> None:
    host, port = chat.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
        connection.sendall(b"POST /api/ask HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(40):
            connection.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("text", NASTY)
def test_sql_and_script_are_stored_as_the_text_that_they_are(chat: Chat, llm: FakeLLM, text: str) -> None:
    llm.reply = lambda body: text
    asked = chat.ask(text)
    assert (asked.status_code, asked.headers["content-type"]) == (200, "application/json")
    conversation_id = asked.json()["conversation_id"]
    assert chat.vote(conversation_id, comment=text).status_code == 200
    [stored] = chat.conversations()
    assert (stored.question, stored.answer) == (text, text)
    assert chat.votes() == [(conversation_id, 1, text)]
    for path in (f"/{quote(text)}", f"/static/{quote(text)}", "/static/..%2f..%2fapp.py", "/static/%00"):
        assert chat.api.get(path).status_code in (400, 404), path


def test_what_a_model_says_cannot_break_storing(chat: Chat, llm: FakeLLM) -> None:
    llm.reply = lambda body: "NUL \x00 and half a character \ud800."
    assert chat.ask().json()["answer"] == "NUL \ufffd and half a character \ufffd."
    assert [stored.status for stored in chat.conversations()] == ["ok"]


def test_bad_votes_change_nothing(chat: Chat, llm: FakeLLM) -> None:
    conversation_id = chat.ask().json()["conversation_id"]
    before = changed(chat, llm)
    for more, status in [
        ({"thumbs": 0}, 422), ({"thumbs": 2}, 422), ({"thumbs": True}, 422), ({"thumbs": 1.0}, 422),
        ({"thumbs": "1"}, 422), ({"thumbs": None}, 422), ({"comment": "x" * 2001}, 422), ({"comment": ["a"]}, 422),
        ({"comment": "a\x00b"}, 422), ({"voter": "somebody else"}, 422), ({"conversation_id": str(uuid4())}, 404),
        ({"conversation_id": "'; DROP TABLE feedback; --"}, 422), ({"conversation_id": None}, 422),
    ]:  # fmt: skip
        response = chat.api.post("/api/feedback", json={"conversation_id": conversation_id, "thumbs": 1, **more})
        assert response.status_code == status, (more, response.text)
        assert set(response.json()) == {"error"}
    assert changed(chat, llm) == before


def test_a_person_has_one_vote_and_may_change_it(chat: Chat) -> None:
    conversation_id = chat.ask().json()["conversation_id"]
    for thumbs, comment in ((1, None), (1, None), (-1, "wrong"), (-1, "wrong")):
        response = chat.vote(conversation_id, thumbs, comment=comment)
        assert response.json() == {"conversation_id": conversation_id, "thumbs": thumbs, "comment": comment}
    assert chat.votes() == [(conversation_id, -1, "wrong")]
    cookie = next(iter(chat.api.cookies.jar))
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert cookie.get_nonstandard_attr("SameSite") == "strict"
    httpx.post(f"{chat.url}/api/feedback", json={"conversation_id": conversation_id, "thumbs": 1})
    chat.settled()
    assert len(chat.votes()) == 2, "somebody else's vote is their own"


def test_a_client_with_the_key_votes_for_its_users(serve: Serve, llm: FakeLLM) -> None:
    with serve(limited(api_key=KEY)) as chat:
        chat.api.headers["Authorization"] = f"Bearer {KEY}"
        conversation_id = chat.ask().json()["conversation_id"]

        def vote(thumbs: int, **more: object) -> int:
            body = json.dumps({"conversation_id": conversation_id, "thumbs": thumbs, **more})
            headers = JSON | {"Authorization": f"Bearer {KEY}"}
            return httpx.post(f"{chat.url}/api/feedback", content=body, headers=headers).status_code

        users = [(1, "ada@example.org"), (1, "grace"), (-1, " ada@example.org\n"), (1, "x" * 200)]
        assert [vote(thumbs, user=user) for thumbs, user in users] == [200] * 4
        chat.settled()
        assert sorted(thumbs for _, thumbs, _ in chat.votes()) == [-1, 1, 1], "the same user has changed the vote"
        assert vote(1, user=None) == 200, "it is as if it were left out"
        chat.settled()
        before = changed(chat, llm)
        for user in ("", " ", "x" * 201, "a\0b", "a\ud800b", 7, ["ada"], True):
            assert vote(1, user=user) == 422, user
        assert changed(chat, llm) == before
        with chat.database.reading() as connection:
            voters = connection.scalars(sa.select(FEEDBACK.c.voter)).all()
        assert all(re.fullmatch("[0-9a-f]{32}", voter) for voter in voters)
        assert named_voter("grace", KEY) in voters
        assert named_voter("grace", f"{KEY}2") not in voters, "without the key no name can be tried"


def test_without_a_key_nobody_votes_in_the_name_of_another(chat: Chat, llm: FakeLLM) -> None:
    conversation_id = chat.ask().json()["conversation_id"]
    before = changed(chat, llm)
    refused = chat.vote(conversation_id, user="ada")
    assert refused.status_code == 422
    assert refused.json()["error"].startswith("user: it counts only where the app asks for a key")
    assert changed(chat, llm) == before


def test_who_asks_too_often_has_to_wait_and_reads_how_long(serve: Serve, llm: FakeLLM) -> None:
    with serve(limited(questions_per_minute=1, burst=2)) as chat:
        found = [chat.ask() for _ in range(3)]
        assert [response.status_code for response in found] == [200, 200, 429]
        assert 1 <= int(found[-1].headers["retry-after"]) <= 60
        claimed = chat.api.post("/api/ask", json={"question": "a"}, headers={"X-Forwarded-For": "203.0.113.9"})
        assert claimed.status_code == 429, "nobody becomes another client by saying so"
        assert chat.api.get("/health").status_code == 200
        assert len(llm.requests) == 2


def test_without_the_key_nothing_is_answered_and_the_key_is_never_shown(
    serve: Serve, llm: FakeLLM, caplog: pytest.LogCaptureFixture
) -> None:
    with serve(limited(api_key=KEY, requests_per_minute=1, burst=2)) as chat:
        wrong = [
            {},
            {"Authorization": KEY[:-1]},
            {"Authorization": f"Bearer {KEY}x"},
            {"Authorization": b"Bearer \xff"},
        ]
        for headers in wrong:
            for path in ("/api/ask", "/api/feedback"):
                assert chat.api.post(path, json={}, headers=headers).status_code == 401
        assert chat.api.get("/metrics").status_code == 401
        assert chat.api.get("/health").status_code == chat.api.get("/").status_code == 200
        chat.api.headers["Authorization"] = f"Bearer {KEY}"
        assert chat.ask().status_code == 200
        guesses = [
            chat.api.get("/api/filter-values", headers={"Authorization": "Bearer x"}).status_code for _ in range(9)
        ]
        assert (guesses[0], guesses[-1]) == (401, 429), "guessing is limited too"
        assert KEY not in caplog.text + repr(limited(api_key=KEY)) + chat.api.get("/").text


def test_every_response_has_strict_headers(chat: Chat) -> None:
    for response in (chat.api.get("/"), chat.api.get("/nowhere"), chat.api.post("/api/ask"), chat.api.put("/health")):
        headers = response.headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")
        assert "server" not in headers


def test_another_name_for_this_machine_is_not_believed(serve: Serve) -> None:
    with serve(limited(allowed_hosts=("localhost", "127.0.0.1"))) as chat:
        assert chat.api.get("/health").status_code == 200
        for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "[::1"):
            assert chat.api.get("/health", headers={"Host": host}).status_code == 400
