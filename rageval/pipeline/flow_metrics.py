"""A flow run -> its golden signals as Prometheus metrics: latency, traffic, errors, saturation, and what it costs.

They are read off what the request engine counts anyway. Labels are models, kinds of requests, outcomes and stages: a
fixed few. Nothing is labelled by run, question or text. All are gauges: they are of one run, and begin anew with the
next; the histogram is of one run, too.
"""

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final, Literal

from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from rageval.engine.counts import BOUNDS_S, ModelCounts
from rageval.engine.request_engine import RequestEngine

State = Literal["running", "completed", "failed", "crashed"]
STATES: Final[tuple[State, ...]] = ("running", "completed", "failed", "crashed")
_Sample = tuple[Sequence[str], float]
_BY_MODEL: Final = ("model", "role")


class FlowMetrics(Collector):
    """The metrics of one flow run, as they are whenever somebody looks."""

    def __init__(self, stages: Mapping[str, float]) -> None:
        """Begin.

        Args:
            stages: Seconds of each stage that has ended.
        """
        self.state: State = "running"
        self.engine: RequestEngine | None = None
        """Whose requests are counted; the flow opens it once it knows what it may spend."""
        self._stages = stages
        self._started = time.time()
        self._ended: float | None = None

    def end(self, state: State) -> None:
        """Note how the flow has ended."""
        self.state, self._ended = state, time.time()

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        yield _gauge("state", "1 for the state that the run is in", ("state",), _one_of(self.state))
        yield _gauge("started_timestamp_seconds", "When the run started", (), [((), self._started)])
        if self._ended is not None:
            yield _gauge("ended_timestamp_seconds", "When the run ended", (), [((), self._ended)])
        seconds = [((stage,), seconds) for stage, seconds in sorted(dict(self._stages).items())]
        yield _gauge("stage_seconds", "Seconds of a stage that has ended", ("stage",), seconds)
        used = self._budget_used
        samples = [] if used is None else [((), used)]
        yield _gauge("budget_used_ratio", "Dollars spent / max_cost_usd; 0 without one, none if unknown", (), samples)
        counted = [(_model_and_role(label), counts) for label, counts in sorted(self._counts.items())]
        yield from _of_records(counted)
        yield from _of_requests(counted)

    @property
    def _counts(self) -> Mapping[str, ModelCounts]:
        return dict(self.engine.counts) if self.engine else {}

    @property
    def _budget_used(self) -> float | None:
        spending = self.engine.spending if self.engine else None
        if spending is None or not spending.ceiling_usd:
            return 0.0
        if spending.known_usd is None:
            return None
        return (spending.spent_usd + spending.elsewhere_usd) / spending.ceiling_usd


_Counted = Sequence[tuple[tuple[str, str], ModelCounts]]


def _of_records(counted: _Counted) -> Iterator[Metric]:
    yield _gauge(
        "records_expected", "Answers, verdicts or questions that there will be", _BY_MODEL,
        [(key, counts.expected) for key, counts in counted],
    )  # fmt: skip
    yield _gauge(
        "records", "Answers, verdicts or questions that there are: stored before, ok, or failed for good",
        (*_BY_MODEL, "outcome"),
        [
            ((*key, outcome), n)
            for key, c in counted
            for outcome, n in (("stored", c.stored), ("ok", c.done - c.stored - c.failed), ("failed", c.failed))
        ],
    )  # fmt: skip
    yield _gauge(
        "tokens", "Tokens of the records, as the server counts them", (*_BY_MODEL, "kind"),
        [
            ((*key, kind), n)
            for key, c in counted
            for kind, n in (("prompt", c.prompt_tokens), ("completion", c.completion_tokens))
            if n or not c.without_usage  # nothing known is not nothing used
        ],
    )  # fmt: skip
    yield _gauge(
        "cost_usd", "US dollars of the records whose cost is known", _BY_MODEL,
        [(key, counts.cost_usd) for key, counts in counted if counts.cost_usd or not counts.unpriced],
    )  # fmt: skip
    yield _gauge(
        "unpriced", "Records whose cost is unknown", _BY_MODEL, [(key, counts.unpriced) for key, counts in counted]
    )
    yield _gauge(
        "without_usage", "Records whose reply does not say how many tokens it took", _BY_MODEL,
        [(key, counts.without_usage) for key, counts in counted],
    )  # fmt: skip


def _of_requests(counted: _Counted) -> Iterator[Metric]:
    yield _gauge(
        "requests",
        "Requests that have ended: ok, refused (429), failed, or dropped because nobody waited for them any more",
        (*_BY_MODEL, "outcome"),
        [
            ((*key, outcome), n)
            for key, c in counted
            for outcome, n in (
                ("ok", c.requests_ok), ("refused", c.requests_refused), ("failed", c.requests_failed),
                ("dropped", c.requests_dropped),
            )
        ],
    )  # fmt: skip
    seconds = HistogramMetricFamily(
        "rageval_flow_request_seconds", "Seconds of the requests that are ok, without waits for limits",
        labels=_BY_MODEL,
    )  # fmt: skip
    bounds = [*map(str, BOUNDS_S), "+Inf"]
    for key, counts in counted:
        below = accumulate(list(counts.seconds.buckets))
        seconds.add_metric(key, list(zip(bounds, below, strict=True)), counts.seconds.total_s)
    yield seconds
    yield _gauge(
        "retries", "Times that a request was sent once more, after a refusal or a fault", _BY_MODEL,
        [(key, counts.retries) for key, counts in counted],
    )  # fmt: skip
    yield _gauge(
        "requests_in_flight", "Requests under way", _BY_MODEL, [(key, counts.in_flight) for key, counts in counted]
    )
    yield _gauge(
        "saturation_ratio", "Requests under way / what the engine allows at once", ("model",), _saturation(counted)
    )


def _saturation(counted: _Counted) -> Iterator[_Sample]:
    for model in dict.fromkeys(model for (model, _), _ in counted):
        of_model = [counts for (name, _), counts in counted if name == model]
        allowed = max(counts.allowed for counts in of_model)  # its kinds of requests share one budget
        yield (model,), sum(counts.in_flight for counts in of_model) / allowed if allowed else 0.0


def _model_and_role(label: str) -> tuple[str, str]:
    """Return what the engine's labels say, which are such as `answers of m1` or `relevance by m1`."""
    role, *model = re.split(" (?:of|by) ", label, maxsplit=1)
    return "".join(model), role


def _one_of(state: State) -> list[_Sample]:
    return [((one,), float(one == state)) for one in STATES]


def _gauge(name: str, words: str, labels: Sequence[str], samples: Iterable[_Sample]) -> Metric:
    family = GaugeMetricFamily(f"rageval_flow_{name}", words, labels=labels)
    for values, number in samples:
        family.add_metric(values, number)
    return family
