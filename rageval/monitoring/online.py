"""Conversations -> what judges, a language detector and clusters of questions say of them; each once a metric version.

What has been said is stored as it comes, so a run that is stopped goes on where it was.
"""

import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from rageval.config.models import ModelConfig
from rageval.embedding.embedder import load_embedder
from rageval.engine.chunks import Ask
from rageval.engine.prices import cost_usd
from rageval.engine.requests import ChatReply, ChatRequest
from rageval.errors import ConfigError
from rageval.judging.prompts import Judged, judge_messages
from rageval.judging.requests import read_reply, verdict_format
from rageval.metrics.metric import JudgeMetric
from rageval.monitoring.config import OnlineJudgingConfig, TopicsConfig
from rageval.monitoring.records import Conversation, Evaluation
from rageval.monitoring.store.conversations import add_evaluations, without_evaluation
from rageval.monitoring.store.database import Database
from rageval.monitoring.store.question_topics import add_topics, next_version, read_topics, topics_version
from rageval.monitoring.store.window_counts import QueryScope, recent_questions
from rageval.monitoring.topics import make_topics, nearest_topics
from rageval.monitoring.windows import Window
from rageval.records import Document, Usage
from rageval.text.language import LANGUAGE_VERSION, languages

LANGUAGE: Final = "language"
TOPIC: Final = "topic"
_AT_ONCE: Final = 1000
_MOST_QUESTIONS: Final = 5000
"""Questions that topics are made from."""
_BATCH_SIZE: Final = 16


@dataclass(frozen=True, kw_only=True)
class EvaluationOutcome:
    """What came of evaluating conversations by one metric."""

    metric: str
    done: int = 0
    """Conversations that were evaluated now."""
    failed: int = 0
    """Of those: how many came to nothing, because the judge failed or its reply was no verdict."""
    more: bool = False
    """Whether there may be more, which the next run takes."""

    def is_beyond(self, limit: float) -> bool:
        """Return whether more than that share came to nothing."""
        return self.failed > limit * self.done

    @property
    def sentence(self) -> str:
        """What happened, in words."""
        failed = f", {self.failed:,} of them without a verdict" if self.failed else ""
        more = "; there may be more, which the next run takes" if self.more else ""
        return f"{self.metric}: {self.done:,} conversations{failed}{more}"


def to_judge(
    database: Database, metric: JudgeMetric, config: OnlineJudgingConfig, since: datetime
) -> list[Conversation]:
    """Return the conversations that the judge would be asked about now."""
    return without_evaluation(
        database, metric.name, metric.version, config.model.name,
        since=since, limit=config.max_conversations, share=config.share, unread=config.ask_again,
    )  # fmt: skip


def verdicts_label(metric: JudgeMetric, judge: ModelConfig) -> str:
    """Return what the verdicts of a metric are counted under in progress displays."""
    return f"{metric.name} by {judge.name}"


def check_price(config: OnlineJudgingConfig) -> None:
    """Make sure that what a run with a ceiling spends can be known.

    Raises:
        ConfigError: If it has a ceiling, and the price of its judge is unknown.
    """
    usage = Usage(prompt_tokens=1, completion_tokens=1)
    if config.max_cost_usd is not None and cost_usd(config.model, usage) is None:
        raise ConfigError(
            f"judging.max_cost_usd needs the price of the judge, and that of {config.model.name!r} is unknown; give "
            "its input_usd_per_mtok and output_usd_per_mtok, or leave --max-cost-usd out"
        )


def judge_conversations(
    database: Database, metric: JudgeMetric, pending: Sequence[Conversation], judge: ModelConfig, ask: Ask
) -> EvaluationOutcome:
    """Ask the judge about conversations; a request that fails, or a reply that is no verdict, is a row with its reason.

    Args:
        database: Where verdicts are stored, as they come.
        metric: What is asked.
        pending: The conversations, see `to_judge`.
        judge: Who is asked, with an endpoint that serves it.
        ask: How, see `RequestEngine.submit`.

    Raises:
        RagevalError: What ends a whole run, see `RequestEngine.submit`, or a database that cannot be used. What was
            said until then is stored.
    """
    form = verdict_format(metric.labels, judge)
    requests = [ChatRequest(messages=judge_messages(metric, _judged(one)), response_format=form) for one in pending]
    # Replies come on the engine's thread, which must not wait for a database.
    replies: queue.SimpleQueue[Evaluation | None] = queue.SimpleQueue()

    def keep(position: int, reply: ChatReply) -> None:
        replies.put(_evaluation(pending[position], metric, judge, reply))

    asked = ask(requests, judge, keep, label=verdicts_label(metric, judge))
    asked.add_done_callback(lambda _: replies.put(None))
    done = failed = 0
    try:
        while came := _all_of(replies):
            add_evaluations(database, came)
            done += len(came)
            failed += sum(one.status != "ok" for one in came)
    finally:
        asked.cancel()  # does nothing once it has ended
    asked.result()
    return EvaluationOutcome(metric=metric.name, done=done, failed=failed)


