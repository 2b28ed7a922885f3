"""Pages of other sites, other names for the app, bad requests, many addresses: none spends what others need."""

# ruff: noqa: F811 - the fixtures are imported
import json

import pytest

from serving.server import with_names
from serving.settings import ChatSettings
from tests.fake_llm import FakeLLM
from tests.serving.conftest import Serve, corpus, limited, serve  # noqa: F401 - fixtures

QUESTION = json.dumps({"question": "How do I get a certificate?"}).encode()
JSON = {"Content-Type": "application/json"}
IN_ANOTHERS_NAME = {
    "an image of another site": ("GET", "/api/ask", {"Sec-Fetch-Site": "cross-site"}, b"", 405),
    "an image that asks for the filter values": (
        "GET",
        "/api/filter-values",
        {"Sec-Fetch-Site": "cross-site"},
        b"",
        403,
    ),
    "a form of another site": ("POST", "/api/ask", {"Sec-Fetch-Site": "cross-site"} | JSON, QUESTION, 403),
    "a form over plain HTTP": ("POST", "/api/ask", {"Origin": "http://evil.example"} | JSON, QUESTION, 403),
    "a form in a sandbox": ("POST", "/api/ask", {"Origin": "null"} | JSON, QUESTION, 403),
    "a script's request": ("GET", "/api/filter-values", {"Origin": "http://evil.example"}, b"", 403),
    "what browsers ask first": ("OPTIONS", "/api/ask", {"Origin": "http://evil.example"}, b"", 405),
    "another method": ("DELETE", "/api/ask", {}, b"", 405),
    "a body that is too large": ("POST", "/api/ask", JSON, b"x" * 40_000, 413),
}


def test_what_is_sent_in_the_name_of_another_spends_nothing_of_theirs(serve: Serve, llm: FakeLLM) -> None:
    with serve(limited(questions_per_minute=0.001, requests_per_minute=0.001, burst=1)) as chat:
        for _ in range(10):
            for name, (method, path, headers, body, status) in IN_ANOTHERS_NAME.items():
                found = chat.api.request(method, path, headers=headers, content=body)
                assert found.status_code == status, f"{name}: {found.text}"

        assert chat.ask().status_code == 200
        assert chat.ask().status_code == 429


def test_a_question_that_cannot_be_asked_spends_no_question(serve: Serve, llm: FakeLLM) -> None:
    with serve(limited(questions_per_minute=0.001, burst=1)) as chat:
        for bad in (b"{", b"{}", b'{"question": ""}', b'{"question": "a", "user": "b"}'):
            assert chat.api.post("/api/ask", content=bad, headers=JSON).status_code in (400, 422)
        assert chat.ask().status_code == 200


def test_the_pages_of_the_app_itself_may_ask_over_plain_http(serve: Serve, llm: FakeLLM) -> None:
    with serve() as chat:
        for headers in ({"Origin": chat.url}, {"Sec-Fetch-Site": "same-origin"}, {"Origin": chat.url.upper()}):
            assert chat.api.post("/api/ask", content=QUESTION, headers=JSON | headers).status_code == 200
    with serve(limited(allowed_hosts=("chat.example", "127.0.0.1"))) as chat:
        named = {"Origin": "https://chat.example"}
        assert chat.api.post("/api/ask", content=QUESTION, headers=JSON | named).status_code == 200, "behind a proxy"


def test_many_addresses_of_one_owner_and_all_of_everybody_have_a_limit(serve: Serve, llm: FakeLLM) -> None:
    with serve(limited(questions_per_minute=0.001, burst=1), proxies=["127.0.0.1"]) as chat:

        def statuses(clients: list[str]) -> list[int]:
            return [
                chat.api.post("/api/ask", content=QUESTION, headers=JSON | {"X-Forwarded-For": client}).status_code
                for client in clients
            ]

        networks = [f"2001:db8:1:{number:x}::1" for number in range(12)]
        assert statuses(networks) == [200] * 10 + [429] * 2, "ten clients' worth for a /48"
        assert statuses(["2001:db8:2::1"]) == [200]
        assert statuses([f"192.0.2.{number}" for number in range(91)]) == [200] * 89 + [429] * 2, "a hundred's for all"


@pytest.mark.parametrize("name", ["evil.example", "evil.example:8300", "192.168.0.1.evil.example", ""])
def test_a_name_that_is_led_to_this_machine_is_not_believed_beyond_loopback_either(serve: Serve, name: str) -> None:
    settings = with_names(limited(), "0.0.0.0", ["chat.example"], is_behind_proxy=False)
    with serve(settings) as chat:
        assert chat.api.get("/health", headers={"Host": name}).status_code == 400
        for own in ("192.168.0.1:8300", "[2001:db8::1]:8300", "localhost", "Chat.Example"):
            assert chat.api.get("/health", headers={"Host": own}).status_code == 200, own


def test_where_another_name_gains_nothing_none_has_to_be_allowed() -> None:
    with_key = ChatSettings(api_key="k")

    assert with_names(with_key, "0.0.0.0", [], is_behind_proxy=False).allows("chat.example")
    assert with_names(ChatSettings(), "0.0.0.0", [], is_behind_proxy=True).allows("chat.example")
    assert not with_names(with_key, "0.0.0.0", ["chat.example"], is_behind_proxy=False).allows("evil.example")
    assert with_names(ChatSettings(), "127.0.0.1", ["chat.example"], is_behind_proxy=False).allows("chat.example")
