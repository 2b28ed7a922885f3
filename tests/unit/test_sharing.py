"""The share of a limit that each of several processes keeps to."""

import pytest

from rageval.engine.sharing import LimitShare


def test_a_process_alone_has_the_whole_limit_at_once() -> None:
    share = LimitShare()

    assert share.update(0.0, held=5, taken=5) == 1.0
    assert share.update(1.0, held=5, taken=4) == 1.0  # what it took a moment ago is not in the count yet


def test_a_share_falls_at_once_and_is_held_of_taken_of_97_percent() -> None:
    share = LimitShare()
    share.update(0.0, held=5, taken=5)

    assert share.update(1.0, held=5, taken=8) == pytest.approx(0.97 * 5 / 8)


def test_a_newcomer_begins_at_5_percent_and_rises_by_a_fifth_of_the_limit_a_second() -> None:
    share = LimitShare()

    grown = [share.update(float(second), held=5, taken=10) for second in range(4)]

    # 0.05, two steps of 0.2, and then 0.97 * 5 / 10.
    assert grown == pytest.approx([0.05, 0.25, 0.45, 0.485])


def test_whoever_paused_for_long_is_a_newcomer_again() -> None:
    share = LimitShare()
    share.update(0.0, held=1, taken=1)

    assert share.update(4.0, held=1, taken=2) == pytest.approx(0.485)
    assert share.update(10.0, held=1, taken=2) == pytest.approx(0.05)