def evaluate_languages(database: Database, since: datetime) -> EvaluationOutcome:
    """Tell the language of every question that has none yet."""

    def of(conversations: Sequence[Conversation]) -> list[Evaluation]:
        found = languages([one.question for one in conversations])
        return [
            _computed(one, LANGUAGE, LANGUAGE_VERSION, label=code)
            for one, code in zip(conversations, found, strict=True)
        ]

    return _compute(database, LANGUAGE, LANGUAGE_VERSION, since, of)


def evaluate_topics(database: Database, config: TopicsConfig, since: datetime, now: datetime) -> EvaluationOutcome:
    """Give every question its topic; topics are made first if there are none, or if new ones are asked for.

    Without topics, and with too few questions to make some, nothing is done.
    """
    embedder = load_embedder(config.embedding_model, _BATCH_SIZE, None)
    version = topics_version(database, embedder.identity)
    if version is None or config.renew:
        questions = recent_questions(database, QueryScope(window=Window(start=since, end=now)), _MOST_QUESTIONS)
        new = next_version(database)
        made = make_topics(questions, embedder.embed(questions), count=config.count, version=new)
        add_topics(database, made, version=new, embedding_model=embedder.identity, made_at=now)
        version = topics_version(database, embedder.identity)
    if version is None:
        return EvaluationOutcome(metric=TOPIC)
    topics, current = read_topics(database, version, embedder.identity), version

    def of(conversations: Sequence[Conversation]) -> list[Evaluation]:
        found = nearest_topics(embedder.embed([one.question for one in conversations]), topics)
        return [
            _computed(one, TOPIC, current, label=topic, value=cosine)
            for one, (topic, cosine) in zip(conversations, found, strict=True)
        ]

    return _compute(database, TOPIC, version, since, of)


def _compute(
    database: Database,
    metric: str,
    version: str,
    since: datetime,
    evaluations: Callable[[Sequence[Conversation]], list[Evaluation]],
) -> EvaluationOutcome:
    done = 0
    while pending := without_evaluation(database, metric, version, "", since=since, limit=_AT_ONCE):
        stored = add_evaluations(database, evaluations(pending))
        done += stored
        if not stored:  # another process was quicker, or they have been deleted meanwhile
            break
    return EvaluationOutcome(metric=metric, done=done)


def _computed(one: Conversation, metric: str, version: str, *, label: str, value: float | None = None) -> Evaluation:
    return Evaluation(
        conversation_id=one.conversation_id, metric=metric, metric_version=version,
        label=label, value=value, evaluated_at=datetime.now(UTC),
    )  # fmt: skip


def _evaluation(one: Conversation, metric: JudgeMetric, judge: ModelConfig, reply: ChatReply) -> Evaluation:
    said = read_reply(reply, metric.labels)
    return Evaluation(
        conversation_id=one.conversation_id,
        metric=metric.name,
        metric_version=metric.version,
        judge=judge.name,
        status=said["status"],
        value=said["value"],
        label=said.get("label"),
        reason=said.get("reason") or said.get("raw_reply"),
        error=said.get("error"),
        cost_usd=reply.cost_usd,
        evaluated_at=datetime.now(UTC),
    )


def _all_of(replies: "queue.SimpleQueue[Evaluation | None]") -> list[Evaluation]:
    """Return all that have come, at least one; nothing once there are no more."""
    came: list[Evaluation] = []
    while not came or not replies.empty():
        one = replies.get()
        if one is None:
            if came:
                replies.put(None)
            return came
        came.append(one)
    return came


def _judged(one: Conversation) -> Judged:
    shown = [
        Document(
            document_id=context.document_id, title=context.question, text=context.text,
            metadata={"section": context.section}, content_hash="",
        )
        for context in one.contexts
    ]  # fmt: skip
    return Judged(question=one.question, answer=one.answer or "", references=(), contexts=shown)
