"""The monitoring database -> what the last day comes to, what has changed, and which rules are broken."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final, TypeVar

from rageval.config.file import read_settings
from rageval.config.overrides import validate
from rageval.errors import ConfigError
from rageval.monitoring.alert_rules import Rule, Rules, WindowStatistic, alerts_of, verdict_shares
from rageval.monitoring.buckets import quantile
from rageval.monitoring.config import DriftConfig, MonitoringConfig
from rageval.monitoring.drift import Drift, correct, score_drift, share_drift
from rageval.monitoring.notify import NotificationResult, tell
from rageval.monitoring.records import Alert
from rageval.monitoring.store import window_counts as read
from rageval.monitoring.store.alert_log import note_sent, record_alerts, unsent_alerts
from rageval.monitoring.store.database import Database
from rageval.monitoring.store.question_topics import topic_titles
from rageval.monitoring.store.window_counts import ByPart, LabelCount, QueryScope
from rageval.monitoring.summary import Summary
from rageval.monitoring.thumbs import ThumbsAgreement, thumbs_agreement
from rageval.monitoring.windows import Share, Window, complete_windows, wilson
from rageval.safety.allowances import check_file

T = TypeVar("T")
_DAY: Final = timedelta(days=1)
_SUBJECTS: Final[Mapping[str, str]] = {
    "topic_drift": "topics",
    "language_drift": "languages",
    "score_drift": "retrieval scores",
}


def read_rules(file: str) -> tuple[Rule, ...]:
    """Return the rules of a YAML file; none without a file.

    Raises:
        ConfigError: If it cannot be read, the run may not read it, or it holds something else than rules.
    """
    if file:
        check_file(file)
    if file and not Path(file).exists():
        raise ConfigError(
            f"the file of alert rules {file} does not exist; name another one with --rules, or '' for none"
        )
    return validate(Rules, read_settings(Path(file))).rules if file else ()


def summarise(database: Database, config: MonitoringConfig, now: datetime) -> Summary:
    """Return what the last 24 hours come to, what the days of the reference before them came to, and what differs."""
    whole = now.replace(microsecond=0)  # parts of time begin at whole seconds
    asked = QueryScope(window=Window(start=whole - _DAY, end=whole), visitors=config.visitors)
    before = replace(asked, window=asked.window.before(timedelta(days=config.drift.reference_days)))
    both = replace(asked, window=Window(start=before.window.start, end=whole))
    cost_before = _only(read.cost(database, before)).usd
    return Summary(
        now=now,
        current=_shares(database, asked),
        reference=_shares(database, before),
        reference_days=config.drift.reference_days,
        cost=_only(read.cost(database, asked)).usd,
        reference_cost=None if cost_before is None else cost_before / config.drift.reference_days,
        p95_s=quantile(_only(read.latency_buckets(database, asked)), 0.95),
        reference_p95_s=quantile(_only(read.latency_buckets(database, before)), 0.95),
        drifts=tuple(_only(drifts(database, asked, config.drift))),
        agreement=_agreement(_only(read.votes(database, both))),
        topics=tuple(_topics(database, asked)),
    )


def watch(database: Database, config: MonitoringConfig, rules: tuple[Rule, ...], now: datetime) -> list[Alert]:
    """Hold the windows of the last days against the rules, and store what is broken; returns the alerts that are new.

    Args:
        database: Where conversations are read, and alerts stored.
        config: How many days back, and how drift is tested.
        rules: What is to hold.
        now: With its zone; only windows that are over are looked at.
    """
    first = read.first_asked(database)
    if first is None:
        return []

    @cache  # rules of several drifts look at the same tests
    def tested(asked: QueryScope) -> ByPart[Sequence[Drift]]:
        return drifts(database, asked, config.drift)

    new: list[Alert] = []
    for rule in rules:
        if asked := _asked(rule, first, now, config.days):
            asked = replace(asked, visitors=config.visitors)
            new += record_alerts(database, alerts_of(rule, _measured(database, rule, asked, tested), now))
    return new


def send_alerts(database: Database, config: MonitoringConfig, now: datetime) -> tuple[list[Alert], NotificationResult]:
    """Tell everybody of the alerts of the last days that nobody was told of; returns them, and how that went.

    What could not be sent stays as it is, so the next run tries again.
    """
    alerts = unsent_alerts(database, now - timedelta(days=config.days))
    told = tell(alerts) if alerts else NotificationResult(addresses=0)
    if told.reached:
        note_sent(database, alerts, now)
    return alerts, told


def drifts(database: Database, asked: QueryScope, config: DriftConfig) -> ByPart[Sequence[Drift]]:
    """Return how topics, languages and retrieval scores of each part differ from those of the days before it.

    The p-values are adjusted for all three.
    """
    reference = timedelta(days=config.reference_days)
    first, *_ = asked.parts
    length = _common(first.end - first.start, reference)  # what is read once is added up again for each part
    every = replace(asked, window=Window(start=first.start - reference, end=asked.window.end), length=length)
    topics, languages = (read.labels_of_versions(database, metric, every) for metric in ("topic", "language"))
    methods, scores = read.retrievers(database, every), read.top_scores(database, every)
    titles = topic_titles(database)

    def tested(part: Window) -> list[Drift]:
        now, then = part.parts(length), part.before(reference).parts(length)

        def counted(subject: str, found: ByPart[Sequence[LabelCount]]) -> Drift:
            version = _last_version(found, now)  # labels of two versions cannot be compared
            counts = (_labels(found, times, version) for times in (then, now))
            return share_drift(subject, *counts, minimum=config.minimum, names=titles)

        method = _usual_method(methods, now)
        before, current = (_scores(scores, times, method) for times in (then, now))
        found = [
            counted("topics", topics),
            counted("languages", languages),
            score_drift("retrieval scores", before, current, minimum=config.minimum),
        ]
        return correct(found, config.significance)

    return {part: tested(part) for part in asked.parts}


def _common(first: timedelta, second: timedelta) -> timedelta:
    """Return the longest time that two whole numbers of seconds are both multiples of."""
    return timedelta(seconds=math.gcd(*(int(length.total_seconds()) for length in (first, second))))


def _last_version(found: ByPart[Sequence[LabelCount]], times: Sequence[Window]) -> str | None:
    """Return the version that was computed last, or None if there is none."""
    return max(((one.last, one.version) for time in times for one in found[time]), default=(None, None))[1]


def _labels(found: ByPart[Sequence[LabelCount]], times: Sequence[Window], version: str | None) -> Counter[str]:
    counts: Counter[str] = Counter()
    for one in (one for time in times for one in found[time]):
        if one.version == version and one.label is not None:
            counts[one.label] += one.n
    return counts


def _usual_method(found: ByPart[Mapping[str, int]], times: Sequence[Window]) -> str | None:
    """Return the retriever that found something most often, or None if none did."""
    counts = sum((Counter(found[time]) for time in times), Counter[str]())
    return min(counts, key=lambda method: (-counts[method], method), default=None)


def _scores(
    found: ByPart[Sequence[tuple[str, str, float]]], times: Sequence[Window], method: str | None
) -> list[float]:
    """Return the scores of a retriever: of many, those of the conversations whose ids come first."""
    scores = sorted((name, score) for time in times for name, used, score in found[time] if used == method)
    return [score for _, score in scores[: read.MOST_SCORES]]


def _asked(rule: Rule, first: datetime, now: datetime, days: int) -> QueryScope | None:
    """Return the windows that a rule looks at, or None: from the one on in which the first conversation began.

    Of that one only a part was watched, which is too little for a count alone.
    """
    length = timedelta(hours=rule.window_hours)
    begun = first if rule.statistic == "questions" else first - length
    windows = complete_windows(now, length, max(begun, now - timedelta(days=days)))
    if not windows:
        return None
    window = Window(start=windows[0].start, end=windows[-1].end)
    return QueryScope(window=window, length=length, system=rule.system, filter_value=rule.filter_value)


def _measured(
    database: Database, rule: Rule, asked: QueryScope, tested: Callable[[QueryScope], ByPart[Sequence[Drift]]]
) -> list[WindowStatistic]:
    if rule.statistic in _SUBJECTS:
        return [_effect(window, _SUBJECTS[rule.statistic], found) for window, found in tested(asked).items()]
    if rule.statistic == "p95_s":
        return [_p95(window, counts) for window, counts in read.latency_buckets(database, asked).items()]
    if rule.statistic == "cost_usd":
        costs = read.cost(database, asked)
        return [WindowStatistic(window=window, value=cost.usd, n=cost.n) for window, cost in costs.items()]
    if rule.statistic == "judge_kappa":
        return [_kappa(window, votes) for window, votes in read.votes(database, asked).items()]
    shares = _share(database, rule.statistic, asked)
    if rule.statistic == "questions":
        return [WindowStatistic(window=window, value=share.n, n=share.n) for window, share in shares.items()]
    return [_measured_share(window, share) for window, share in shares.items()]


def _effect(window: Window, subject: str, found: Sequence[Drift]) -> WindowStatistic:
    (drift,) = (drift for drift in found if drift.subject == subject)
    sure = drift.effect if drift.verdict == "changed" else 0.0
    return WindowStatistic(window=window, value=sure, n=min(drift.n, drift.n_reference))


def _measured_share(window: Window, share: Share) -> WindowStatistic:
    low, high = share.interval or (None, None)
    return WindowStatistic(window=window, value=share.value, low=low, high=high, n=share.n)


def _kappa(window: Window, votes: Sequence[tuple[str, str, int]]) -> WindowStatistic:
    agreement = _agreement(votes)
    kappa = agreement.kappa
    if kappa is None or kappa.low is None:
        return WindowStatistic(window=window, value=None, n=agreement.n)
    return WindowStatistic(window=window, value=kappa.value, low=kappa.low, high=kappa.high, n=kappa.clusters)


def _p95(window: Window, counts: Mapping[int, int]) -> WindowStatistic:
    """Return the 95th percentile; its interval holds the percentiles of those ranks that may as well be the 95th."""
    n = sum(counts.values())
    if not n:
        return WindowStatistic(window=window, value=None, n=0)
    low, high = wilson(round(0.95 * n), n)
    return WindowStatistic(
        window=window, value=quantile(counts, 0.95),
        low=quantile(counts, low), high=quantile(counts, high), n=n,
    )  # fmt: skip


def _share(database: Database, statistic: str, asked: QueryScope) -> ByPart[Share]:
    if metric := verdict_shares().get(statistic):
        return {
            window: Share(hits=counts.get(metric.counted, 0), n=sum(counts.values()))
            for window, counts in read.labels(database, metric.name, asked).items()
        }
    return read.thumbs_down(database, asked) if statistic == "thumbs_down_share" else read.errors(database, asked)


def _shares(database: Database, asked: QueryScope) -> dict[str, Share]:
    names = (*verdict_shares(), "thumbs_down_share", "error_share")
    return {name: _only(_share(database, name, asked)) for name in names}


def _agreement(votes: Sequence[tuple[str, str, int]]) -> ThumbsAgreement:
    return thumbs_agreement([row[0] for row in votes], [row[2] for row in votes], [row[1] for row in votes])


def _topics(database: Database, asked: QueryScope) -> list[tuple[str, int]]:
    titles = topic_titles(database)
    found = read.labels_of_versions(database, "topic", asked)
    counts = _labels(found, asked.parts, _last_version(found, asked.parts))
    return [(titles.get(topic, topic), n) for topic, n in counts.most_common()]


def _only(found: ByPart[T]) -> T:
    """Return what was found in the only part."""
    (one,) = found.values()
    return one
