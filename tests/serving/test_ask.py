"""A question over HTTP: answered as the evaluation would, streamed, stored once, whatever goes wrong."""

import json
import socket
import threading
from uuid import uuid4

import httpx
import pytest

from rageval.config.evaluation import EvaluationConfig
from rageval.corpus.files import load_documents
from rageval.systems.kinds import built_in
from rageval.systems.templates import messages
from tests.fake_llm import FakeLLM, Reply
from tests.processes import PATIENCE_S, eventually
from tests.serving.conftest import Chat, Serve, limited

HANGING = Reply(hang=True)


def events(response: httpx.Response) -> list[tuple[str, dict[str, object]]]:
    """Return name and data of each server-sent event."""
    found = []
    for block in response.text.strip().split("\n\n"):
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def streamed(chat: Chat, question: str, conversation_id: str | None = None) -> list[tuple[str, dict[str, object]]]:
    body = {"question": question, "conversation_id": conversation_id}
    found = events(chat.api.post("/api/ask", json=body, headers={"Accept": "text/event-stream"}))
    chat.settled()
    return found


def ask_and_hang_up(chat: Chat, llm: FakeLLM, body: dict[str, str]) -> None:
    """Ask as a client that goes as soon as the model has been asked."""
    content, (host, port) = json.dumps(body).encode(), chat.url.removeprefix("http://").split(":")
    head = f"POST /api/ask HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(content)}"
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + b"\r\n\r\n" + content)
        eventually("the request", lambda: llm.in_flight)


def test_an_answer_is_made_as_in_the_evaluation_and_stored_with_all_that_made_it(
    chat: Chat, llm: FakeLLM, corpus: EvaluationConfig
) -> None:
    llm.reply = lambda body: "Finish two projects."
    reply = chat.ask("How do I get a certificate?", filter_value="ml").json()
    documents = {document.document_id: document for document in load_documents(corpus.data.documents)[0]}
    shown = [documents["ml-certificate"], documents["ml-late"]]
    assert llm.requests[-1]["messages"] == messages(built_in("default"), "How do I get a certificate?", shown)
    assert "stream" not in llm.requests[-1]
    assert (reply["answer"], reply["system"], reply["model"]) == ("Finish two projects.", "m", "m")
    assert [source["document_id"] for source in reply["sources"]] == ["ml-certificate", "ml-late"]
    [stored] = chat.conversations()
    assert stored.conversation_id == reply["conversation_id"]
    assert (stored.question, stored.filter_value, stored.answer, stored.status) == (
        "How do I get a certificate?", "ml", "Finish two projects.", "ok",
    )  # fmt: skip
    made_of = (stored.model, stored.system, stored.retriever, stored.prompt_version)
    assert made_of == ("m", "m", "vector", built_in("default").hash[:12])
    assert [context.document_id for context in stored.contexts] == ["ml-certificate", "ml-late"]
    assert stored.prompt_tokens
    assert stored.completion_tokens
    assert stored.cost_usd == pytest.approx((stored.prompt_tokens + 2 * stored.completion_tokens) / 1e6)
    assert stored.search_s
    assert stored.model_s
    assert stored.total_s >= stored.search_s + stored.model_s
    metrics = chat.api.get("/metrics").text
    assert f'rageval_chat_tokens_total{{kind="prompt",system="m"}} {stored.prompt_tokens}.0' in metrics
    assert 'rageval_chat_requests_total{route="/api/ask",status="200"} 1.0' in metrics


def test_without_a_course_all_of_them_are_searched(chat: Chat) -> None:
    assert chat.api.get("/api/filter-values").json() == {"filter_by": "course", "filter_values": ["de", "ml"]}
    assert chat.ask("How do I install Docker?").json()["sources"][0]["document_id"] == "de-docker"
    assert "de-docker" not in [
        source["document_id"] for source in chat.ask("Docker?", filter_value="ml").json()["sources"]
    ]


def test_a_streamed_answer_comes_in_pieces_after_its_sources(chat: Chat, llm: FakeLLM) -> None:
    llm.reply = lambda body: "Finish two projects, and review three."
    found = streamed(chat, "How do I get a certificate?")
    assert [name for name, _ in found] == ["sources", *["answer"] * 6, "done"]
    assert "".join(str(data["text"]) for name, data in found if name == "answer") == llm.reply({})
    [stored] = chat.conversations()
    assert (stored.answer, stored.conversation_id) == (llm.reply({}), found[-1][1]["conversation_id"])
    assert stored.completion_tokens
    assert stored.cost_usd


