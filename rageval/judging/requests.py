"""An answer and what a judge is asked about it -> the request, the verdict in its reply, the majority of a panel."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from rageval.config.models import ModelConfig
from rageval.engine.local_model import judge_schema
from rageval.engine.requests import ChatReply, ChatRequest
from rageval.judging.panel import majority_label
from rageval.judging.plan import PlannedScore
from rageval.judging.prompts import (
    FaithfulnessVerdict,
    Preference,
    ToxicityVerdict,
    Verdict,
    judge_faithfulness_messages,
    judge_with_reference_messages,
    judge_without_reference_messages,
)
from rageval.judging.replies import FAITHFULNESS_VALUES, LABEL_VALUES, UnreadableVerdictError, read_verdict
from rageval.metrics.names import AGAIN, FAITHFULNESS, WITH_REFERENCE, WITHOUT_REFERENCE, detail_of
from rageval.records import Document, Message, Question
from rageval.runs.journals import Row
from rageval.runs.store import Key

NO_ANSWER: Final = "there is no answer to score"
_V = TypeVar("_V", bound=Verdict | FaithfulnessVerdict | ToxicityVerdict | Preference)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An answer that may be scored, with what it is held against."""

    question: Question
    answer: str | None
    """None if there is none."""
    reference: str
    contexts: Sequence[Document]
    """What the answering model was shown."""


@dataclass(frozen=True, kw_only=True)
class _Grading:
    """What one judge metric asks for."""

    messages: Callable[[Candidate, str], list[Message]]
    verdict: type[Verdict] | type[FaithfulnessVerdict]
    values: Mapping[Any, float]


_GRADINGS: Final[Mapping[str, _Grading]] = {
    WITH_REFERENCE: _Grading(
        messages=lambda c, answer: judge_with_reference_messages(c.question.question, c.reference, answer),
        verdict=Verdict,
        values=LABEL_VALUES,
    ),
    WITHOUT_REFERENCE: _Grading(
        messages=lambda c, answer: judge_without_reference_messages(c.question.question, answer),
        verdict=Verdict,
        values=LABEL_VALUES,
    ),
    FAITHFULNESS: _Grading(
        messages=lambda c, answer: judge_faithfulness_messages(c.question.question, c.contexts, answer),
        verdict=FaithfulnessVerdict,
        values=FAITHFULNESS_VALUES,
    ),
}


def verdict_request(candidate: Candidate, score: PlannedScore, judge: ModelConfig) -> ChatRequest:
    """Return what the judge is asked.

    A second verdict is asked for in the same words, or it would not tell how the judge contradicts itself. Only its
    fingerprint differs, so that the first verdict, of this run or of an earlier one, is never taken for it. A
    provider's prompt cache saves work on the prompt and still writes a new reply. A proxy that caches whole replies
    would repeat the first one and hide every contradiction: switch such a cache off for the judge.
    """
    grading = _GRADINGS[score.metric]
    return ChatRequest(
        messages=grading.messages(candidate, candidate.answer or ""),
        response_format=verdict_format(grading.verdict, judge),
        occasion=AGAIN if score.again else "",
    )


def read_reply(reply: ChatReply, metric: str) -> dict[str, Any]:
    """Return the columns of the score that a judge's reply stands for; without a verdict it has a reason instead."""
    return read_as(reply, _GRADINGS[metric].verdict, _GRADINGS[metric].values)


def read_as(reply: ChatReply, kind: type[_V], values: Mapping[Any, float]) -> dict[str, Any]:
    """Return the same for a kind of verdict, given the value of each of its labels."""
    if reply.error is not None:
        return {"status": "failed", "value": None, "error": reply.error}
    try:
        verdict = read_verdict(reply.text, kind)
    except UnreadableVerdictError as error:
        reason = f"{error} (cut for its length)" if reply.finish_reason == "length" else str(error)
        return {"status": "unscored", "value": None, "error": reason, "raw_reply": reply.text}
    return {"status": "ok", "value": values[verdict.label], "label": verdict.label, "reason": verdict.reason}


def majority(metric: str, members: Mapping[str, Row]) -> dict[str, Any]:
    """Return the columns of the score that the verdicts of a panel come to, see `rageval.judging.panel`.

    Args:
        metric: What the judges were asked for.
        members: The row of each judge, by its name.
    """
    if all(row["status"] == "skipped" for row in members.values()):
        return {"status": "skipped", "value": None, "label": None, "reason": None, "error": NO_ANSWER}
    labels = {name: row["label"] for name, row in members.items() if row["status"] == "ok"}
    values = _GRADINGS[metric].values
    label = majority_label(list(labels.values()), values)
    if label is None:
        error = f"none of the {len(members)} judges gave a verdict"
        return {"status": "unscored", "value": None, "label": None, "reason": None, "error": error}
    votes = "; ".join(f"{name}: {labels.get(name, 'no verdict')}" for name in members)
    return {"status": "ok", "value": values[label], "label": label, "reason": votes, "error": None}


def moved(stored: Mapping[Key, Row], candidate: Candidate, score: PlannedScore) -> Row | None:
    """Return the row that already holds a planned verdict under another name, or None.

    A judge that becomes a member of a panel has given its verdicts under the metric's own name, or the other way
    round.
    """
    if score.judge is None or score.again or candidate.answer is None:
        return None
    for name in (score.metric, detail_of(score.metric, score.judge.name)):
        row = stored.get((candidate.question.question_id, name))
        if row and name != score.name and row["status"] == "ok" and not is_stale(row, score):
            return row
    return None


def is_stale(row: Row, score: PlannedScore) -> bool:
    """Return whether a stored score is of another version, or by another judge, than the plan's."""
    judge = score.judge
    return row["metric_version"] != score.version or (judge is not None and row["judge_model"] != judge.name)


def verdict_format(kind: type[BaseModel], judge: ModelConfig) -> dict[str, Any]:
    """Return the response format that makes a judge reply with that kind of verdict."""
    schema = kind.model_json_schema()
    if judge.is_local:
        schema = judge_schema(schema)
    return {"type": "json_schema", "json_schema": {"name": "verdict", "strict": True, "schema": schema}}
