"""One person who votes as many, where no key is asked for: few of the votes count, and all of them can be left out."""

# ruff: noqa: F811 - the fixtures are imported
from datetime import timedelta
from pathlib import Path

import httpx
import sqlalchemy as sa

from rageval.monitoring.records import VISITOR
from rageval.monitoring.store.schema import FEEDBACK
from rageval.monitoring.store.window_counts import QueryScope, thumbs_down
from rageval.monitoring.windows import Window
from serving.voters import COOKIE, cookie_key
from tests.fake_llm import FakeLLM
from tests.processes import PATIENCE_S
from tests.serving.conftest import Chat, Serve, chat, corpus, limited, serve  # noqa: F401 - fixtures


def vote(chat: Chat, conversation_id: str, *, cookie: str = "", client: str = "") -> int:
    """Vote as somebody who has nothing but a cookie."""
    headers = {"Cookie": f"{COOKIE}={cookie}"} if cookie else {}
    headers |= {"X-Forwarded-For": client} if client else {}
    body = {"conversation_id": conversation_id, "thumbs": -1}
    return httpx.post(f"{chat.url}/api/feedback", json=body, headers=headers, timeout=PATIENCE_S).status_code


def cookies(chat: Chat, number: int) -> list[str]:
    """Let the app give so many cookies."""
    return [httpx.get(chat.url, timeout=PATIENCE_S).cookies[COOKIE] for _ in range(number)]


def voters(chat: Chat) -> list[str]:
    chat.settled()
    with chat.database.reading() as connection:
        return list(connection.scalars(sa.select(FEEDBACK.c.voter)))


def test_one_client_is_few_voters_on_one_answer_whatever_cookies_it_has(chat: Chat, llm: FakeLLM) -> None:
    conversation_id = chat.ask().json()["conversation_id"]
    given = cookies(chat, 20)
    made_up = [f"{'x' * 20}{number:02}" for number in range(20)]
    stolen_signature = [f"{'y' * 20}{number:02}.{given[0].partition('.')[2]}" for number in range(20)]

    statuses = [vote(chat, conversation_id, cookie=cookie) for cookie in ["", *given, *made_up, *stolen_signature]]

    assert (statuses.count(200), statuses.count(429)) == (2, 59)
    assert len(voters(chat)) == 2
    assert vote(chat, conversation_id, cookie=given[0]) == 200, "who has voted may change the vote"


def test_many_clients_are_few_voters_on_one_answer(serve: Serve, llm: FakeLLM) -> None:
    with serve(proxies=["127.0.0.1"]) as chat:
        conversation_id = chat.ask().json()["conversation_id"]

        statuses = [vote(chat, conversation_id, client=f"192.0.2.{number}") for number in range(59)]

        assert statuses.count(200) == len(voters(chat)) == 5


def test_one_client_is_few_new_voters_on_all_answers(serve: Serve, llm: FakeLLM) -> None:
    with serve(limited(new_visitors_per_minute=0.001, new_visitors_at_once=3)) as chat:
        answers = [chat.ask(f"How? {number}").json()["conversation_id"] for number in range(6)]
        (known,) = cookies(chat, 1)

        assert [vote(chat, answers[0], cookie=known), *(vote(chat, answer) for answer in answers[:4])] == [
            200, 200, 200, 429, 429,
        ]  # fmt: skip
        assert [vote(chat, answer, cookie=known) for answer in answers] == [200] * 6, "one person on many answers"


def test_a_made_up_cookie_is_nobodys_vote_to_change(chat: Chat, llm: FakeLLM) -> None:
    conversation_id = chat.ask().json()["conversation_id"]
    token = "x" * 22

    assert [vote(chat, conversation_id, cookie=cookie) for cookie in (token, f"{token}.{'0' * 64}")] == [200, 200]
    assert len(set(voters(chat))) == 2
    assert vote(chat, conversation_id, cookie=token) == 429, "each is somebody new, whom the limits count"


def test_votes_that_anybody_can_cast_are_marked_and_can_be_left_out(serve: Serve, llm: FakeLLM) -> None:
    with serve() as chat:
        vote(chat, chat.ask().json()["conversation_id"])
        assert [voter.startswith(VISITOR) for voter in voters(chat)] == [True]
    with serve(limited(api_key="the-key")) as chat:
        chat.api.headers["Authorization"] = "Bearer the-key"
        chat.vote(chat.ask().json()["conversation_id"], 1, user="ada")
        assert sorted(voter.startswith(VISITOR) for voter in voters(chat)) == [False, True]

        asked_at = chat.conversations()[0].asked_at.replace(microsecond=0)
        window = Window(start=asked_at, end=asked_at + timedelta(days=1))
        counted = {
            visitors: [(share.hits, share.n) for share in thumbs_down(chat.database, asked).values()]
            for visitors in (True, False)
            for asked in [QueryScope(window=window, visitors=visitors)]
        }
        assert counted == {True: [(1, 2)], False: [(0, 1)]}


def test_the_key_of_the_cookies_outlives_the_app_and_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "runs" / "voters.key"

    first = cookie_key(file, "")

    assert cookie_key(file, "") == first == file.read_bytes()
    assert len(first) == 32
    assert file.stat().st_mode & 0o077 == 0
    assert list(file.parent.iterdir()) == [file]
    assert cookie_key(tmp_path / "other", "key") == cookie_key(file, "key") != cookie_key(file, "key2")
