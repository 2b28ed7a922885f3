"""An answer and what a judge is asked about it -> the request, the verdict in its reply, the majority of a panel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from rageval.config.models import ModelConfig
from rageval.engine.local_model import judge_schema
from rageval.engine.requests import ChatReply, ChatRequest
from rageval.judging.panel import majority_label
from rageval.judging.plan import PlannedScore
from rageval.judging.prompts import Judged, judge_messages
from rageval.judging.replies import UnreadableVerdictError, Verdict, read_verdict, verdict_of
from rageval.metrics.metric import JudgeMetric, ScoreMetric
from rageval.metrics.names import AGAIN, detail_of
from rageval.records import Document, Question
from rageval.runs.journals import Row
from rageval.runs.run import Key

NO_ANSWER: Final = "there is no answer to score"


@dataclass(frozen=True, kw_only=True)
class ScorableAnswer:
    """An answer that may be scored, with what it is held against."""

    question: Question
    answer: str | None
    """None if there is none."""
    retrieves_only: bool = False
    """Whether its system brings contexts and no answers."""
    contexts: Sequence[Document] | None
    """What the answering model was shown; None where nobody knows."""

    @property
    def judged(self) -> Judged:
        """What a judge may be shown."""
        return Judged(
            question=self.question.question,
            answer=self.answer or "",
            references=self.question.references,
            contexts=self.contexts or (),
            history=self.question.history,
            answerable=self.question.answerable,
        )

    def lacks(self, metric: ScoreMetric) -> str | None:
        """Return what the metric needs and nobody knows, such as `no reference`; None if it can be measured."""
        if self.retrieves_only:
            return "no answer: the system retrieves only"
        if "reference" in metric.evidence and not self.question.references:
            return "no reference"
        if "contexts" in metric.evidence and self.contexts is None:
            return "no contexts"
        return None


def verdict_request(
    candidate: ScorableAnswer, metric: JudgeMetric, judge: ModelConfig, *, again: bool = False
) -> ChatRequest:
    """Return what the judge is asked.

    A second verdict is asked for in the same words, or it would not tell how the judge contradicts itself. Only its
    fingerprint differs, so that the first verdict, of this run or of an earlier one, is never taken for it. A
    provider's prompt cache saves work on the prompt and still writes a new reply. A proxy that caches whole replies
    would repeat the first one and hide every contradiction: switch such a cache off for the judge.
    """
    return ChatRequest(
        messages=judge_messages(metric, candidate.judged),
        response_format=verdict_format(metric.labels, judge),
        occasion=AGAIN if again else "",
    )


def read_reply(reply: ChatReply, labels: Mapping[str, float]) -> dict[str, Any]:
    """Return the columns of the score that a judge's reply stands for; without a verdict it has a reason instead.

    Args:
        reply: What the judge has said.
        labels: The value of each label that it could choose.
    """
    if reply.error is not None:
        return {"status": "failed", "value": None, "error": reply.error}
    try:
        return scored(read_verdict(reply.text, verdict_of(tuple(labels))), labels)
    except UnreadableVerdictError as error:
        return unscored(reply, error)


def scored(verdict: Verdict, labels: Mapping[str, float]) -> dict[str, Any]:
    """Return the columns of the score that a verdict stands for."""
    return {"status": "ok", "value": labels[verdict.label], "label": verdict.label, "reason": verdict.reason}


def unscored(reply: ChatReply, error: UnreadableVerdictError) -> dict[str, Any]:
    """Return the columns of a score whose verdict cannot be read from the reply."""
    reason = f"{error} (cut for its length)" if reply.finish_reason == "length" else str(error)
    return {"status": "unscored", "value": None, "error": reason, "raw_reply": reply.text}


def majority(metric: JudgeMetric, members: Mapping[str, Row]) -> dict[str, Any]:
    """Return the columns of the score that the verdicts of a panel come to, see `rageval.judging.panel`.

    Args:
        metric: What the judges were asked for.
        members: The row of each judge, by its name.
    """
    for status in ("skipped", "not_measured"):
        if all(row["status"] == status for row in members.values()):
            error = next(iter(members.values()))["error"]
            return {"status": status, "value": None, "label": None, "reason": None, "error": error}
    labels = {name: row["label"] for name, row in members.items() if row["status"] == "ok"}
    label = majority_label(list(labels.values()), metric.labels)
    if label is None:
        error = f"none of the {len(members)} judges gave a verdict"
        return {"status": "unscored", "value": None, "label": None, "reason": None, "error": error}
    votes = "; ".join(f"{name}: {labels.get(name, 'no verdict')}" for name in members)
    return {"status": "ok", "value": metric.labels[label], "label": label, "reason": votes, "error": None}


def moved(stored: Mapping[Key, Row], candidate: ScorableAnswer, score: PlannedScore) -> Row | None:
    """Return the row that already holds a planned verdict under another name, or None.

    A judge that becomes a member of a panel has given its verdicts under the metric's own name, or the other way
    round.
    """
    if score.judge is None or score.again or score.is_single or candidate.answer is None:
        return None
    for name in (score.metric.name, detail_of(score.metric.name, score.judge.name)):
        row = stored.get((candidate.question.question_id, name))
        if row and name != score.name and row["status"] == "ok" and not is_stale(row, score):
            return row
    return None


def is_stale(row: Row, score: PlannedScore) -> bool:
    """Return whether a stored score is of another version, or by another judge, than the plan's."""
    judge = score.judge
    return row["metric_version"] != score.version or (judge is not None and row["judge_model"] != judge.name)


def verdict_format(labels: Mapping[str, float], judge: ModelConfig) -> dict[str, Any]:
    """Return the response format that makes a judge reply with a reason and one of these labels."""
    return response_format("verdict", verdict_schema(labels, judge))


def verdict_schema(labels: Mapping[str, float], judge: ModelConfig) -> dict[str, Any]:
    """Return the JSON schema of a verdict with one of these labels, as this judge needs it."""
    schema = _schema(tuple(labels))
    return judge_schema(schema) if judge.is_local else schema


@cache
def _schema(labels: tuple[str, ...]) -> dict[str, Any]:
    return verdict_of(labels).model_json_schema()


def response_format(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the response format that makes a model reply with JSON of this schema."""
    return {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": schema}}
