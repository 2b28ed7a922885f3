"""The configuration -> which scores an answer gets, by name and version, and which judge is asked for each."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rageval.config.evaluation import EvaluationConfig, IndexConfig
from rageval.config.models import ModelConfig
from rageval.metrics import catalogue
from rageval.metrics.metric import EmbeddingMetric, JudgeMetric, ScoreMetric, TextMetric
from rageval.metrics.names import AGAIN, detail_of
from rageval.text.fingerprint import draw


@dataclass(frozen=True, kw_only=True)
class PlannedScore:
    """One row of the scores table that an answer is to get."""

    name: str
    """As it is stored: the metric, or a detail of it."""
    metric: ScoreMetric
    judge: ModelConfig | None = None
    """Who is asked; None for what is computed, from the answer or from the verdicts of a panel."""
    again: bool = False
    """Whether it is the second verdict of the same judge."""

    @property
    def is_majority(self) -> bool:
        """Whether it sums up the verdicts of a panel."""
        return self.judge is None and isinstance(self.metric, JudgeMetric)


@dataclass(frozen=True, kw_only=True)
class ScorePlan:
    """Which scores each answer gets."""

    index: IndexConfig
    """Names the embedding model of the cosine."""
    computed: tuple[TextMetric | EmbeddingMetric, ...]
    """Metrics that ask no model."""
    judged: tuple[JudgeMetric, ...] = ()
    """Metrics that judges are asked for."""
    judges: tuple[ModelConfig, ...] = ()
    """Who is asked; of several, each gives a verdict of its own, and the metric itself is their majority."""
    again_share: float = 0.0
    """Share of the questions whose verdicts the first judge gives a second time."""
    seed: int = 0
    """Draws those questions."""
    renew: bool = False
    """Whether a stored score of another version, or by another judge, counts as missing. Only `rescore` wants that: a
    run that is resumed keeps what it has."""

    @property
    def metrics(self) -> tuple[ScoreMetric, ...]:
        """All metrics."""
        return (*self.computed, *self.judged)

    @property
    def has_panel(self) -> bool:
        """Whether several judges decide by majority."""
        return len(self.judges) > 1

    def scores(self, question_id: str) -> list[PlannedScore]:
        """Return the scores that every answer to a question gets, in the order of their rows."""
        return self._scores(again=self.is_asked_again(question_id))

    def is_asked_again(self, question_id: str) -> bool:
        """Return whether the question belongs to the random slice that is judged twice; the same in every start."""
        return bool(self.judges) and draw(AGAIN, str(self.seed), question_id) < self.again_share

    def rows(self, question_ids: Sequence[str]) -> "Counter[str]":
        """Return how many rows of each name one system gets, over all questions."""
        return Counter({score.name: n for score, n in self._counted(question_ids)})

    def calls(self, question_ids: Sequence[str]) -> "Counter[tuple[str, str]]":
        """Return how often each judge is asked for each metric, for one system."""
        calls: Counter[tuple[str, str]] = Counter()
        for score, n in self._counted(question_ids):
            if score.judge:
                calls[score.judge.name, score.metric.name] += n
        return calls

    def _counted(self, question_ids: Sequence[str]) -> list[tuple[PlannedScore, int]]:
        again = sum(self.is_asked_again(question_id) for question_id in question_ids)
        return [(score, again if score.again else len(question_ids)) for score in self._scores(again=again > 0)]

    def _scores(self, *, again: bool) -> list[PlannedScore]:
        planned = [PlannedScore(name=metric.name, metric=metric) for metric in self.computed]
        for metric in self.judged:
            planned += self._verdicts(metric)
            if again:
                name = detail_of(metric.name, AGAIN)
                planned.append(PlannedScore(name=name, metric=metric, judge=self.judges[0], again=True))
        return planned

    def _verdicts(self, metric: JudgeMetric) -> list[PlannedScore]:
        if not self.has_panel:
            return [PlannedScore(name=metric.name, metric=metric, judge=judge) for judge in self.judges]
        members = [PlannedScore(name=detail_of(metric.name, j.name), metric=metric, judge=j) for j in self.judges]
        return [PlannedScore(name=metric.name, metric=metric), *members]


def score_plan(config: EvaluationConfig, judges: tuple[ModelConfig, ...] | None = None) -> ScorePlan:
    """Return the plan of a run.

    Args:
        config: The run's configuration.
        judges: `config.judges` with endpoints that serve them; None for those of the configuration.
    """
    judged = catalogue.judged(config.metrics) if config.judge.enabled else ()
    return ScorePlan(
        index=config.index,
        computed=catalogue.computed(config.metrics),
        judged=judged,
        judges=(config.judges if judges is None else judges) if judged else (),
        again_share=config.judge.again_share,
        seed=config.data.seed,
    )


def choices_see_reference(config: EvaluationConfig) -> bool:
    """Return whether the judge that chooses between two models sees the reference: if it does for any metric."""
    return any("reference" in metric.sees for metric in catalogue.judged(config.metrics))


def pairwise_rows(config: EvaluationConfig, questions: int) -> int:
    """Return how many choices between two systems a run needs: both orders of every pair and question.

    Each is one call of the first judge.
    """
    if not config.judge.pairwise or config.judge_model is None:
        return 0
    systems = len(config.plans)
    return systems * (systems - 1) * questions
