"""A corpus, rates and a seed -> conversations, votes and verdicts over weeks, as they might come from real users.

Every draw belongs to a day, a number within it and one thing that is drawn. So the same settings give the same
traffic, whatever days are asked for, and a planted change moves nothing but what it names.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from rageval.config.evaluation import DataConfig
from rageval.config.settings import Key, Location, Settings
from rageval.metrics.faithfulness import FAITHFULNESS
from rageval.metrics.metric import JudgeMetric
from rageval.metrics.relevance import RELEVANCE
from rageval.metrics.toxicity import TOXICITY
from rageval.monitoring.planted import PARTLY, UP, VOTING, PlantedChange, Rates, rates_on, thumbs_up
from rageval.monitoring.records import Conversation, Evaluation, ShownContext, Vote
from rageval.records import Document, Question
from rageval.text.fingerprint import digest

JUDGE = "simulated"
"""Judge and version of the verdicts."""
_HOURS = (1, 1, 1, 1, 1, 1, 2, 3, 6, 8, 9, 9, 7, 8, 9, 9, 8, 7, 7, 8, 8, 6, 4, 2)
_WEEKDAYS = (1.15, 1.2, 1.2, 1.15, 1.0, 0.6, 0.7)
"""Monday to Sunday; a week has seven average days."""
_NO_FILTER = 0.15
_USERS = 400
_CONTEXTS = 3
_ERRORS = ("HTTP 503: the model server is overloaded", "no reply within 60 s", "HTTP 500: internal error")
_COMMENTS = ("That is not what I asked.", "Out of date.", "The link is missing.", "Too long.", "Half of it is wrong.")
_TOXIC = "Only an idiot would ask that. Read the page."
_REASONS = ("It answers what was asked.", "It answers a part of what was asked.", "It answers another question.")
_DRAWN = (
    "count", "hour", "second", "filter value", "no filter", "system", "question", "is topic", "error", "search_s",
    "model_s", "tokens", "quality", "faithfulness", "toxicity", "is vote", "thumbs", "flip", "vote after", "comment",
    "score", "user",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _SimulatedSystem:
    name: str
    weight: float
    median_s: float
    usd_per_mtok: tuple[float, float]


_SYSTEMS = (
    _SimulatedSystem(name="small", weight=0.7, median_s=1.1, usd_per_mtok=(0.15, 0.6)),
    _SimulatedSystem(name="large", weight=0.3, median_s=2.4, usd_per_mtok=(2.5, 10.0)),
)


class TrafficConfig(Settings):
    """How much is simulated, when, from which corpus, and what changes in it."""

    documents: Location = DataConfig().documents
    """Path or URL of the documents."""
    ground_truth: Location = DataConfig().ground_truth
    """Path or URL of the questions that are asked."""
    filter_by: Key = "course"
    """Column of both whose values the simulated users restrict the search to; empty for none."""
    weeks: int = Field(default=4, ge=1, le=520)
    """How many weeks, up to `until`."""
    per_day: int = Field(default=200, ge=1, le=1_000_000)
    """Conversations of an average day; weekends have fewer."""
    seed: int = Field(default=42, ge=0, le=2**32 - 1)
    """Another seed gives other traffic."""
    changes: tuple[PlantedChange, ...] = ()
    """What changes, and from which day on."""
    evaluated: bool = False
    """Also write verdicts, so that no judge is needed."""

    def days(self, until: datetime) -> Sequence[date]:
        """Return the days of which something is simulated; the first and the last one may be parts of days."""
        first, last = (until - timedelta(weeks=self.weeks)).date(), (until - timedelta.resolution).date()
        return [first + timedelta(days=n) for n in range((last - first).days + 1)]


@dataclass(frozen=True, kw_only=True)
class Day:
    """What is simulated of one day, in the order of time."""

    conversations: Sequence[Conversation]
    votes: Sequence[Vote]
    evaluations: Sequence[Evaluation]


@dataclass(frozen=True)
class Material:
    """What simulated users ask about, and what they are answered with."""

    questions: Sequence[Question]
    documents: Mapping[str, Document]
    filter_by: str = ""

    @cached_property
    def by_value(self) -> Mapping[str, Sequence[Question]]:
        """The questions of each value of `filter_by`."""
        found: defaultdict[str, list[Question]] = defaultdict(list)
        for question in self.questions:
            found[question.filter_value].append(question)
        return dict(sorted(found.items()))

    @cached_property
    def of_one_section(self) -> Mapping[str, Sequence[Question]]:
        """Of each value of `filter_by` the questions of the section that has the most of them."""
        return {value: self._largest_section(questions) for value, questions in self.by_value.items()}

    @cached_property
    def shown(self) -> Mapping[str, Sequence[Document]]:
        """For each document itself and its next ones of the same value of `filter_by`."""
        by_value: defaultdict[str, list[Document]] = defaultdict(list)
        for document in self.documents.values():
            by_value[document.filter_value(self.filter_by)].append(document)
        return {
            document.document_id: [*documents[n:], *documents[:n]][:_CONTEXTS]
            for documents in by_value.values()
            for n, document in enumerate(documents)
        }

    @cached_property
    def fingerprint(self) -> str:
        """The same for the same questions."""
        return digest(*(question.question_id for question in self.questions))

    def _largest_section(self, questions: Sequence[Question]) -> Sequence[Question]:
        sections: defaultdict[str, list[Question]] = defaultdict(list)
        for question in questions:
            sections[self.documents[question.made_from].metadata.get("section", "")].append(question)
        return max(sections.values(), key=len)


def simulate(config: TrafficConfig, material: Material, until: datetime) -> Iterator[Day]:
    """Yield the traffic of the weeks before a time, day by day.

    Args:
        config: How much, and what changes.
        material: Questions and documents; every value of `filter_by` has at least one question.
        until: With its zone; nothing is asked at or after it.
    """
    until = until.astimezone(UTC)
    since = until - timedelta(weeks=config.weeks)
    changes = sorted(map(str, config.changes))
    population = digest(str(config.seed), str(config.per_day), material.fingerprint, *changes)
    for day in config.days(until):
        yield _day(day, config, material, population, since, until)


def _day(
    day: date, config: TrafficConfig, material: Material, population: str, since: datetime, until: datetime
) -> Day:
    rates = rates_on(day, config.changes)
    streams = {name: np.random.default_rng([config.seed, day.toordinal(), n]) for n, name in enumerate(_DRAWN)}
    count = int(streams["count"].poisson(config.per_day * _WEEKDAYS[day.weekday()] * rates.traffic))
    normal = {"search_s", "model_s", "tokens", "vote after", "score"}
    drawn = {
        name: (stream.standard_normal(count) if name in normal else stream.random(count)).tolist()
        for name, stream in streams.items()
        if name != "count"
    }
    hours = _positions(drawn["hour"], _HOURS)
    seconds = [3600 * (hour + second) for hour, second in zip(hours, drawn["second"], strict=True)]
    drawn["system"] = _positions(drawn["system"], [system.weight for system in _SYSTEMS])
    midnight = datetime.combine(day, time(), UTC)
    rows = list(zip(*drawn.values(), strict=True))
    conversations: list[Conversation] = []
    votes: list[Vote] = []
    evaluations: list[Evaluation] = []
    for n in sorted(range(count), key=seconds.__getitem__):
        asked_at = midnight + timedelta(seconds=round(seconds[n], 3))
        if not since <= asked_at < until:
            continue
        draws = dict(zip(drawn, rows[n], strict=True))
        name = str(UUID(digest(population, day.isoformat(), str(n))))
        conversation = _conversation(name, asked_at, draws, rates, material)
        conversations.append(conversation)
        if conversation.status == "failed":
            continue
        if draws["is vote"] < VOTING and (vote := _vote(conversation, draws, rates)).given_at < until:
            votes.append(vote)
        if config.evaluated:
            evaluations += _evaluations(conversation, draws, rates)
    return Day(conversations=conversations, votes=votes, evaluations=evaluations)


def _positions(draws: Sequence[float], weights: Sequence[float]) -> list[int]:
    """Return for each draw in [0, 1) a position in the weights, as often as its weight says."""
    ends: NDArray[np.float64] = np.cumsum(weights) / np.sum(weights)
    return [min(position, len(ends) - 1) for position in np.searchsorted(ends, draws, side="right").tolist()]


def _conversation(
    name: str, asked_at: datetime, draws: Mapping[str, float], rates: Rates, material: Material
) -> Conversation:
    values = list(material.by_value)
    filter_value = values[int(draws["filter value"] * len(values))]
    questions = (material.of_one_section if draws["is topic"] < rates.topic else material.by_value)[filter_value]
    question = questions[int(draws["question"] * len(questions))]
    right, *others = material.shown[question.made_from]
    grade = _grade(draws["quality"], rates.quality)
    # A wrong answer comes from a search that has missed: the right document is not among those shown.
    documents = others if grade == 2 and others else [right, *others]
    top = min(1.0, max(0.0, 0.7 + 0.07 * draws["score"]) * rates.scores)
    system = _SYSTEMS[int(draws["system"])]
    search_s = 0.03 * math.exp(0.4 * draws["search_s"])
    model_s = system.median_s * math.exp(0.45 * draws["model_s"]) * rates.latency
    is_ok = draws["error"] >= rates.errors
    prompt, completion = 900 + int(150 * draws["search_s"]), int(120 * math.exp(0.5 * draws["tokens"])) + 1
    cost_usd = (prompt * system.usd_per_mtok[0] + completion * system.usd_per_mtok[1]) / 1e6 * rates.cost
    return Conversation(
        conversation_id=name,
        asked_at=asked_at,
        question=question.question,
        filter_value="" if draws["no filter"] < _NO_FILTER else filter_value,
        status="ok" if is_ok else "failed",
        answer=_answer(documents[0], grade, is_toxic=draws["toxicity"] < rates.toxicity) if is_ok else None,
        error=None if is_ok else _ERRORS[int(draws["comment"] * len(_ERRORS))],
        system=system.name,
        model=system.name,
        retriever="vector",
        prompt_version="simulated",
        contexts=tuple(
            ShownContext(
                document_id=document.document_id,
                score=round(top * 0.9**rank, 4),
                section=document.metadata.get("section", ""),
                question=document.title,
                text=document.text,
            )
            for rank, document in enumerate(documents)
        ),
        prompt_tokens=prompt if is_ok else None,
        completion_tokens=completion if is_ok else None,
        cost_usd=cost_usd if is_ok else None,
        search_s=search_s,
        model_s=model_s,
        total_s=search_s + model_s + 0.005,
        source="simulated",
    )


def _grade(draw: float, relevant: float) -> int:
    """Return 0 for relevant, 1 for partly so, 2 for the rest."""
    return 0 if draw < relevant else 1 if draw < relevant + (1 - relevant) * PARTLY else 2


def _answer(document: Document, grade: int, *, is_toxic: bool) -> str:
    if is_toxic:
        return _TOXIC
    return document.text.partition("\n\n")[0] if grade == 0 else document.text.partition(". ")[0]


def _vote(conversation: Conversation, draws: Mapping[str, float], rates: Rates) -> Vote:
    usual, wanted = thumbs_up(rates.quality), rates.thumbs
    is_up = draws["thumbs"] < UP[_grade(draws["quality"], rates.quality)]
    # Whichever there are too many of is turned, as often as the wanted share needs it.
    too_many = (usual - wanted) / usual if is_up else (wanted - usual) / (1 - usual)
    is_up ^= draws["flip"] < too_many
    after = timedelta(seconds=round(30 * math.exp(draws["vote after"]), 3))
    comment = int(draws["comment"] * 3 * len(_COMMENTS))
    return Vote(
        conversation_id=conversation.conversation_id,
        voter=digest("simulated user", str(int(draws["user"] * _USERS))),
        thumbs=1 if is_up else -1,
        given_at=conversation.asked_at + timedelta(seconds=conversation.total_s) + after,
        comment=_COMMENTS[comment] if not is_up and comment < len(_COMMENTS) else None,
    )


def _evaluations(conversation: Conversation, draws: Mapping[str, float], rates: Rates) -> Iterator[Evaluation]:
    def evaluation(metric: JudgeMetric, label: str, reason: str) -> Evaluation:
        return Evaluation(
            conversation_id=conversation.conversation_id, metric=metric.name, metric_version=JUDGE, judge=JUDGE,
            value=metric.labels[label], label=label, reason=reason,
            evaluated_at=conversation.asked_at + timedelta(minutes=30),
        )  # fmt: skip

    for metric, draw, rate in (
        (RELEVANCE, draws["quality"], rates.relevance),
        (FAITHFULNESS, draws["faithfulness"], rates.faithfulness),
    ):
        grade = _grade(draw, rate)
        reason = _REASONS[grade] if metric is RELEVANCE else "Compared with the documents shown."
        yield evaluation(metric, metric.scale[grade], reason)
    is_toxic = draws["toxicity"] < rates.toxicity
    yield evaluation(TOXICITY, TOXICITY.worst if is_toxic else TOXICITY.good, "By its words.")
