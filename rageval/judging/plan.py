"""The configuration -> which scores an answer gets, by name and version, and which judge is asked for each.

To add a metric that asks no model: its function in `rageval.metrics`, its name in `config.TextMetric`, its version here
and one line in `rageval.scoring.model_free`. To add one that asks a judge: its prompt, its setting in
`config.JudgeConfig`, its version here and one entry in `rageval.judging.requests`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from rageval.config.evaluation import EvaluationConfig, IndexConfig, JudgeConfig
from rageval.config.models import ModelConfig
from rageval.judging.prompts import FAITHFULNESS_PROMPT_VERSION, JUDGE_PROMPT_VERSION
from rageval.metrics.names import AGAIN, COSINE, FAITHFULNESS, WITH_REFERENCE, WITHOUT_REFERENCE, detail_of
from rageval.text.fingerprint import draw

MODEL_FREE_VERSIONS: Final[Mapping[str, str]] = MappingProxyType(
    {COSINE: "1", "rouge_l": "2", "exact_match": "2", "fuzzy_match": "1", "refusal": "2", "answer_words": "2"}
)
"""The version of each metric that asks no model; it changes with the metric's definition."""
JUDGE_VERSIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        WITH_REFERENCE: JUDGE_PROMPT_VERSION,
        WITHOUT_REFERENCE: JUDGE_PROMPT_VERSION,
        FAITHFULNESS: FAITHFULNESS_PROMPT_VERSION,
    }
)
"""The version of each metric that a judge is asked for; it changes with the prompt."""


@dataclass(frozen=True, kw_only=True)
class PlannedScore:
    """One row of the scores table that an answer is to get."""

    name: str
    """As it is stored: the metric, or a detail of it."""
    metric: str
    judge: ModelConfig | None = None
    """Who is asked; None for what is computed, from the answer or from the verdicts of a panel."""
    again: bool = False
    """Whether it is the second verdict of the same judge."""

    @property
    def version(self) -> str:
        """The version of the metric."""
        return {**MODEL_FREE_VERSIONS, **JUDGE_VERSIONS}[self.metric]

    @property
    def is_majority(self) -> bool:
        """Whether it sums up the verdicts of a panel."""
        return self.judge is None and self.metric in JUDGE_VERSIONS


@dataclass(frozen=True, kw_only=True)
class ScorePlan:
    """Which scores each answer gets."""

    index: IndexConfig
    """Names the embedding model of the cosine."""
    model_free: tuple[str, ...]
    """Metrics that ask no model."""
    judge_metrics: tuple[str, ...] = ()
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
                calls[score.judge.name, score.metric] += n
        return calls

    def _counted(self, question_ids: Sequence[str]) -> list[tuple[PlannedScore, int]]:
        again = sum(self.is_asked_again(question_id) for question_id in question_ids)
        return [(score, again if score.again else len(question_ids)) for score in self._scores(again=again > 0)]

    def _scores(self, *, again: bool) -> list[PlannedScore]:
        planned = [PlannedScore(name=name, metric=name) for name in self.model_free]
        for metric in self.judge_metrics:
            planned += self._verdicts(metric)
            if again:
                name = detail_of(metric, AGAIN)
                planned.append(PlannedScore(name=name, metric=metric, judge=self.judges[0], again=True))
        return planned

    def _verdicts(self, metric: str) -> list[PlannedScore]:
        if not self.has_panel:
            return [PlannedScore(name=metric, metric=metric, judge=judge) for judge in self.judges]
        members = [PlannedScore(name=detail_of(metric, j.name), metric=metric, judge=j) for j in self.judges]
        return [PlannedScore(name=metric, metric=metric), *members]


def judge_metrics(judge: JudgeConfig) -> tuple[str, ...]:
    """Return the names of the metrics that judges are asked for, pairwise choices aside."""
    wanted = {
        WITH_REFERENCE: judge.with_reference,
        WITHOUT_REFERENCE: judge.without_reference,
        FAITHFULNESS: judge.faithfulness,
    }
    return tuple(metric for metric, is_wanted in wanted.items() if judge.enabled and is_wanted)


def score_plan(config: EvaluationConfig, judges: tuple[ModelConfig, ...] | None = None) -> ScorePlan:
    """Return the plan of a run.

    Args:
        config: The run's configuration.
        judges: `config.judges` with endpoints that serve them; None for those of the configuration.
    """
    metrics = judge_metrics(config.judge)
    return ScorePlan(
        index=config.index,
        model_free=(COSINE, *dict.fromkeys(config.scores.text_metrics)),
        judge_metrics=metrics,
        judges=(config.judges if judges is None else judges) if metrics else (),
        again_share=config.judge.again_share,
        seed=config.data.seed,
    )


def pairwise_rows(config: EvaluationConfig, questions: int) -> int:
    """Return how many choices between two systems a run needs: both orders of every pair and question.

    Each is one call of the first judge.
    """
    if not config.judge.pairwise or config.judge_model is None:
        return 0
    systems = len(config.plans)
    return systems * (systems - 1) * questions
