"""Numbers -> small inline SVG figures that take their colours from the page around them.

The figures hold no text but numbers and words of this module: names that come from data stand beside them,
in the page. The same numbers give the same bytes.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

Values = NDArray[np.float64]

BIN_WIDTH: Final = 0.05
SERIES: Final = "var(--series)"
GOOD: Final = "var(--good)"
MIDDLE: Final = "var(--middle)"
BAD: Final = "var(--bad)"
UNSCORED: Final = "var(--unscored)"
FAILED: Final = "var(--failed)"
SKIPPED: Final = "var(--skipped)"
MUTED: Final = "var(--muted)"
"""Colours of the page, where they follow light and dark mode."""

_WIDTH, _HEIGHT = 260, 122
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 246, 9, 104
"""The ends of the axes."""
_BAR_WIDTH, _BAR_HEIGHT = 188, 16
_LINES: Final = 4
"""Steps of the vertical axis, at most."""


def histograms(groups: Sequence[Values]) -> list[Markup]:
    """Return a histogram per group, all on the same axes, with a line at the group's mean.

    Args:
        groups: Finite values of at most 1 each; a group may be empty.
    """
    known = np.concatenate([np.zeros(1), *groups])
    bins = np.linspace(start := np.floor(known.min() / BIN_WIDTH) * BIN_WIDTH, 1.0, round((1 - start) / BIN_WIDTH) + 1)
    counts = [np.histogram(group, bins)[0] for group in groups]
    top = max([1, *(int(c.max()) for c in counts)])
    return [_histogram(c, bins, group, top) for c, group in zip(counts, groups, strict=True)]


def rank_bars(groups: Sequence[Mapping[str, int]]) -> list[Markup]:
    """Return a bar plot per group, all on the same scale; the last bar of each is drawn as the odd one out.

    Args:
        groups: Count by label; the labels are short and our own, such as ranks and "none".
    """
    top = max([1, *(n for group in groups for n in group.values())])
    return [_bars(group, top) for group in groups]


def stacked_bar(parts: Mapping[str, int]) -> Markup:
    """Return one bar of full width, divided in proportion to the counts.

    Args:
        parts: Count by colour, one of the constants of this module.
    """
    scale = _BAR_WIDTH / max(1, sum(parts.values()))
    drawn, left = [], 0.0
    for colour, n in parts.items():
        if n:
            drawn.append(_rectangle(left, 1, n * scale, _BAR_HEIGHT - 2, colour))
        left += n * scale
    return _svg(_BAR_WIDTH, _BAR_HEIGHT, drawn)


def _histogram(counts: NDArray[Any], bins: Values, values: Values, top: int) -> Markup:
    def x(value: float) -> float:
        return float(_LEFT + (value - bins[0]) / (1 - bins[0]) * (_RIGHT - _LEFT))

    edges = list(zip(bins[:-1], bins[1:], counts.tolist(), strict=True))
    steps = " ".join(f"V{_n(_y(count, top))} H{_n(x(right))}" for _, right, count in edges)
    drawn = [f'<path d="M{_LEFT} {_BOTTOM} {steps} V{_BOTTOM} Z" fill="{SERIES}"/>']
    if values.size:
        at = _n(x(float(values.mean())))
        drawn.append(f'<path d="M{at} {_BOTTOM} V{_TOP}" stroke="currentColor" stroke-dasharray="3 2"/>')
    ticks = np.arange(np.ceil(bins[0] / 0.25) * 0.25, 1.01, 0.25)
    return _on_axes(drawn, {x(tick): f"{tick:.2f}" for tick in ticks}, top, "answers")


def _bars(group: Mapping[str, int], top: int) -> Markup:
    step = (_RIGHT - _LEFT) / max(1, len(group))
    drawn, ticks = [], {}
    for number, (label, n) in enumerate(group.items(), start=1):
        middle, y = _LEFT + (number - 0.5) * step, _y(n, top)
        colour = SERIES if number < len(group) else MUTED
        drawn.append(_rectangle(middle - 0.35 * step, y, 0.7 * step, _BOTTOM - y, colour))
        ticks[middle] = label
    return _on_axes(drawn, ticks, top, "questions")


def _on_axes(drawn: Sequence[str], ticks: Mapping[float, str], top: int, counted: str) -> Markup:
    """Return a figure on axes that reach from 0 to `top`.

    Args:
        drawn: Its elements.
        ticks: The words below, by their middles.
        top: The highest count.
        counted: What is counted, beside the axis.
    """
    lines = [
        f'<path d="M{_LEFT} {_n(_y(n, top))} H{_RIGHT}" stroke="var(--rule)" stroke-width=".6"/>'
        f'<text x="{_LEFT - 4}" y="{_n(_y(n, top) + 3)}" text-anchor="end">{n:,}</text>'
        for n in _steps(top)
    ]
    below = [f'<text x="{_n(x)}" y="{_BOTTOM + 11}" text-anchor="middle">{word}</text>' for x, word in ticks.items()]
    middle = (_TOP + _BOTTOM) / 2
    name = f'<text transform="translate(9 {_n(middle)}) rotate(-90)" text-anchor="middle">{counted}</text>'
    axis = f'<path d="M{_LEFT} {_BOTTOM} H{_RIGHT}" stroke="currentColor" stroke-width=".6"/>'
    return _svg(_WIDTH, _HEIGHT, [*lines, *below, name, *drawn, axis])


def _steps(top: int) -> Iterator[int]:
    """Return round numbers from 0 to `top`: at most `_LINES` steps, of 1, 2 or 5 times a power of ten."""
    power = 10 ** max(0, math.floor(math.log10(top / _LINES)))
    step = next(size * power for size in (1, 2, 5, 10) if size * power * _LINES >= top)
    return iter(range(0, top + 1, step))


def _y(count: float, top: int) -> float:
    return _BOTTOM - count / top * (_BOTTOM - _TOP)


def _rectangle(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" fill="{colour}"/>'


def _n(number: float) -> str:
    """Return a number in the shortest form that is exact enough to be drawn."""
    return f"{number:.2f}".rstrip("0").rstrip(".")


def _svg(width: int, height: int, drawn: Sequence[str]) -> Markup:
    """Return an element that scales with the page and loads, defines and names nothing."""
    body = f'<g font-size="9" fill="none">{"".join(drawn)}</g>'
    return Markup(f'<svg viewBox="0 0 {width} {height}" aria-hidden="true" focusable="false">{body}</svg>')  # noqa: S704
