"""The configuration -> which scores an answer gets, by name and version, and which judge is asked for each."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rageval.config.evaluation import EvaluationConfig, IndexConfig
from rageval.config.models import ModelConfig
from rageval.metrics import catalogue
from rageval.metrics.metric import EmbeddingMetric, JudgeMetric, ScoreMetric, TextMetric
from rageval.metrics.names import AGAIN, SINGLE, detail_of
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
    together: tuple[JudgeMetric, ...] = ()
    """The metrics that the judge is asked for in the same call, its own among them; empty where it is asked for
    alone."""

    @property
    def is_single(self) -> bool:
        """Whether it is asked for alone to be compared with one that is combined."""
        return self.name == detail_of(self.metric.name, SINGLE)

    @property
    def asked_for(self) -> tuple[str, ...]:
        """The names of all metrics that the call asks for which brings it."""
        return tuple(metric.name for metric in self.together) or (self.metric.name,)

    @property
    def call(self) -> tuple[str, tuple[str, ...], bool] | None:
        """Which of the calls about an answer brings it: the judge, what it is asked for, and whether again."""
        return (self.judge.name, self.asked_for, self.again) if self.judge else None

    @property
    def version(self) -> str:
        """What its value depends on besides the judge: the metric's version, and what is asked for with it."""
        others = [name for name in self.asked_for if name != self.metric.name]
        return f"{self.metric.version} with {', '.join(others)}" if others else self.metric.version

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
    combine: bool = False
    """Whether verdicts that see the same material are asked for in one call; the first judge's on those questions are
    asked for alone, too."""
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

    def calls(self, question_ids: Sequence[str]) -> "Counter[tuple[str, tuple[str, ...]]]":
        """Return how often each judge is asked for which metrics at once, for one system."""
        calls: Counter[tuple[str, tuple[str, ...]]] = Counter()
        for score, n in self._counted(question_ids):
            if score.judge and score.metric.name == score.asked_for[0]:
                calls[score.judge.name, score.asked_for] += n
        return calls

    def _counted(self, question_ids: Sequence[str]) -> list[tuple[PlannedScore, int]]:
        again = sum(self.is_asked_again(question_id) for question_id in question_ids)
        planned = self._scores(again=again > 0)
        return [(score, again if score.again or score.is_single else len(question_ids)) for score in planned]

    def _scores(self, *, again: bool) -> list[PlannedScore]:
        planned = [PlannedScore(name=metric.name, metric=metric) for metric in self.computed]
        for metric in self.judged:
            together = self._together(metric)
            planned += self._verdicts(metric, together)
            if again:
                score = PlannedScore(name=detail_of(metric.name, AGAIN), metric=metric, judge=self.judges[0])
                planned.append(replace(score, again=True, together=together))
                planned += [replace(score, name=detail_of(metric.name, SINGLE))] if together else []
        return planned

    def _verdicts(self, metric: JudgeMetric, together: tuple[JudgeMetric, ...]) -> list[PlannedScore]:
        own = PlannedScore(name=metric.name, metric=metric, together=together)
        if not self.has_panel:
            return [replace(own, judge=judge) for judge in self.judges]
        return [own, *(replace(own, name=detail_of(metric.name, judge.name), judge=judge) for judge in self.judges)]

    def _together(self, metric: JudgeMetric) -> tuple[JudgeMetric, ...]:
        """Return what is asked for along with a metric: whatever else sees the same, and itself; nothing if alone.

        It follows from the plan alone, and not from which verdicts are missing: so all verdicts on a metric come from
        one prompt, and every start of a run asks the same.
        """
        alike = tuple(other for other in self.judged if other.sees == metric.sees)
        return alike if self.combine and len(alike) > 1 else ()


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
        combine=config.judge.combine,
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
