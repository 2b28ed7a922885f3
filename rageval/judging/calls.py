"""Scores that a judge is to give -> its calls, each for one verdict or several; a reply -> the columns of each score.

What a call has cost stands once, at the first of the scores that it was made for: sums over rows are sums over calls.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, TypeAlias

from rageval.config.models import ModelConfig
from rageval.engine.requests import ChatReply, ChatRequest
from rageval.judging.plan import PlannedScore
from rageval.judging.prompts import combined_messages
from rageval.judging.replies import UnreadableVerdictError, read_verdicts, verdict_of
from rageval.judging.requests import (
    ScorableAnswer,
    read_reply,
    response_format,
    scored,
    unscored,
    verdict_request,
    verdict_schema,
)
from rageval.metrics.metric import JudgeMetric
from rageval.metrics.names import AGAIN
from rageval.records import Usage

Item: TypeAlias = tuple[ScorableAnswer, PlannedScore]
"""An answer, and one score that it is to get."""

_CARRIED: Final = Usage(prompt_tokens=0, completion_tokens=0, cached_tokens=0, reasoning_tokens=0)
"""Of a score whose call is counted at another one."""


@dataclass(frozen=True, kw_only=True)
class JudgeCall:
    """One request to a judge, and the scores that its reply is to bring."""

    items: tuple[Item, ...]
    """Of one answer; those that are missing, of all that the judge is asked for."""
    judge: ModelConfig

    @cached_property
    def request(self) -> ChatRequest:
        """What the judge is sent; made when it is wanted, because calls are also counted."""
        return _request(*self.items[0], self.judge)

    @property
    def key(self) -> tuple[str, ...]:
        """What tells it apart from the other calls about the answers of a system, in every start of a run."""
        candidate, score = self.items[0]
        return (candidate.question.question_id, *score.asked_for, AGAIN if score.again else "")


def calls(items: Sequence[Item], judge: ModelConfig) -> list[JudgeCall]:
    """Return what a judge is asked so that it gives its scores of these items, in their order."""
    grouped: dict[tuple[Any, ...], list[Item]] = {}
    for candidate, score in items:
        if score.judge == judge:
            grouped.setdefault((candidate.question.question_id, score.call), []).append((candidate, score))
    return [JudgeCall(items=tuple(group), judge=judge) for group in grouped.values()]


def replied(call: JudgeCall, reply: ChatReply) -> Iterator[tuple[Item, ChatReply, dict[str, Any]]]:
    """Yield each item of a call with what is counted at it of the reply, and the columns of its score.

    Nothing is counted twice: the first item has the requests, tokens and dollars of the call, every other one none.
    """
    counted = reply
    for item, columns in zip(call.items, _columns(call, reply), strict=True):
        yield item, counted, columns
        counted = replace(reply, attempts=0, cost_usd=0.0, usage=reply.usage if reply.reused_from else _CARRIED)


def judged_by(score: PlannedScore) -> JudgeMetric:
    """Return the metric of a score that a judge, or a panel, decides.

    Raises:
        TypeError: If it asks no judge.
    """
    if not isinstance(score.metric, JudgeMetric):
        raise TypeError(f"{score.metric.name} asks no judge")
    return score.metric


def _request(candidate: ScorableAnswer, score: PlannedScore, judge: ModelConfig) -> ChatRequest:
    if not score.together:
        return verdict_request(candidate, judged_by(score), judge, again=score.again)
    return ChatRequest(
        messages=combined_messages(score.together, candidate.judged),
        response_format=_combined_format(score.together, judge),
        occasion=AGAIN if score.again else "",
        verdicts=score.asked_for,
    )


def _combined_format(metrics: Sequence[JudgeMetric], judge: ModelConfig) -> dict[str, Any]:
    """Return the response format that makes a judge reply with a verdict under the name of each metric."""
    properties = {metric.name: verdict_schema(metric.labels, judge) for metric in metrics}
    schema = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return response_format("verdicts", schema)


def _columns(call: JudgeCall, reply: ChatReply) -> list[dict[str, Any]]:
    """Return the columns of the score of each item."""
    together = call.items[0][1].together
    if not together or reply.error is not None:
        return [read_reply(reply, judged_by(score).labels) for _, score in call.items]
    try:
        verdicts = read_verdicts(reply.text, {metric.name: verdict_of(tuple(metric.labels)) for metric in together})
    except UnreadableVerdictError as error:
        return [unscored(reply, error) for _ in call.items]
    found = [(judged_by(score), verdicts[score.metric.name]) for _, score in call.items]
    return [
        unscored(reply, verdict) if isinstance(verdict, UnreadableVerdictError) else scored(verdict, metric.labels)
        for metric, verdict in found
    ]
