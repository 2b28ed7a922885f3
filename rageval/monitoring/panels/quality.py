"""The panels of the dashboard `quality`: what judges and users think of the answers, and which ones went badly."""

from typing import Any, Final

import sqlalchemy as sa

from rageval.metrics.catalogue import online
from rageval.metrics.relevance import RELEVANCE
from rageval.monitoring.figures import shown_name
from rageval.monitoring.panels.counting import kappa, ratio, share_with_interval
from rageval.monitoring.panels.scope import Scope, filter_value_name
from rageval.monitoring.panels.verdicts import (
    judged_votes,
    label_counts,
    thumbs_share_of_each,
    verdict_share_of_each,
)
from rageval.monitoring.store.schema import CONVERSATIONS, EVALUATIONS, FEEDBACK, TOPICS

SHOWN: Final = 25
"""Conversations that a table lists."""
_WORST: Final = 12
_NEWEST: Final = 400
"""Conversations of each kind of trouble that are looked at for the worst ones."""
_ANSWER_CHARS: Final = 600
_C, _E, _F = CONVERSATIONS.c, EVALUATIONS.c, FEEDBACK.c


def agreement(scope: Scope) -> sa.Select[Any]:
    """Return `time`, `kappa`, `agreement` (share of votes that say what the judge says) and `n`."""
    v = judged_votes(scope).c
    same = v.both + v.n - v.judge_up - v.user_up + v.both
    return sa.select(
        v.time,
        kappa(v.both, v.judge_up, v.user_up, v.n).label("kappa"),
        ratio(same, v.n).label("agreement"),
        v.n,
    ).order_by("time")


def each(scope: Scope, key: str) -> sa.Select[Any]:
    """Return a row per system or filter value: `relevant`, `low`, `high` and `judged`, `liked` and `votes`."""
    judged, votes = verdict_share_of_each(scope, RELEVANCE, key), thumbs_share_of_each(scope, key)
    keys = sa.union(sa.select(judged.c.key), sa.select(votes.c.key)).subquery()
    return (
        sa.select(
            keys.c.key.label(shown_name(key)),
            judged.c.relevant,
            judged.c.low,
            judged.c.high,
            judged.c.n.label("judged"),
            votes.c.share.label("liked"),
            votes.c.n.label("votes"),
        )
        .select_from(keys)
        .join(judged, judged.c.key == keys.c.key, isouter=True)
        .join(votes, votes.c.key == keys.c.key, isouter=True)
        .order_by(sa.func.coalesce(judged.c.n, 0).desc(), keys.c.key)
        .limit(SHOWN)
    )


def topics(scope: Scope) -> sa.Select[Any]:
    """Return `topic` (its typical question), `share`, `low`, `high`, `n`, `before` and `n before`."""
    counts = label_counts(scope, "topic")
    everything = sa.select(
        sa.func.sum(counts.c.now).label("now"), sa.func.sum(counts.c.before).label("before")
    ).subquery()
    return (
        sa.select(
            sa.func.coalesce(TOPICS.c.title, counts.c.label).label("topic"),
            *_share_of_all(counts.c.now, everything.c.now),
            ratio(counts.c.before, everything.c.before).label("before"),
            counts.c.before.label("n before"),
        )
        .select_from(counts)
        .join(everything, sa.true())
        .join(TOPICS, TOPICS.c.topic == counts.c.label, isouter=True)
        .order_by(counts.c.now.desc(), counts.c.label)
        .limit(SHOWN)
    )


def languages(scope: Scope) -> sa.Select[Any]:
    """Return `language`, `share`, `low`, `high`, `n` and `before`."""
    counts = label_counts(scope, "language")
    everything = sa.select(
        sa.func.sum(counts.c.now).label("now"), sa.func.sum(counts.c.before).label("before")
    ).subquery()
    return (
        sa.select(
            counts.c.label.label("language"),
            *_share_of_all(counts.c.now, everything.c.now),
            ratio(counts.c.before, everything.c.before).label("before"),
        )
        .select_from(counts)
        .join(everything, sa.true())
        .order_by(counts.c.now.desc(), counts.c.label)
        .limit(SHOWN)
    )


