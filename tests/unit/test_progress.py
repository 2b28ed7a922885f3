"""What a display says of each model: the same numbers in a terminal and in a log."""

import io

from rich.console import Console

from rageval.cli.progress import Pace, detail, show_line
from rageval.engine.counts import ModelCounts


def test_a_pace_counts_what_has_come_and_not_what_was_stored() -> None:
    pace = Pace()
    assert pace.per_second(10.0, ModelCounts(done=100, stored=100)) == 0.0
    # 20 more in 10 seconds, and 50 of another chunk that were stored before.
    assert pace.per_second(20.0, ModelCounts(done=170, stored=150)) == 2.0
    # A minute later only the last minute counts: 0 more since then.
    pace.per_second(80.0, ModelCounts(done=170, stored=150))
    assert pace.per_second(90.0, ModelCounts(done=170, stored=150)) == 0.0


def test_a_line_holds_every_number_and_is_not_wrapped() -> None:
    counts = ModelCounts(expected=100, done=40, failed=3, in_flight=8, cost_usd=0.5)
    words = detail(counts, 4.0)
    # 60 left at 4 a second.
    assert words == "3 failed, 8 in flight, 4.0/s, $0.5000, 15.0 s left"
    assert detail(counts, 0.0).endswith("time left unknown")
    assert detail(ModelCounts(expected=2, done=2), 1.0).endswith("done")
    assert "price unknown" in detail(ModelCounts(expected=2, done=1, unpriced=1), 1.0)
    unused = ModelCounts(expected=9, done=2, unpriced=2, without_usage=2)
    assert ", cost unknown: 2 replies without usage, " in detail(unused, 1.0)
    partly = ModelCounts(expected=9, done=3, unpriced=1, without_usage=1, cost_usd=0.25)
    assert ", at least $0.2500, cost unknown: 1 replies without usage, " in detail(partly, 1.0)

    console = Console(file=io.StringIO(), width=40)
    shown: dict[str, str] = {}
    for _ in range(2):
        show_line(console, shown, "answers of a-model-with-a-long-name", words)
    assert console.file.getvalue() == f"  answers of a-model-with-a-long-name: {words}\n"  # type: ignore[attr-defined]
