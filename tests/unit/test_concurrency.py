"""How many requests may be in flight, with times that the test sets."""

from hypothesis import given
from hypothesis import strategies as st

from rageval.engine.concurrency import PROBES, START, AdaptiveConcurrency


def after_first_reply(ceiling: int = 100) -> AdaptiveConcurrency:
    limit = AdaptiveConcurrency(ceiling)
    limit.succeeded(1.0, started=0.0, in_flight=1)
    return limit


def succeed(limit: AdaptiveConcurrency, times: int, *, now: float = 10.0, latency_s: float = 1.0) -> int:
    for _ in range(times):
        limit.succeeded(now, started=now - latency_s, in_flight=limit.allowed)
    return limit.allowed


def test_few_are_sent_until_the_first_reply_then_it_doubles_in_each_round_up_to_the_ceiling() -> None:
    limit = AdaptiveConcurrency(40)
    assert limit.allowed == PROBES
    assert succeed(limit, 1) == START
    assert [succeed(limit, START), succeed(limit, 2 * START)] == [2 * START, 40]


def test_a_refusal_halves_it_once_for_all_that_ran_together_and_then_it_grows_by_one_a_round() -> None:
    limit = after_first_reply()
    succeed(limit, 4)
    for _ in range(5):
        limit.halve(20.0, started=19.0)
    assert limit.allowed == 10
    assert succeed(limit, 10, now=20.5) == 10  # sent before the trouble: they say nothing about now
    # Each success adds 1/10, or a little less as it grows: ten do not quite make it 11, the eleventh does.
    assert [succeed(limit, 10, now=22.0), succeed(limit, 1, now=22.0)] == [10, 11]


def test_a_single_fault_changes_nothing_and_a_quarter_of_faults_halves_it() -> None:
    limit = after_first_reply()
    limit.failed(2.0, started=1.5)
    assert limit.allowed == START
    # With a weight of 0.1 the share after n faults is 1 - 0.9^n, which passes 0.25 at the third.
    limit.failed(2.0, started=1.5)
    limit.failed(2.0, started=1.5)
    assert limit.allowed == START // 2


def test_it_does_not_grow_while_replies_take_twice_as_long_and_shrinks_at_five_times() -> None:
    limit = after_first_reply()
    # The mean moves a tenth of the way to 3 s with each reply: above 2 s after seven, and growth ends there.
    grown = succeed(limit, 7, latency_s=3.0)
    assert succeed(limit, 50, latency_s=3.0) == grown
    assert succeed(limit, 50, now=20.0, latency_s=9.0) < grown


@given(st.lists(st.sampled_from(["succeeded", "failed", "halve"]), max_size=200), st.integers(1, 300))
def test_it_stays_between_one_and_the_ceiling(events: list[str], ceiling: int) -> None:
    limit = AdaptiveConcurrency(ceiling)
    for now, event in enumerate(events, 1):
        if event == "succeeded":
            limit.succeeded(now, started=now - 0.5, in_flight=limit.allowed)
        else:
            getattr(limit, event)(now, started=now - 0.5)
        assert 1 <= limit.allowed <= ceiling