def worst(scope: Scope) -> sa.Select[Any]:
    """Return the conversations with the most against them, of the newest of each kind of trouble."""
    troubles = [
        *(_trouble(scope, _E.metric == metric.name, _E.label == metric.worst) for metric in online()),
        sa.select(_F.conversation_id)
        .where(_F.thumbs == -1, _F.source == "user", *scope.within(FEEDBACK))
        .order_by(_F.asked_at.desc())
        .limit(_NEWEST)
        .subquery(),
    ]
    every = sa.union_all(*(sa.select(trouble.c.conversation_id) for trouble in troubles)).subquery()
    against = (
        sa.select(every.c.conversation_id, sa.func.count().label("points")).group_by(every.c.conversation_id).subquery()
    )
    return (
        sa.select(
            _C.asked_at.label("asked"),
            _C.system,
            filter_value_name(CONVERSATIONS).label("filter value"),
            _C.question,
            sa.func.substr(_C.answer, 1, _ANSWER_CHARS).label("answer"),
            against.c.points.label("against it"),
            *(_verdict(metric.name, _E.label, metric.name) for metric in online()),
            _votes(-1, "thumbs down"),
            _verdict(RELEVANCE.name, _E.reason, "judge's reason"),
            _comment("users' comment"),
            _C.conversation_id.label("conversation"),
        )
        .select_from(against)
        .join(CONVERSATIONS, _C.conversation_id == against.c.conversation_id)
        .order_by(against.c.points.desc(), _C.asked_at.desc(), _C.conversation_id)
        .limit(_WORST)
    )


def latest(scope: Scope) -> sa.Select[Any]:
    """Return the last conversations, the newest first."""
    return (
        sa.select(
            _C.asked_at.label("asked"),
            _C.system,
            filter_value_name(CONVERSATIONS).label("filter value"),
            _C.question,
            sa.func.substr(sa.func.coalesce(_C.answer, _C.error), 1, _ANSWER_CHARS).label("answer or error"),
            _C.status,
            _verdict(RELEVANCE.name, _E.label, RELEVANCE.name),
            _votes(1, "thumbs up"),
            _votes(-1, "thumbs down"),
            _C.total_s.label("took"),
            _C.cost_usd.label("cost"),
            _C.conversation_id.label("conversation"),
        )
        .where(*scope.within(CONVERSATIONS))
        .order_by(_C.asked_at.desc(), _C.conversation_id)
        .limit(SHOWN)
    )


def _share_of_all(part: Any, whole: Any) -> list[sa.Label[Any]]:
    share, low, high, _ = share_with_interval(part, sa.cast(whole, sa.Integer))
    return [share, low, high, sa.cast(part, sa.Integer).label("n")]


def _trouble(scope: Scope, *conditions: Any) -> sa.Subquery:
    return (
        sa.select(_E.conversation_id)
        .where(*conditions, _E.status == "ok", *scope.within(EVALUATIONS))
        .order_by(_E.asked_at.desc())
        .limit(_NEWEST)
        .subquery()
    )


def _verdict(metric: str, column: Any, name: str) -> sa.Label[Any]:
    """Return a column of the latest verdict on a conversation."""
    return (
        sa.select(column)
        .where(_E.conversation_id == _C.conversation_id, _E.metric == metric, _E.status == "ok")
        .order_by(_E.evaluated_at.desc())
        .limit(1)
        .correlate(CONVERSATIONS)
        .scalar_subquery()
        .label(name)
    )


def _votes(thumbs: int, name: str) -> sa.Label[Any]:
    return (
        sa.select(sa.func.count())
        .where(_F.conversation_id == _C.conversation_id, _F.source == "user", _F.thumbs == thumbs)
        .correlate(CONVERSATIONS)
        .scalar_subquery()
        .label(name)
    )


def _comment(name: str) -> sa.Label[Any]:
    return (
        sa.select(_F.comment)
        .where(_F.conversation_id == _C.conversation_id, _F.source == "user", _F.comment.is_not(None))
        .order_by(_F.given_at.desc())
        .limit(1)
        .correlate(CONVERSATIONS)
        .scalar_subquery()
        .label(name)
    )
