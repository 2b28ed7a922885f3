"""Pacers against the promise they make, and the limit headers of real and odd servers."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rageval.engine.pacing import Pacer, ServerLimit, read_duration, read_limits, retry_after_s

BURST_S = 0.2


@given(
    per_minute=st.floats(1, 600_000),
    takes=st.lists(st.tuples(st.floats(0.01, 50), st.floats(0, 10)), min_size=2, max_size=30),
)
def test_no_window_ever_sees_more_than_its_rate_and_one_amount(
    per_minute: float, takes: list[tuple[float, float]]
) -> None:
    pacer, now, taken = Pacer(per_minute, BURST_S), 0.0, []
    for amount, idle_s in takes:
        now += idle_s
        now += pacer.delay(now)
        pacer.take(now, amount)
        taken.append((now, amount))
    # The last amount of a window may lie partly beyond it; all before it must fit into rate x (window + burst).
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            window_s = taken[last][0] - taken[first][0]
            before = sum(amount for _, amount in taken[first:last])
            assert before <= per_minute / 60 * (window_s + BURST_S) * (1 + 1e-9) + 1e-6


@given(per_minute=st.floats(1, 600_000), count=st.integers(50, 300))
def test_the_whole_rate_is_used(per_minute: float, count: int) -> None:
    pacer, now = Pacer(per_minute, BURST_S), 0.0
    for _ in range(count):
        now += pacer.delay(now)
        pacer.take(now, 1)
    # n takes need at most the time of n - 1 intervals.
    assert now <= (count - 1) * 60 / per_minute * (1 + 1e-9)


def test_an_amount_given_back_can_be_taken_at_once() -> None:
    pacer = Pacer(60, burst_s=0)
    pacer.take(0.0, 10)  # 10 at 1 a second: free again at 10
    assert pacer.delay(0.0) == 10
    pacer.take(0.0, -7)
    assert pacer.delay(0.0) == 3


def test_what_is_given_back_late_is_not_saved_up() -> None:
    pacer = Pacer(60, burst_s=0)
    pacer.take(0.0, 1)
    pacer.take(100.0, -50)
    pacer.take(100.0, 2)
    assert pacer.delay(100.0) == 2


def test_retuning_keeps_the_amount_that_is_owed() -> None:
    pacer = Pacer(60, burst_s=0)
    pacer.take(0.0, 10)
    pacer.retune(600, 4.0)
    # At 4 s, 6 of the 10 are still owed; at 10 a second they take 0.6 s.
    assert pacer.delay(4.0) == pytest.approx(0.6)
    pacer.retune(6, 4.0)
    # 6 at 0.1 a second: 60 s.
    assert pacer.delay(4.0) == pytest.approx(60)


@pytest.mark.parametrize("per_minute", [0, -1, float("nan")])
def test_a_rate_that_is_no_rate_is_refused(per_minute: float) -> None:
    with pytest.raises(ValueError, match="expected more than 0"):
        Pacer(per_minute)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6m0s", 360), ("20ms", 0.02), ("1.5s", 1.5), ("1h2m3s", 3723), ("2d", 172_800), ("7m12.5s", 432.5), ("0s", 0),
        ("", None), (None, None), ("soon", None), ("12", None), ("-3s", None), ("1s later", None), ("nan", None),
        ("1 s", None), ("1.s", None), ("s", None),
    ],
)  # fmt: skip
def test_durations_are_read_as_servers_write_them(text: str | None, seconds: float | None) -> None:
    assert read_duration(text) == (pytest.approx(seconds) if seconds is not None else None)


@given(st.text())
def test_no_text_breaks_the_reading_of_headers(text: str) -> None:
    names = [
        f"x-ratelimit-{part}-{kind}" for part in ("limit", "remaining", "reset") for kind in ("requests", "tokens")
    ]
    headers = dict.fromkeys([*names, "retry-after", "retry-after-ms"], text)
    limits = read_limits(headers)
    for limit in (limits.requests, limits.tokens):
        assert limit is None or 0 < limit.per_minute < float("inf")
    wait_s = retry_after_s(headers, text, datetime(2026, 10, 21, tzinfo=UTC))
    assert wait_s is None or 0 <= wait_s < float("inf")


def limit_headers(limit: str, remaining: str | None = None, reset: str | None = None) -> dict[str, str]:
    parts = {"limit": limit, "remaining": remaining, "reset": reset}
    return {f"x-ratelimit-{name}-requests": value for name, value in parts.items() if value is not None}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (limit_headers("500", "499", "120ms"), 500),  # 1 of 500 back in 0.12 s: all in 60 s
        (limit_headers("500"), 500),
        (limit_headers("500", "500", "0s"), 500),
        (limit_headers("10000", "9999", "8.64s"), None),  # all in 86,400 s: 10,000 a day
        (limit_headers("14400", "14370", "2m59.56s"), None),  # 30 back in 180 s, all in a day
        (limit_headers("200", "0", "24h0m0s"), None),
        (limit_headers("0"), None),
        (limit_headers("-5"), None),
        (limit_headers("nan"), None),
        (limit_headers("inf"), None),
        (limit_headers("many"), None),
        (limit_headers("500", "many"), None),
        (limit_headers("500", "nan", "1s"), 500),
        ({}, None),
    ],
)
def test_only_a_limit_a_minute_becomes_a_pace(headers: dict[str, str], expected: float | None) -> None:
    limits = read_limits(headers)
    assert limits.tokens is None
    assert (limits.requests and limits.requests.per_minute) == expected
    tokens = {name.replace("requests", "tokens"): value for name, value in headers.items()}
    assert read_limits(tokens).tokens == limits.requests


def test_headers_are_read_as_a_bucket() -> None:
    # 499 of 500 are left and the one taken is back after 0.12 s: an empty bucket fills in 499 * 0.12 + 0.12 = 60 s.
    limit = read_limits(limit_headers("500", "499", "120ms")).requests
    assert limit is not None
    assert (limit.per_minute, limit.debt_s) == (500, 0.12)
    assert limit.capacity_s == pytest.approx(60)


def test_a_pacer_that_took_more_than_the_server_counts_is_set_right_by_the_headers() -> None:
    pacer = Pacer(600)  # ten a second
    pacer.take(0.0, 50)  # reserved; free again at 5 s
    before = pacer.taken
    pacer.take(1.0, 10)  # sent after the request whose reply arrives now
    limit = ServerLimit(per_minute=600, debt_s=2.0, capacity_s=10.0)
    pacer.mirror(1.5, limit, sent=0.5, taken=before)
    # The server's bucket is full in 2 s less the second since the request was sent, and 10 more were taken since: 1 s.
    # From now on that is 2 s, and 0.7 s of it is the burst: the next may go after 1.3 s.
    assert pacer.delay(1.5) == pytest.approx(1.3)


def test_headers_never_loosen_a_limit_that_the_user_has_set_lower() -> None:
    pacer = Pacer(60)
    pacer.take(0.0, 10)
    pacer.mirror(1.0, ServerLimit(per_minute=6000, debt_s=0.0, capacity_s=60.0), sent=0.5, taken=10)
    assert pacer.delay(1.0) == pytest.approx(10 - 0.2 - 1.0)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2),
        ({"retry-after-ms": "150", "retry-after": "1"}, 0.15),
        ({"retry-after-ms": "soon", "retry-after": "3"}, 3),
        ({"retry-after-ms": "-1", "retry-after": "3"}, 3),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, 30),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": "Wed, 21 Oct 2026 07:28:20 GMT"}, 10),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 +0100"}, 0),
        ({"retry-after": "Wed, 99 Oct 2026 07:28:30 GMT"}, None),
        ({"retry-after": "1m2s"}, 62),
        ({}, None),
    ],
)
def test_the_wait_after_a_refusal_is_what_the_server_asks(headers: dict[str, str], seconds: float | None) -> None:
    now = datetime(2026, 10, 21, 7, 28, tzinfo=UTC)
    assert retry_after_s(headers, "", now) == (pytest.approx(seconds) if seconds is not None else None)


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ('{"@type": "RetryInfo", "retryDelay": "34s"}', 34),
        ("Limit 30, Used 30. Please try again in 1m2.5s.", 62.5),
        ("Please retry in 340ms", 0.34),
        ("Try again in a while; it was asked 3s ago", None),
    ],
)
def test_a_wait_that_only_the_body_names_is_obeyed(body: str, seconds: float | None) -> None:
    assert retry_after_s({}, body, datetime(2026, 10, 21, tzinfo=UTC)) == seconds
    assert retry_after_s({"retry-after": "2"}, body, datetime(2026, 10, 21, tzinfo=UTC)) == 2
