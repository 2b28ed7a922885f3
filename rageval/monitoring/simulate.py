"""Simulated traffic -> the monitoring database."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from rageval.config.evaluation import DataConfig
from rageval.corpus.files import load_corpus
from rageval.monitoring.store.conversations import add_conversations, add_evaluations, add_votes
from rageval.monitoring.store.database import Database
from rageval.monitoring.traffic import Day, Material, TrafficConfig, simulate

_AT_ONCE = 2_000
"""Conversations that are stored together: a transaction for each of the days of a quiet year takes longer."""


@dataclass(frozen=True, kw_only=True)
class SimulationResult:
    """What was simulated, and how much of it was not stored before."""

    conversations: int
    votes: int
    evaluations: int
    new_conversations: int
    new_votes: int
    new_evaluations: int


def simulate_traffic(
    database: Database, config: TrafficConfig, until: datetime, told: Callable[[int], None] = lambda _: None
) -> SimulationResult:
    """Store the traffic of the weeks before a time; what an earlier call with the same settings has stored stays.

    Args:
        database: Where to.
        config: How much, and what changes.
        until: With its zone.
        told: Called with the conversations so far, after some have been stored.

    Raises:
        DataError: If documents or questions cannot be read.
        ServiceError: If the database cannot be used; what was stored before stays.
    """
    data = DataConfig(documents=config.documents, ground_truth=config.ground_truth, filter_by=config.filter_by)
    corpus = load_corpus(data)
    documents = {document.document_id: document for document in corpus.documents}
    material = Material(corpus.questions, documents, config.filter_by)
    made = [0] * 3
    new = [0] * 3
    for day in _together(simulate(config, material, until)):
        new[0] += add_conversations(database, day.conversations)
        new[1] += add_votes(database, day.votes)
        new[2] += add_evaluations(database, day.evaluations)
        sizes = (len(day.conversations), len(day.votes), len(day.evaluations))
        made = [before + size for before, size in zip(made, sizes, strict=True)]
        told(made[0])
    return SimulationResult(
        conversations=made[0], votes=made[1], evaluations=made[2],
        new_conversations=new[0], new_votes=new[1], new_evaluations=new[2],
    )  # fmt: skip


def _together(days: Iterable[Day]) -> Iterator[Day]:
    """Yield days that follow each other as one, until there are enough conversations in it."""
    kept: list[Day] = []
    for day in days:
        kept.append(day)
        if sum(len(one.conversations) for one in kept) >= _AT_ONCE:
            yield _joined(kept)
            kept = []
    yield _joined(kept)


def _joined(days: Sequence[Day]) -> Day:
    return Day(
        conversations=[conversation for day in days for conversation in day.conversations],
        votes=[vote for day in days for vote in day.votes],
        evaluations=[evaluation for day in days for evaluation in day.evaluations],
    )
