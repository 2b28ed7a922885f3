"""The result of a sweep -> sentences, rows for the terminal, and one self-contained HTML page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml
from jinja2 import Environment

from rageval.pages import templates
from rageval.pages.formats import count, duration, number
from rageval.report.pivot import Cell, cell
from rageval.sweep.result import SweepPlan, SweepResult
from rageval.sweep.settings import PARTS, Part, short_names


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Where a mean and its interval lie on the plot of a row, each in per cent of its width."""

    part: Part
    low: float
    mean: float
    high: float


@dataclass(frozen=True, kw_only=True)
class SettingRow:
    """One setting by the metric that decides."""

    setting: str
    """Its name in the tables."""
    name: str
    """The same without what all settings share."""
    role: str
    """`best`, `default`, `best and default`, or empty."""
    shown: Mapping[Part, Cell]
    marks: tuple[Mark, ...]
    latency: str
    """Median and 95th percentile on the held-out part."""


def sweep_sentences(result: SweepResult, plan: SweepPlan) -> list[str]:
    """Return what the sweep says: the best setting, its held-out figure, and whether it is better than the default."""
    statistics, names = _by_setting(result, plan.metric), short_names(plan.settings)
    best, default = statistics[result.best.name], statistics[plan.default.name]
    chosen, held_out = best["tuning"], best["held-out"]
    first = (
        f"Of {_settings(len(plan.settings))}, {names[result.best.name]} has the highest {plan.metric} on the tuning "
        f"part: {number(chosen['mean'])} over {count(chosen['n'])} questions. On the held-out part it has "
        f"{_shown(held_out)} over {count(held_out['n'])} questions."
    )
    if result.verdict is None:
        return [first, "It is the default setting."]
    compared = (
        f"Against the default setting, {names[plan.default.name]} with {_shown(default['held-out'])}, the verdict is"
    )
    d = result.difference
    if d is None:
        return [first, f"{compared}: {result.verdict}."]
    return [
        first,
        f"{compared}: {result.verdict}. The difference on the same questions is {d.mean:+.3f} [{d.low:+.3f}, "
        f"{d.high:+.3f}], p = {d.p_value:.2g}; better for {count(d.better)}, worse for {count(d.worse)}, equal for "
        f"{count(d.tied)}. The smallest difference that these questions show in 80 of 100 cases is "
        f"{number(d.smallest_detectable)}.",
    ]


def sweep_rows(result: SweepResult, plan: SweepPlan) -> list[dict[str, str]]:
    """Return a row per setting for the terminal: the metric on both parts, and latency; the best first."""
    return [
        {
            "setting": f"{row.name} ({row.role})" if row.role else row.name,
            **{f"{plan.metric}, {part}": f"{row.shown[part].mean} {row.shown[part].interval}" for part in PARTS},
            "latency p50, p95": row.latency,
        }
        for row in setting_rows(result, plan)
    ]


def setting_rows(result: SweepResult, plan: SweepPlan) -> list[SettingRow]:
    """Return the settings by the metric that decides, the highest on the tuning part first."""
    statistics = _by_setting(result, plan.metric)
    names = short_names(plan.settings)
    low, high = _range([part for parts in statistics.values() for part in parts.values()])
    order = sorted(statistics, key=lambda name: (name != result.best.name, -statistics[name]["tuning"]["mean"]))
    return [
        SettingRow(
            setting=name,
            name=names[name],
            role=_role(name, result, plan),
            shown={part: cell(_scored(statistics[name][part])) for part in PARTS},
            marks=tuple(_mark(part, statistics[name][part], low, high) for part in PARTS),
            latency=", ".join(
                duration(statistics[name]["held-out"][column]) for column in ("latency_p50_s", "latency_p95_s")
            ),
        )
        for name in order
    ]


def render_sweep(result: SweepResult, plan: SweepPlan, manifest: Mapping[str, Any]) -> str:
    """Return the page of a sweep: HTML that loads nothing, runs nothing and shows all statistics as text."""
    rows = setting_rows(result, plan)
    metrics = list(dict.fromkeys(result.statistics["metric"].to_pylist()))
    by_metric = {metric: _by_setting(result, metric) for metric in metrics}
    low, high = _range([p for parts in by_metric[plan.metric].values() for p in parts.values()])
    return (
        _environment()
        .get_template("sweep/page.html.j2")
        .render(
            manifest=manifest,
            sentences=sweep_sentences(result, plan),
            metric=plan.metric,
            rows=rows,
            axis=(number(low), number(high)),
            names=[name.partition("@")[0] for name in metrics if name.endswith(f"@{plan.cutoffs[0]}")],
            cutoffs=plan.cutoffs,
            held_out={
                row.name: {metric: cell(_scored(by_metric[metric][row.setting]["held-out"])) for metric in metrics}
                for row in rows
            },
            config=yaml.safe_dump(manifest.get("config") or {}, sort_keys=False, allow_unicode=True),
        )
    )


@cache
def _environment() -> Environment:
    return templates.environment()


def _by_setting(result: SweepResult, metric: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the statistics of one metric by setting and part."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in result.statistics.to_pylist():
        if row["metric"] == metric:
            found.setdefault(row["setting"], {})[row["part"]] = row
    return found


def _scored(statistics: Mapping[str, Any]) -> dict[str, Any]:
    return {**statistics, "n_scored": statistics["n"]}


def _shown(statistics: Mapping[str, Any]) -> str:
    shown = cell(_scored(statistics))
    return f"{shown.mean} {shown.interval}"


def _settings(n: int) -> str:
    return "1 setting" if n == 1 else f"{n} settings"


def _role(name: str, result: SweepResult, plan: SweepPlan) -> str:
    roles = [role for role, setting in (("best", result.best), ("default", plan.default)) if setting.name == name]
    return " and ".join(roles)


def _ends(statistics: Mapping[str, Any]) -> tuple[float, float]:
    low, high = statistics["ci_low"], statistics["ci_high"]
    return (statistics["mean"] if low is None else low, statistics["mean"] if high is None else high)


def _range(statistics: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Return the ends of the plots' common axis, at least 0.05 apart."""
    low, high = min(_ends(row)[0] for row in statistics), max(_ends(row)[1] for row in statistics)
    missing = max(0.0, 0.05 - (high - low)) / 2
    return max(0.0, low - missing), min(1.0, high + missing)


def _mark(part: Part, statistics: Mapping[str, Any], low: float, high: float) -> Mark:
    start, end = _ends(statistics)
    where = [round(100 * (value - low) / (high - low), 2) for value in (start, statistics["mean"], end)]
    return Mark(part=part, low=where[0], mean=where[1], high=where[2])
