"""One metric of one answer, as pages show it."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class MetricValue:
    """One metric of the answer; `value` is None where it could not be computed."""

    metric: str
    value: float | None
    label: str | None
    reason: str | None
    error: str | None
