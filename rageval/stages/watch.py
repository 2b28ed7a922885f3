"""The monitoring database -> what the last day comes to, what has changed, and which rules are broken."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final

from rageval.adapters.config_file import read_settings
from rageval.adapters.monitoring import windows as read
from rageval.adapters.monitoring.alert_log import note_sent, record_alerts, unsent_alerts
from rageval.adapters.monitoring.database import Database
from rageval.adapters.monitoring.notify import Told, tell
from rageval.adapters.monitoring.question_topics import topic_titles
from rageval.adapters.monitoring.windows import Asked
from rageval.errors import ConfigError
from rageval.monitoring.alert_rules import FigureName, Measured, Rule, Rules, alerts_of
from rageval.monitoring.buckets import quantile
from rageval.monitoring.config import DriftConfig, MonitoringConfig
from rageval.monitoring.drift import Drift, correct, score_drift, share_drift
from rageval.monitoring.records import Alert
from rageval.monitoring.summary import Summary
from rageval.monitoring.thumbs import ThumbsAgreement, thumbs_agreement
from rageval.monitoring.windows import Share, Window, complete_windows, wilson
from rageval.overrides import validate

_DAY: Final = timedelta(days=1)
_SUBJECTS: Final[Mapping[FigureName, str]] = {
    "topic_drift": "topics",
    "language_drift": "languages",
    "score_drift": "retrieval scores",
}
_LABELS: Final[Mapping[FigureName, tuple[str, str]]] = {
    "relevant_share": ("relevance", "RELEVANT"),
    "faithful_share": ("faithfulness", "FAITHFUL"),
    "toxic_share": ("toxicity", "TOXIC"),
}


def read_rules(file: str) -> tuple[Rule, ...]:
    """Return the rules of a YAML file; none without a file.

    Raises:
        ConfigError: If it cannot be read, or holds something else than rules.
    """
    if file and not Path(file).exists():
        raise ConfigError(
            f"the file of alert rules {file} does not exist; name another one with --rules, or '' for none"
        )
    return validate(Rules, read_settings(Path(file))).rules if file else ()


def summarise(database: Database, config: MonitoringConfig, now: datetime) -> Summary:
    """Return what the last 24 hours come to, what the days of the reference before them came to, and what differs."""
    window = Window(start=now - _DAY, end=now)
    asked = Asked(window=window)
    before = Asked(window=window.before(timedelta(days=config.drift.reference_days)))
    return Summary(
        now=now,
        current=_shares(database, asked),
        reference=_shares(database, before),
        reference_days=config.drift.reference_days,
        cost=read.cost(database, asked).usd,
        reference_cost=read.cost(database, before).usd / config.drift.reference_days,
        p95_s=quantile(read.latency_buckets(database, asked), 0.95),
        reference_p95_s=quantile(read.latency_buckets(database, before), 0.95),
        drifts=tuple(drifts(database, asked, config.drift)),
        agreement=_agreement(database, Asked(window=Window(start=before.window.start, end=now))),
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
    def tested(asked: Asked) -> dict[str, Drift]:
        found = drifts(database, asked, config.drift)
        return {drift.subject: drift for drift in found}

    return [
        alert
        for rule in rules
        for alert in record_alerts(
            database,
            alerts_of(
                rule,
                [_measured(database, rule, window, tested) for window in _windows(rule, first, now, config.days)],
                now,
            ),
        )
    ]


def send_alerts(database: Database, config: MonitoringConfig, now: datetime) -> tuple[list[Alert], Told]:
    """Tell everybody of the alerts of the last days that nobody was told of; returns them, and how that went.

    What could not be sent stays as it is, so the next run tries again.
    """
    alerts = unsent_alerts(database, now - timedelta(days=config.days))
    told = tell(alerts) if alerts else Told(addresses=0)
    if told.reached:
        note_sent(database, alerts, now)
    return alerts, told


def drifts(database: Database, asked: Asked, config: DriftConfig) -> list[Drift]:
    """Return how topics, languages and retrieval scores of a window differ from those of the days before it.

    The p-values are adjusted for all three.
    """
    before = Asked(
        window=asked.window.before(timedelta(days=config.reference_days)), course=asked.course, model=asked.model
    )

    def counted(subject: str, metric: str) -> Drift:
        version = read.latest_version(database, metric, asked)  # labels of two versions cannot be compared
        now, then = (read.labels(database, metric, one, version=version) for one in (asked, before))
        return share_drift(subject, then, now, minimum=config.minimum, names=topic_titles(database))

    method = read.usual_search_method(database, asked)
    now, then = (read.top_scores(database, one, method) if method else [] for one in (asked, before))
    found = [
        counted("topics", "topic"),
        counted("languages", "language"),
        score_drift("retrieval scores", then, now, minimum=config.minimum),
    ]
    return correct(found, config.significance)


def _windows(rule: Rule, first: datetime, now: datetime, days: int) -> Sequence[Window]:
    """Return the windows that a rule looks at: from the one on in which the first conversation began.

    Of that one only a part was watched, which is too little for a count alone.
    """
    length = timedelta(hours=rule.window_hours)
    begun = first if rule.figure == "questions" else first - length
    return complete_windows(now, length, max(begun, now - timedelta(days=days)))


def _measured(
    database: Database, rule: Rule, window: Window, tested: Callable[[Asked], Mapping[str, Drift]]
) -> Measured:
    asked = Asked(window=window, course=rule.course, model=rule.model)
    if rule.figure in _SUBJECTS:
        drift = tested(asked)[_SUBJECTS[rule.figure]]
        sure = drift.effect if drift.verdict == "changed" else 0.0
        return Measured(window=window, value=sure, n=min(drift.n, drift.n_reference))
    if rule.figure == "p95_s":
        return _p95(window, read.latency_buckets(database, asked))
    if rule.figure == "cost_usd":
        cost = read.cost(database, asked)
        return Measured(window=window, value=cost.usd, n=cost.n)
    if rule.figure == "judge_kappa":
        agreement = _agreement(database, asked)
        kappa = agreement.kappa
        if kappa is None or kappa.low is None:
            return Measured(window=window, value=None, n=agreement.n)
        return Measured(window=window, value=kappa.value, low=kappa.low, high=kappa.high, n=kappa.clusters)
    share = _share(database, rule.figure, asked)
    if rule.figure == "questions":
        return Measured(window=window, value=share.n, n=share.n)
    low, high = share.interval or (None, None)
    return Measured(window=window, value=share.value, low=low, high=high, n=share.n)


def _p95(window: Window, counts: Mapping[int, int]) -> Measured:
    """Return the 95th percentile; its interval holds the percentiles of those ranks that may as well be the 95th."""
    n = sum(counts.values())
    if not n:
        return Measured(window=window, value=None, n=0)
    low, high = wilson(round(0.95 * n), n)
    return Measured(
        window=window, value=quantile(counts, 0.95),
        low=quantile(counts, low), high=quantile(counts, high), n=n,
    )  # fmt: skip


def _share(database: Database, figure: FigureName, asked: Asked) -> Share:
    if figure in _LABELS:
        metric, label = _LABELS[figure]
        found = read.labels(database, metric, asked)
        return Share(hits=found.get(label, 0), n=sum(found.values()))
    return read.thumbs_down(database, asked) if figure == "thumbs_down_share" else read.errors(database, asked)


def _shares(database: Database, asked: Asked) -> dict[FigureName, Share]:
    names: tuple[FigureName, ...] = (*_LABELS, "thumbs_down_share", "error_share")
    return {name: _share(database, name, asked) for name in names}


def _agreement(database: Database, asked: Asked) -> ThumbsAgreement:
    found = read.votes(database, asked)
    return thumbs_agreement([row[0] for row in found], [row[2] for row in found], [row[1] for row in found])


def _topics(database: Database, asked: Asked) -> list[tuple[str, int]]:
    titles = topic_titles(database)
    found = read.labels(database, "topic", asked, version=read.latest_version(database, "topic", asked))
    return [(titles.get(topic, topic), n) for topic, n in Counter(found).most_common()]
