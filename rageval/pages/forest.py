"""Differences with their intervals -> one small inline SVG each, all to one scale, with a line at 0."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from rageval.pages.plots import MUTED

WIDTH: Final = 200
HEIGHT: Final = 20
_EDGE: Final = 6
_SMALLEST: Final = 0.01
"""The scale reaches at least this far, so that next to nothing is not drawn as a lot."""


@dataclass(frozen=True, kw_only=True)
class DrawnInterval:
    """A difference, its interval, and one of the colours of `plots`."""

    mean: float
    low: float
    high: float
    colour: str


def intervals(drawn: Sequence[DrawnInterval | None]) -> list[Markup]:
    """Return a figure per interval; nothing but the line at 0 where there is none.

    The scale reaches as far to both sides as the farthest mean and, up to three times as far, the farthest end of an
    interval; an end beyond that is drawn at the edge.
    """
    known = [interval for interval in drawn if interval]
    means = max([_SMALLEST, *(abs(interval.mean) for interval in known)])
    ends = max([_SMALLEST, *(abs(end) for interval in known for end in (interval.low, interval.high))])
    return [_figure(interval, max(means, min(ends, 3 * means))) for interval in drawn]


def _figure(interval: DrawnInterval | None, limit: float) -> Markup:
    middle = HEIGHT / 2
    parts = [f'<path d="M{WIDTH / 2:g} 0V{HEIGHT}" stroke="{MUTED}" stroke-width="1"/>']
    if interval:
        low, mean, high = (_place(value, limit) for value in (interval.low, interval.mean, interval.high))
        colour = interval.colour
        parts.append(f'<path d="M{low:.1f} {middle:g}H{high:.1f}" stroke="{colour}" stroke-width="2.5"/>')
        parts.append(f'<circle cx="{mean:.1f}" cy="{middle:g}" r="4.5" fill="{colour}"/>')
    # Only numbers and our own colours are in it.
    text = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true" focusable="false">{"".join(parts)}</svg>'
    return Markup(text)  # noqa: S704


def _place(value: float, limit: float) -> float:
    """Return where a value lies, in units of the figure's width."""
    share = min(max(value / limit, -1.0), 1.0)
    return WIDTH / 2 + share * (WIDTH / 2 - _EDGE)
