"""The points of a metric -> one inline SVG figure per system or retriever, all on the same axes."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from markupsafe import Markup

from rageval.comparison.trends import Point, Trend
from rageval.metrics.catalogue import bounds

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 420.0, 150.0, 40.0, 10.0, 10.0, 20.0
_LABELS: Final = 15
"""Runs below the axis that are numbered at most."""


def trend_plots(trend: Trend) -> list[Markup]:
    """Return a figure per system or retriever, in the order of `trend.series`.

    The runs stand side by side at the same distances, numbered from 1. A line joins what can be compared; a dashed one
    stands where it cannot. Runs that are not complete are drawn hollow.
    """
    low, high = _range(trend)
    places = {run_id: place for place, run_id in enumerate(trend.runs)}
    axes = _axes(low, high, len(places))
    return [_figure(axes, points, places, low, high) for points in trend.series.values()]


def _range(trend: Trend) -> tuple[float, float]:
    ends = [end for point in trend.points for end in (point.mean, point.low, point.high) if end is not None]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    margin = 0.08 * (high - low) or 0.05
    low, high = low - margin, high + margin
    if limits := bounds(trend.metric):
        low, high = max(low, limits[0]), min(high, limits[1])
    return low, high


def _figure(axes: str, points: Sequence[Point], places: dict[str, int], low: float, high: float) -> Markup:
    def x(point: Point) -> float:
        return _across(places[point.run_id], len(places))

    def y(value: float) -> float:
        return _down(value, low, high)

    known = [(point, point.mean) for point in points if point.mean is not None]
    parts = [axes]
    for (before, mean_before), (after, mean) in pairwise(known):
        if after.interrupted:
            middle = (x(before) + x(after)) / 2
            parts.append(
                f'<path d="M{middle:.1f} {_TOP:g}V{_HEIGHT - _BOTTOM:g}" stroke="var(--warn)" stroke-dasharray="3 3"/>'
            )
        else:
            line = f"M{x(before):.1f} {y(mean_before):.1f}L{x(after):.1f} {y(mean):.1f}"
            parts.append(f'<path d="{line}" stroke="var(--series)" stroke-width="1.5"/>')
    for point, mean in known:
        if point.low is not None and point.high is not None:
            ends = f"M{x(point):.1f} {y(point.low):.1f}V{y(point.high):.1f}"
            parts.append(f'<path d="{ends}" stroke="var(--series)" opacity=".5"/>')
        fill = "var(--series)" if point.status == "complete" else "var(--page)"
        parts.append(f'<circle cx="{x(point):.1f}" cy="{y(mean):.1f}" r="3.5" fill="{fill}" stroke="var(--series)"/>')
    # Only numbers and our own words are in it.
    text = f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" aria-hidden="true" focusable="false">{"".join(parts)}</svg>'
    return Markup(text)  # noqa: S704


def _axes(low: float, high: float, runs: int) -> str:
    parts = []
    for value in (low, (low + high) / 2, high):
        at = _down(value, low, high)
        parts.append(f'<path d="M{_LEFT:g} {at:.1f}H{_WIDTH - _RIGHT:g}" stroke="var(--rule)"/>')
        parts.append(f'<text x="{_LEFT - 5:g}" y="{at + 3:.1f}" font-size="9" text-anchor="end">{value:.3g}</text>')
    step = -(-runs // _LABELS)
    for place in range(0, runs, step):
        parts.append(
            f'<text x="{_across(place, runs):.1f}" y="{_HEIGHT - 5:g}" font-size="9" text-anchor="middle">'
            f"{place + 1}</text>"
        )
    return "".join(parts)


def _across(place: int, runs: int) -> float:
    inner = _WIDTH - _LEFT - _RIGHT
    return _LEFT + inner * (place + 0.5) / max(1, runs)


def _down(value: float, low: float, high: float) -> float:
    return _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)
