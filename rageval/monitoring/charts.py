"""The rows of a figure -> one inline SVG: lines with their intervals, or stacked bars, over time.

A chart holds numbers and dates alone; names that come from data stand in the page around it. A line ends where a step
of time has no value. Hovering a point tells its numbers.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from markupsafe import Markup

from rageval.monitoring.figures import STEPS_S, Figure, PageWindow, Unit
from rageval.pages import formats

COLOURS: Final = 6
"""Series of different colours; the ones after them are dashed."""
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 480.0, 200.0, 52.0, 12.0, 10.0, 24.0
_NOT_DRAWN: Final = {"time", "low", "high", "n", "unscored"}
_MAX_POINTS: Final = 70
"""Points of a line that are marked; more would hide it."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """A line, or the parts of bars that belong together."""

    name: str
    points: Sequence[tuple[datetime, float, Mapping[str, Any]]]
    """Time, value and the row it is of; in order."""


def series(figure: Figure) -> list[Series]:
    """Return what a figure draws: a series per metric, or one per column of numbers."""
    if "metric" in figure.columns:
        names = list(dict.fromkeys(str(row["metric"]) for row in figure.rows))
        rows = {name: [row for row in figure.rows if row["metric"] == name] for name in names}
        return [Series(name=name, points=_points(rows[name], "value")) for name in names]
    columns = [column for column in figure.columns if column not in _NOT_DRAWN]
    return [Series(name=column, points=_points(figure.rows, column)) for column in columns]


def chart(figure: Figure, window: PageWindow) -> Markup:
    """Return the drawing of a time series, or of bars; empty if there is nothing to draw."""
    drawn = series(figure)
    if not any(line.points for line in drawn):
        return Markup()
    unit = figure.description.unit
    stacked = figure.description.kind == "bars"
    low, high = _range(figure, drawn, stacked=stacked)
    axes = _Axes(window=window, low=low, high=high)
    step = None if figure.description.board == "offline-runs" else timedelta(seconds=STEPS_S[window.step])
    parts = [_grid(axes, unit)]
    if stacked:
        parts += _bars(axes, drawn, step or timedelta(days=1), unit)
    else:
        for number, line in enumerate(drawn):
            parts += _line(axes, line, number, step, unit)
    # Only numbers and dates are in it.
    text = f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" aria-hidden="true" focusable="false">{"".join(parts)}</svg>'
    return Markup(text)  # noqa: S704


def value(number: float | None, unit: Unit) -> str:
    """Return a number with its unit, as pages show it."""
    if number is None:
        return "–"
    if unit == "share":
        return f"{100 * number:.1f} %"
    words: Mapping[Unit, Callable[[float], str]] = {
        "usd": formats.usd,
        "s": formats.duration,
        "count": formats.count,
        "score": formats.number,
    }
    return words[unit](number)


@dataclass(frozen=True, kw_only=True)
class _Axes:
    window: PageWindow
    low: float
    high: float

    def x(self, time: datetime) -> float:
        share = (time - self.window.since) / (self.window.until - self.window.since)
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * min(max(share, 0.0), 1.0)

    def y(self, number: float) -> float:
        share = (number - self.low) / (self.high - self.low)
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * min(max(share, 0.0), 1.0)


def _points(rows: Sequence[Mapping[str, Any]], column: str) -> list[tuple[datetime, float, Mapping[str, Any]]]:
    return [(row["time"], float(row[column]), row) for row in rows if row[column] is not None]


def _range(figure: Figure, drawn: Sequence[Series], *, stacked: bool) -> tuple[float, float]:
    """Return the ends of the axis: from 0 unless all values lie far from it."""
    if stacked:
        sums: dict[datetime, float] = {}
        for line in drawn:
            for time, number, _ in line.points:
                sums[time] = sums.get(time, 0.0) + number
        return 0.0, max(sums.values()) * 1.05 or 1.0
    ends = [number for line in drawn for _, number, _ in line.points]
    ends += [float(row[end]) for row in figure.rows for end in ("low", "high") if row.get(end) is not None]
    low, high = min(ends), max(ends)
    if 0 <= low < 0.4 * high or high == 0:
        low = 0.0
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 0.05
    low = low - margin if low else 0.0
    high += margin
    return (max(low, 0.0), min(high, 1.0)) if figure.description.unit == "share" else (low, high)


def _ticks(low: float, high: float) -> list[float]:
    """Return three to six round numbers within the ends."""
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _tick(number: float, step: float, unit: Unit) -> str:
    if unit == "share":
        return f"{100 * number:.{_decimals(100 * step)}f} %"
    if unit == "count" and number >= 10_000:
        return f"{number / 1e6:g} M" if number >= 1e6 else f"{number / 1e3:g} k"
    return f"{'$' if unit == 'usd' else ''}{number:,.{_decimals(step)}f}{' s' if unit == 's' else ''}"


def _decimals(step: float) -> int:
    """Return how many decimals tell the multiples of a step apart; steps have two digits at most."""
    power = math.floor(math.log10(step) + 1e-9)
    digits = round(step / 10.0**power, 6)
    return max(0, -power + (not digits.is_integer()))


def _grid(axes: _Axes, unit: Unit) -> str:
    ticks = _ticks(axes.low, axes.high)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else axes.high - axes.low
    parts = [
        f'<path d="M{_LEFT:g} {axes.y(tick):.1f}H{_WIDTH - _RIGHT:g}" stroke="var(--rule)"/>'
        f'<text x="{_LEFT - 6:g}" y="{axes.y(tick) + 4:.1f}" text-anchor="end">{_tick(tick, step, unit)}</text>'
        for tick in ticks
    ]
    length = axes.window.until - axes.window.since
    words = "%H:%M" if length <= timedelta(days=2) else "%-d %b" if length <= timedelta(days=300) else "%b %Y"
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        time = axes.window.since + share * length
        anchor = "start" if share == 0 else "end" if share == 1 else "middle"
        parts.append(f'<text x="{axes.x(time):.1f}" y="{_HEIGHT - 6:g}" text-anchor="{anchor}">{time:{words}}</text>')
    return "".join(parts)


def _line(axes: _Axes, line: Series, number: int, step: timedelta | None, unit: Unit) -> list[str]:
    colour, dashed = _colour(number)
    parts = []
    for stretch in _stretches(line.points, step):
        band = [(time, row["low"], row["high"]) for time, _, row in stretch if row.get("low") is not None]
        if len(band) > 1:
            upper = " ".join(f"{axes.x(time):.1f},{axes.y(high):.1f}" for time, _, high in band)
            lower = " ".join(f"{axes.x(time):.1f},{axes.y(low):.1f}" for time, low, _ in reversed(band))
            parts.append(f'<polygon points="{upper} {lower}" fill="{colour}" opacity=".18"/>')
        for time, low, high in band[:1] if len(band) == 1 else []:
            ends = f"M{axes.x(time):.1f} {axes.y(low):.1f}V{axes.y(high):.1f}"
            parts.append(f'<path d="{ends}" stroke="{colour}" opacity=".4"/>')
        places = " ".join(f"{axes.x(time):.1f},{axes.y(value_):.1f}" for time, value_, _ in stretch)
        parts.append(f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="1.8"{dashed}/>')
    radius = 2.4 if len(line.points) <= _MAX_POINTS else 1.2
    parts += [
        f'<circle cx="{axes.x(time):.1f}" cy="{axes.y(value_):.1f}" r="{radius}" fill="{colour}">'
        f"<title>{_hint(time, value_, row, unit)}</title></circle>"
        for time, value_, row in line.points
    ]
    return parts


def _stretches(points: Sequence[Any], step: timedelta | None) -> list[list[Any]]:
    """Return the points in parts, each without a gap."""
    found = [[points[0]]] if points else []
    for before, after in pairwise(points):
        if step is not None and after[0] - before[0] > 1.5 * step:
            found.append([])
        found[-1].append(after)
    return found


def _bars(axes: _Axes, drawn: Sequence[Series], step: timedelta, unit: Unit) -> list[str]:
    parts, tops = [], dict[datetime, float]()
    for number, line in enumerate(drawn):
        colour, _ = _colour(number)
        for time, value_, row in line.points:
            bottom = tops.get(time, 0.0)
            tops[time] = bottom + value_
            left, right = axes.x(time), axes.x(time + step)
            width = max((right - left) * 0.86, 0.8)
            top = axes.y(tops[time])
            parts.append(
                f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{axes.y(bottom) - top:.1f}" '
                f'fill="{colour}"><title>{_hint(time, value_, row, unit)}</title></rect>'
            )
    return parts


def _hint(time: datetime, number: float, row: Mapping[str, Any], unit: Unit) -> str:
    interval = f" ({value(row['low'], unit)} to {value(row['high'], unit)})" if row.get("low") is not None else ""
    n = f", n = {row['n']:,}" if row.get("n") is not None else ""
    return f"{time:%Y-%m-%d %H:%M}: {value(number, unit)}{interval}{n}"


def _colour(number: int) -> tuple[str, str]:
    return f"var(--s{number % COLOURS + 1})", ' stroke-dasharray="5 3"' if number >= COLOURS else ""
