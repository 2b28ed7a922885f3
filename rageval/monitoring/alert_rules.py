"""Rules and what was measured -> alerts: one for as long as a rule stays broken, and none for noise.

A rule is broken by a window of time where what was measured lies on the wrong side of the bound with the whole of its
95 % interval. It is kept where the value itself is in order. In between, and with too little to measure, a window
neither breaks a rule nor ends an alert, so that what lasts does not come and go with the noise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator, model_validator

from rageval.config.settings import Key, Settings
from rageval.metrics.catalogue import online
from rageval.metrics.metric import JudgeMetric
from rageval.monitoring.records import Alert
from rageval.monitoring.windows import Window
from rageval.pages.formats import usd

DRIFTS: Final = ("topic_drift", "language_drift", "score_drift")
WITHOUT_MINIMUM: Final = ("cost_usd", "questions")
"""Sums and counts: what they are of decides nothing about how sure they are."""
_IN_WORDS: Final[Mapping[str, str]] = {
    "thumbs_down_share": "the share of thumbs down",
    "error_share": "the share of questions that failed",
    "p95_s": "the 95th percentile of the seconds to an answer",
    "cost_usd": "the cost",
    "questions": "the number of questions",
    "topic_drift": "the drift of topics",
    "language_drift": "the drift of languages",
    "score_drift": "the drift of retrieval scores",
    "judge_kappa": "the judge's agreement with thumbs (kappa)",
}


def share_of(metric: JudgeMetric) -> str:
    """Return what the share of the label that a metric counts is called in rules, such as `relevance_share`."""
    return f"{metric.name}_share"


def verdict_shares() -> dict[str, JudgeMetric]:
    """Return the shares that judges decide, with their metrics."""
    return {share_of(metric): metric for metric in online()}


def statistic_names() -> dict[str, str]:
    """Return everything that a rule can be about, in words."""
    judged = {name: f"the share of {metric.adjective} answers" for name, metric in verdict_shares().items()}
    return {**judged, **_IN_WORDS}


Outcome = Literal["broken", "kept", "unknown"]


class Rule(Settings):
    """When somebody is to be told."""

    name: Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$")]
    """What the alert is called."""
    statistic: str
    """What is measured, such as relevance_share, error_share or cost_usd; see docs/monitoring.md."""
    above: float | None = None
    """The highest value that is in order; of a drift, the smallest effect that matters."""
    below: float | None = None
    """The lowest value that is in order. Give one of the two."""
    window_hours: int = Field(default=24, ge=1, le=24 * 31)
    """Length of the windows; a day begins at midnight UTC, a week on Monday."""
    minimum: int = Field(default=50, ge=1, le=10_000_000)
    """With fewer conversations, votes or verdicts a window decides nothing; costs and counts need none."""
    system: str = ""
    """Only answers of this system; empty for all."""
    filter_value: Key = ""
    """Only questions with this value of `data.filter_by`; empty for all."""

    @field_validator("statistic")
    @classmethod
    def _is_measured(cls, statistic: str) -> str:
        if statistic not in (known := statistic_names()):
            raise ValueError(f"nothing called {statistic!r} is measured; known are {', '.join(known)}")
        return statistic

    @model_validator(mode="after")
    def _check(self) -> "Rule":
        if (self.above is None) == (self.below is None):
            raise ValueError(f"the rule {self.name!r} needs either above or below")
        if self.statistic in DRIFTS and self.above is None:
            raise ValueError(f"the rule {self.name!r} is of a drift, which can only be above something")
        return self

    @property
    def bound(self) -> float:
        """The value that must not be crossed."""
        return self.above if self.above is not None else self.below or 0.0


class Rules(Settings):
    """A file of rules."""

    rules: tuple[Rule, ...] = ()
    """Each with a name of its own."""

    @model_validator(mode="after")
    def _check(self) -> "Rules":
        names = [rule.name for rule in self.rules]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two rules have the name {', '.join(sorted(twice))}; each needs its own")
        return self


@dataclass(frozen=True, kw_only=True)
class WindowStatistic:
    """What a window of time comes to."""

    window: Window
    value: float | None
    """None where there is nothing to measure. Of a drift the effect, or 0 unless the test calls it changed."""
    low: float | None = None
    """What the value may as well be, at least; None if it is exact."""
    high: float | None = None
    """What it may as well be, at most; None if it is exact."""
    n: int
    """Conversations, votes or verdicts that it is of."""


def outcome(rule: Rule, measured: WindowStatistic) -> Outcome:
    """Return whether a window breaks a rule beyond noise, or keeps it; `unknown` where neither can be told."""
    if measured.value is None or (measured.n < rule.minimum and rule.statistic not in WITHOUT_MINIMUM):
        return "unknown"
    sign = 1 if rule.above is not None else -1
    if sign * measured.value <= sign * rule.bound:
        return "kept"
    nearest = measured.low if rule.above is not None else measured.high
    return "broken" if nearest is None or sign * nearest > sign * rule.bound else "unknown"


def alerts_of(rule: Rule, measured: Sequence[WindowStatistic], raised_at: datetime) -> list[Alert]:
    """Return the alerts of a rule: one for each time that it was broken until a window kept it again.

    Args:
        rule: What is to hold.
        measured: One a window, oldest first.
        raised_at: Now, with its zone.
    """
    alerts: list[Alert] = []
    lasts = False
    for one in measured:
        found = outcome(rule, one)
        if found == "kept":
            lasts = False
        elif found == "broken":
            start = alerts.pop().window_start if lasts else one.window.start
            lasts = True
            alerts.append(
                Alert(
                    rule=rule.name,
                    window_start=start,
                    window_end=one.window.end,
                    value=one.value or 0.0,
                    bound=rule.bound,
                    n=one.n,
                    message=_message(rule, one, start),
                    filter_value=rule.filter_value,
                    system=rule.system,
                    raised_at=raised_at,
                )
            )
    return alerts


def _message(rule: Rule, measured: WindowStatistic, start: datetime) -> str:
    value = measured.value or 0.0
    shown = (
        usd(value)
        if rule.statistic == "cost_usd"
        else f"{value:.3g}"
        if rule.statistic != "questions"
        else f"{value:g}"
    )
    if measured.low is not None and measured.high is not None:
        shown += f" [{measured.low:.3g}, {measured.high:.3g}]"
    if rule.statistic not in WITHOUT_MINIMUM:
        shown += f" of {measured.n:,}"
    direction = "above" if rule.above is not None else "below"
    where = "".join(
        f" {word} {name!r}"
        for word, name in (("of system", rule.system), ("of filter value", rule.filter_value))
        if name
    )
    words = (
        f"{statistic_names()[rule.statistic]}{where} was {shown} {_when(measured.window)}, {direction} {rule.bound:g}"
    )
    if start != measured.window.start:
        words += f"; so since {start:%Y-%m-%d %H:%M} UTC"
    return f"{words[0].upper()}{words[1:]}."


def _when(window: Window) -> str:
    if window.end - window.start == timedelta(days=1):
        return f"on {window.start:%Y-%m-%d} (UTC)"
    return f"from {window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M} UTC"
