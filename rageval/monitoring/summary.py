"""The last day beside the days before it: a table, a page of Markdown, a sentence."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rageval.metrics.relevance import RELEVANCE
from rageval.monitoring.alert_rules import share_of, verdict_shares
from rageval.monitoring.drift import Drift
from rageval.monitoring.records import Alert
from rageval.monitoring.thumbs import ThumbsAgreement
from rageval.monitoring.windows import Share
from rageval.pages.formats import count, cut, duration, number, usd
from rageval.pages.markdown import escape, section

_NONE: Final = "-"
_MOST_TOPICS: Final = 12


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What the last 24 hours come to, beside the days of the reference before them."""

    now: datetime
    current: Mapping[str, Share]
    """Of the last 24 hours."""
    reference: Mapping[str, Share]
    reference_days: int
    cost: float | None
    """US dollars of the last 24 hours, as far as prices are known."""
    reference_cost: float | None
    """US dollars a day before."""
    p95_s: float | None
    """95th percentile of the seconds to an answer, at most a tenth too high."""
    reference_p95_s: float | None
    drifts: Sequence[Drift]
    agreement: ThumbsAgreement
    """Of both times together."""
    topics: Sequence[tuple[str, int]]
    """Title and number of questions of each topic in the last 24 hours, the most frequent first."""

    @property
    def questions(self) -> int:
        """Questions of the last 24 hours."""
        return self.current["error_share"].n

    def rows(self) -> list[dict[str, str]]:
        """Return the statistics as rows of text."""
        before = f"{self.reference_days} days before"
        rows = [("questions a day", count(self.questions), number(self._questions_a_day()))]
        rows += [(title, _share(self.current[name]), _share(self.reference[name])) for name, title in _titles().items()]
        rows += [
            ("95 % are answered within", _seconds(self.p95_s), _seconds(self.reference_p95_s)),
            ("cost a day", usd(self.cost), usd(self.reference_cost)),
        ]
        return [{"statistic": title, "last 24 hours": now, before: then} for title, now, then in rows]

    def drift_rows(self) -> list[dict[str, str]]:
        """Return how the last day differs from its reference, as rows of words."""
        return [
            {
                "drift of": drift.subject,
                "verdict": drift.verdict,
                "effect": _NONE if drift.effect is None else number(drift.effect),
                "p (adjusted)": _NONE if drift.p_value is None else f"{drift.p_value:.2g}",
                "questions": f"{count(drift.n)} against {count(drift.n_reference)}",
                "most": drift.note or _NONE,
            }
            for drift in self.drifts
        ]

    def _questions_a_day(self) -> float:
        return self.reference["error_share"].n / self.reference_days


def _titles() -> dict[str, str]:
    judged = {name: metric.adjective for name, metric in verdict_shares().items()}
    return {"error_share": "failed", **judged, "thumbs_down_share": "thumbs down"}


def agreement_sentence(agreement: ThumbsAgreement) -> str:
    """Return how far the judge sees answers as the users do, in words."""
    if not agreement.n:
        return "No answer was both judged and voted on, so nothing tells whether the judge sees answers as users do."
    kappa = agreement.kappa
    if kappa is None:
        beyond = "kappa is undefined, because the judge or the users only ever said one thing"
    else:
        interval = f" [{kappa.low:.2f}, {kappa.high:.2f}]" if kappa.low is not None and kappa.high is not None else ""
        beyond = f"kappa {kappa.value:.2f}{interval}, where 0 is what chance gives"
    return (
        f"The judge agrees with {agreement.agreement or 0.0:.0%} of {count(agreement.n)} thumbs ({beyond}); "
        f"{count(agreement.up_but_bad)} thumbs up on answers that it does not call relevant, "
        f"{count(agreement.down_but_good)} thumbs down on answers that it does."
    )


def summary_sentence(summary: Summary, new: Sequence[Alert]) -> str:
    """Return the sentence that a run ends with: the last day, and the alerts that are new."""
    parts = [f"{count(summary.questions)} questions in the last 24 hours"]
    for name in ("error_share", share_of(RELEVANCE)):
        if summary.current[name].n:
            parts.append(f"{_titles()[name]} {_share(summary.current[name])}")
    changed = [drift.subject for drift in summary.drifts if drift.verdict == "changed"]
    parts += [f"{' and '.join(changed)} changed"] if changed else []
    alerts = f"{len(new)} new alert{'' if len(new) == 1 else 's'}" + (
        f": {', '.join(alert.rule for alert in new)}" if new else ""
    )
    return f"{alerts}; {', '.join(parts)}"


def summary_markdown(summary: Summary, new: Sequence[Alert], done: Sequence[str]) -> str:
    """Return the run's page.

    Args:
        summary: The statistics.
        new: The alerts that are new.
        done: What was evaluated, in sentences.
    """
    return "\n\n".join(part for part in _parts(summary, new, done) if part) + "\n"


def _parts(summary: Summary, new: Sequence[Alert], done: Sequence[str]) -> Iterator[str]:
    yield f"# Monitoring on {summary.now:%Y-%m-%d %H:%M} UTC"
    yield f"**{escape(summary_sentence(summary, new))}**"
    yield section("New alerts", [{"rule": alert.rule, "what": alert.message} for alert in new])
    yield section("Figures", summary.rows())
    yield section("Has anything changed?", summary.drift_rows())
    yield f"## Judge and users\n\n{escape(agreement_sentence(summary.agreement))}"
    topics = [{"topic": cut(title, 120), "questions": count(n)} for title, n in summary.topics[:_MOST_TOPICS]]
    yield section("Topics of the last 24 hours", topics)
    yield "## Evaluated now\n\n" + "\n".join(f"- {escape(sentence)}" for sentence in done) if done else ""
    yield "Shares: value [95 % interval] of how many."


def _share(share: Share) -> str:
    if share.value is None or share.interval is None:
        return _NONE
    low, high = share.interval
    return f"{number(share.value)} [{number(low)}, {number(high)}] of {count(share.n)}"


def _seconds(seconds: float | None) -> str:
    return _NONE if seconds is None else duration(seconds)