def test_a_stream_that_breaks_off_starts_over(chat: Chat, llm: FakeLLM) -> None:
    replies = iter([Reply(text="one two three four", breaks_off=True), "five six"])
    llm.reply = lambda body: next(replies)
    found = streamed(chat, "How?")
    assert [name for name, _ in found] == ["sources", "answer", "answer", "restart", "answer", "answer", "done"]
    assert [stored.answer for stored in chat.conversations()] == ["five six"]


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (Reply(status=400, error="context too long"), 502),
        (Reply(status=500), 502),
        (Reply(status=401), 503),
        (Reply(status=429, code="insufficient_quota"), 503),
        (HANGING, 504),
    ],
    ids=["refused", "broken", "key", "credit", "hanging"],
)
def test_a_question_that_fails_is_a_conversation_too_and_its_reason_stays_inside(
    serve: Serve, llm: FakeLLM, reply: Reply, status: int
) -> None:
    llm.reply = lambda body: reply
    with serve(timeout_s=1.0 if reply is HANGING else PATIENCE_S, max_attempts=1) as chat:
        response = chat.ask()
        failed_id = str(uuid4())
        assert response.status_code == status
        assert set(response.json()) == {"error"}
        assert "Try again" in response.json()["error"]
        assert llm.url not in response.text
        assert "context" not in response.text
        assert streamed(chat, "Why?", failed_id)[-1][0] == "error"
        assert [stored.status for stored in chat.conversations()] == ["failed", "failed"]
        assert all(stored.error for stored in chat.conversations())
        assert chat.vote(failed_id).status_code == 409
        assert chat.api.get("/health").json()["model"] == ("refusing" if status == 503 else "ok")


def test_the_same_request_twice_is_asked_once(chat: Chat, llm: FakeLLM) -> None:
    conversation_id = str(uuid4())
    replies = [chat.ask("Write to ada@example.org?", conversation_id=conversation_id) for _ in range(2)]
    assert replies[0].json() == replies[1].json()
    again = streamed(chat, "Write to ada@example.org?", conversation_id)
    assert [name for name, _ in again] == ["sources", "answer", "done"]
    other = chat.ask("Something else?", conversation_id=conversation_id)
    assert (other.status_code, len(llm.requests), len(chat.conversations())) == (409, 1, 1)


def test_a_request_is_known_after_a_restart(serve: Serve, llm: FakeLLM) -> None:
    llm.reply = lambda body: "ok"
    conversation_id = str(uuid4())
    with serve() as chat:
        first = chat.ask("Write to ada@example.org?", conversation_id=conversation_id).json()
    with serve() as chat:
        # What was stored is redacted, and is still known by what was asked.
        assert chat.ask("Write to ada@example.org?", conversation_id=conversation_id).json() == first
        assert chat.ask("Something else?", conversation_id=conversation_id).status_code == 409
        assert chat.vote(conversation_id).status_code == 200
        assert [stored.question for stored in chat.conversations()] == ["Write to [e-mail]?"]
    assert len(llm.requests) == 1


def test_requests_of_one_id_at_once_share_one_answer_also_if_the_first_hangs_up(chat: Chat, llm: FakeLLM) -> None:
    free, conversation_id = threading.Event(), str(uuid4())
    llm.reply = lambda body: Reply(after=free.is_set)
    ask_and_hang_up(chat, llm, {"question": "Slow?", "conversation_id": conversation_id})
    assert chat.vote(conversation_id).status_code == 409, "it is still being answered"
    threading.Timer(0.3, free.set).start()
    assert chat.ask("Slow?", conversation_id=conversation_id).json()["answer"] == "ok"
    assert (len(llm.requests), len(chat.conversations())) == (1, 1)


def test_questions_in_flight_are_answered_and_stored_when_the_app_ends(serve: Serve, llm: FakeLLM) -> None:
    llm.reply = lambda body: Reply(text="late", delay_s=1.0)
    found: list[int] = []
    with serve(limited(shutdown_s=PATIENCE_S)) as chat:

        def ask() -> None:
            response = httpx.post(f"{chat.url}/api/ask", json={"question": "Last?"}, timeout=PATIENCE_S)
            found.append(response.status_code)

        asking = threading.Thread(target=ask)
        asking.start()
        eventually("the request", lambda: llm.in_flight)
    asking.join()
    assert found == [200]
    with serve() as chat:
        assert [stored.answer for stored in chat.conversations()] == ["late"]


def test_more_questions_than_the_app_takes_are_turned_away(serve: Serve, llm: FakeLLM) -> None:
    llm.reply = lambda body: Reply(hang=True)
    with serve(limited(max_in_flight=1, shutdown_s=0.0), timeout_s=PATIENCE_S) as chat:
        ask_and_hang_up(chat, llm, {"question": "First?"})
        response = chat.api.post("/api/ask", json={"question": "Second?"})
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")


def test_a_model_that_refused_everybody_is_asked_again_later(
    serve: Serve, llm: FakeLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.assistant._TRY_AGAIN_S", 0.0)
    with serve() as chat:
        llm.reply = lambda body: Reply(status=401)
        assert chat.ask().status_code == 503
        llm.reply = lambda body: "ok"
        assert chat.ask().status_code == 200
        assert chat.api.get("/health").json()["status"] == "ok"
