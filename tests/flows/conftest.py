"""What holds for all tests of flows."""

import pytest

from rageval.engine import hedging


@pytest.fixture(autouse=True)
def _no_reply_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests are counted, and on a busy machine a reply that comes late would have its request sent once more."""
    monkeypatch.setattr(hedging, "_EARLIEST_HEDGE_S", 3600.0)
