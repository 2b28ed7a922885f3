"""The estimate and the sums in a run's manifest -> rows that show them side by side."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from rageval.pages.formats import UNKNOWN, count, fact, usd
from rageval.runs.manifest import Manifest, ModelUsage

_CACHED = "cached_tokens"
_FIGURES = {"calls": count, "prompt_tokens": count, "completion_tokens": count, "cost_usd": usd}
_HEADINGS = {"prompt_tokens": "prompt tokens", "completion_tokens": "completion tokens", "cost_usd": "cost"}
_NONE: Mapping[str, Any] = {"calls": 0, "prompt_tokens": 0, "completion_tokens": 0, "cost_usd": 0.0}
_FROM_CACHE = "prompt tokens from a cache"
_NOT_SHOWN = ("at_least", "replies")


def total_rows(totals: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return name and value of each total of a run in words; a sum of which only a part is known says so.

    Args:
        totals: `totals` of run.json.
    """
    shown = {name: value for name, value in totals.items() if name not in _NOT_SHOWN}
    if not shown.get("replies_without_usage"):
        shown.pop("replies_without_usage", None)
    if shown.get(_CACHED) is None:
        shown.pop(_CACHED, None)
    return [(name, _known(name, totals, partial(fact, name))) for name in shown]


def spending_rows(manifest: Manifest) -> list[dict[str, str]]:
    """Return a row per model and role, and one for all of them: each cell `actual of estimated`.

    Args:
        manifest: Of the run; without `estimate` or `actual` there are no rows.
    """
    estimate, actual = _by_key(manifest.estimate or ()), _by_key(manifest.actual)
    if not estimate or not actual:
        return []
    keys = dict.fromkeys([*estimate, *actual])
    pairs = [(key, actual.get(key, _NONE), estimate.get(key, _NONE)) for key in keys]
    rows = [_row(model, role, is_now, was) for (model, role), is_now, was in pairs]
    rows.append(_row("total", "", _total([pair[1] for pair in pairs]), _total([pair[2] for pair in pairs])))
    if all(row[_FROM_CACHE] == UNKNOWN for row in rows):  # no provider says anything of its cache
        return [{name: words for name, words in row.items() if name != _FROM_CACHE} for row in rows]
    return rows


def _by_key(rows: Sequence[ModelUsage]) -> dict[tuple[str, str], Mapping[str, Any]]:
    return {(row.model, row.role): row.model_dump() for row in rows}


def _row(model: str, role: str, actual: Mapping[str, Any], estimate: Mapping[str, Any]) -> dict[str, str]:
    values = {
        _HEADINGS.get(name, name): f"{_known(name, actual, words)} of {words(estimate.get(name))}"
        for name, words in _FIGURES.items()
    }
    cached = {_FROM_CACHE: count(actual.get(_CACHED))}
    return {"model": model, "role": role, **values, **cached, "reused": count(actual.get("reused", 0))}


def _total(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the sums; that of a column with an unknown value is unknown."""
    cached = [row[_CACHED] for row in rows if row.get(_CACHED) is not None]
    result: dict[str, Any] = {
        "reused": sum(row.get("reused", 0) for row in rows),
        _CACHED: sum(cached) if cached else None,
    }
    for name in _FIGURES:
        values = [row.get(name) for row in rows]
        result[name] = None if None in values else sum(value for value in values if value is not None)
    result["at_least"] = {name: sum(_least(name, row) or 0 for row in rows) for name in _FIGURES}
    return result


def _known(name: str, sums: Mapping[str, Any], words: Callable[[Any], str]) -> str:
    """Return a sum in words; of one that is known in part, what it is at least."""
    if sums.get(name) is None and (least := _least(name, sums)):
        return f"at least {words(least)}"
    return words(sums.get(name))


def _least(name: str, sums: Mapping[str, Any]) -> float | None:
    """Return what is known of a sum."""
    value = sums.get(name)
    return (sums.get("at_least") or {}).get(name) if value is None else value
