"""How far every model is, while a flow runs: bars in a terminal, a line per model every ten seconds elsewhere."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from rageval.engine.counts import ModelCounts
from rageval.pages.formats import duration
from rageval.scoring.computing import COMPUTED

_REFRESH_S = 0.25
_PLAIN_EVERY_S = 10.0
_RATE_OVER_S = 60.0


@dataclass
class Pace:
    """How fast records come, over the last minute; what was stored before has not come now."""

    seen: deque[tuple[float, int]] = field(default_factory=deque)

    def per_second(self, now: float, counts: ModelCounts) -> float:
        """Note how many there are now, and return how many came each second."""
        self.seen.append((now, counts.done - counts.stored))
        while now - self.seen[0][0] > _RATE_OVER_S and len(self.seen) > 2:
            self.seen.popleft()
        (since, before), (_, came) = self.seen[0], self.seen[-1]
        return (came - before) / (now - since) if now > since else 0.0


def detail(counts: ModelCounts, per_second: float, *, asks: bool = True) -> str:
    """Return everything but `done of total` in words.

    Args:
        counts: How far it is.
        per_second: How fast.
        asks: Whether anybody is asked for what is counted.
    """
    left = counts.expected - counts.done
    left_s = left / per_second if per_second > 0 else None
    time_left = "done" if left <= 0 else f"{duration(left_s)} left" if left_s is not None else "time left unknown"
    if not asks:
        return f"{counts.failed} failed, {per_second:.1f}/s, {time_left}"
    said = f"{counts.failed} failed, {counts.in_flight} in flight, {per_second:.1f}/s"
    return f"{said}, {_dollars(counts)}, {time_left}"


def _dollars(counts: ModelCounts) -> str:
    """Return what was spent; where that is not known, what it is at least, and why nobody knows."""
    if not counts.unpriced:
        return f"${counts.cost_usd:.4f}"
    why = f"cost unknown: {counts.without_usage} replies without usage" if counts.without_usage else "price unknown"
    return f"at least ${counts.cost_usd:.4f}, {why}" if counts.cost_usd else why


@contextmanager
def display(console: Console, counts: Callable[[], Mapping[str, ModelCounts]]) -> Iterator[Callable[[str], None]]:
    """Show how far every model is until the block ends; yields what prints a line in between.

    Args:
        console: Where to.
        counts: Returns the progress of each model, by its label.
    """
    progress = Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=16), MofNCompleteColumn(),
        TextColumn("{task.fields[detail]}"), console=console, disable=not console.is_terminal,
    )  # fmt: skip
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(console, progress, counts, ended), daemon=True)
    with progress:
        watcher.start()
        try:
            yield lambda text: console.print(f"  {escape(text)}", highlight=False)
        finally:
            ended.set()
            watcher.join()


def _watch(
    console: Console, progress: Progress, counts: Callable[[], Mapping[str, ModelCounts]], ended: threading.Event
) -> None:
    bars: dict[str, Any] = {}
    paces: dict[str, Pace] = {}
    shown: dict[str, str] = {}
    while not ended.wait(_REFRESH_S if console.is_terminal else _PLAIN_EVERY_S):
        for label, now in list(counts().items()):
            pace = paces.setdefault(label, Pace()).per_second(time.monotonic(), now)
            words = detail(now, pace, asks=label != COMPUTED)
            if not console.is_terminal:
                show_line(console, shown, label, f"{now.done} of {now.expected}, {words}")
                continue
            if label not in bars:
                bars[label] = progress.add_task(escape(label), total=None, detail="")
            progress.update(bars[label], total=now.expected, completed=now.done, detail=words)


def show_line(console: Console, shown: dict[str, str], label: str, words: str) -> None:
    """Print a model's line, unless it is the same as before; a log does not wrap it."""
    if shown.get(label) != words:
        shown[label] = words
        console.print(f"  {escape(label)}: {words}", highlight=False, soft_wrap=True)
