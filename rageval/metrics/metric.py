"""The kinds of metric: one frozen object says everything that is known of a metric, and how its value comes about.

Plans, judges, summaries, comparisons, pages, dashboards and help read these objects, and know no metric by name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rageval.metrics.grades import Ranking

Array: TypeAlias = NDArray[np.float64]
Bounds: TypeAlias = tuple[float, float]
Text: TypeAlias = Literal["answer", "reference"]
"""What a metric can be computed from."""
Evidence: TypeAlias = Literal["question", "reference", "contexts", "answer"]
"""What a judge can be shown."""
Standing: TypeAlias = Literal["headline", "compared", "listed"]
"""Where a metric is shown unless others are asked for.

`headline`: in the headline, in histories, and the gate goes by the first of them. `compared`: in comparisons of two
runs, where every further one weakens the tests of all. `listed`: in tables. Each stands where the next one does, too.
"""

SHARE: Final[Bounds] = (0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What is known of any metric."""

    name: str
    """As it is stored, and as people ask for it."""
    title: str
    """As a heading."""
    description: str
    """One line, for people."""
    bounds: Bounds | None = SHARE
    """The lowest and highest value it can take; None where it has no highest, as counts, times and dollars: these
    start at 0."""
    higher_is_better: bool | None = True
    """None where neither direction is good in itself."""
    standing: Standing = "listed"


@dataclass(frozen=True, kw_only=True)
class RetrievalMetric(Metric):
    """A metric of a list of search results, cut off at a rank; `ndcg` is stored as `ndcg@5`."""

    compute: Callable[[Ranking, int], Array]
    """Lists of n questions and a rank -> shape `(n,)`."""
    needs_several: bool = False
    """Whether it says nothing that others do not where a question has one right document."""


@dataclass(frozen=True, kw_only=True)
class MeasuredMetric(Metric):
    """What is measured while a run asks and searches, and stored as a column of its tables."""

    table: Literal["answers", "retrieval"]
    column: str


@dataclass(frozen=True, kw_only=True)
class ScoreMetric(Metric):
    """A metric of one answer; its values are rows of the table of scores."""

    version: str
    """Stored with every value; changes whenever the definition or the prompt does."""
    default: bool = False
    """Whether a run has it unless it names its metrics."""

    @property
    def evidence(self) -> "tuple[Evidence, ...]":
        """What has to be known of a question and its answer, or the metric is not measured."""
        return ()


@dataclass(frozen=True, kw_only=True)
class TextMetric(ScoreMetric):
    """A metric that is computed from texts alone."""

    needs: tuple[Text, ...]
    """The texts that `compute` takes, in its order."""
    compute: Callable[..., Array]
    """Columns of n texts -> shape `(n,)`; NaN where the metric is undefined."""
    undefined: str = ""
    """Why it has no value where that is NaN."""

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """What it needs."""
        return self.needs


@dataclass(frozen=True, kw_only=True)
class EmbeddingMetric(ScoreMetric):
    """A metric that is computed from the embeddings of texts."""

    needs: tuple[Text, ...]
    """The texts whose embeddings `compute` takes, in its order."""
    compute: Callable[..., Array]
    """Matrices of shape `(n, d)` -> shape `(n,)`."""

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """What it needs."""
        return self.needs


@dataclass(frozen=True, kw_only=True)
class JudgeMetric(ScoreMetric):
    """A metric that a judge is asked for: it reads `instructions`, sees what it is shown, and chooses a label."""

    sees: tuple[Evidence, ...]
    """What the judge is shown, in this order."""
    labels: Mapping[str, float]
    """The value of each label; the metric's bounds follow from them."""
    good: str
    """The label of an answer that is as it should be."""
    instructions: str
    """What is graded, and what each label means."""
    unanswerable: str = ""
    """What a judge is told besides where it is known that nothing holds an answer; empty where it does not matter."""
    default_online: bool = False
    """Whether conversations are judged by it unless others are named."""
    bounds: Bounds | None = field(init=False)

    def __post_init__(self) -> None:
        if self.good not in self.labels:
            raise ValueError(f"{self.name}: the good label {self.good!r} is none of {', '.join(self.labels)}")
        if missing := [label for label in self.labels if f"{label}:" not in self.instructions]:
            raise ValueError(
                f"{self.name}: the instructions do not say what {missing[0]} means; add a line {missing[0]}: ..."
            )
        object.__setattr__(self, "bounds", (min(self.labels.values()), max(self.labels.values())))

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """What the judge is shown."""
        return self.sees

    @property
    def scale(self) -> tuple[str, ...]:
        """The labels, the best first."""
        return tuple(sorted(self.labels, key=self.labels.__getitem__, reverse=self.higher_is_better is not False))

    @property
    def counted(self) -> str:
        """The label whose share goes up and down with the mean, such as RELEVANT, or TOXIC."""
        return max(self.labels, key=self.labels.__getitem__)

    @property
    def adjective(self) -> str:
        """The same label as a word of a sentence, such as relevant."""
        return self.counted.lower().replace("_", " ")

    @property
    def worst(self) -> str:
        """The label of the answers to look at."""
        return self.scale[-1]

    @property
    def is_online(self) -> bool:
        """Whether conversations, which have no reference, can be judged by it."""
        return "reference" not in self.sees


@dataclass(frozen=True, kw_only=True)
class ChoiceMetric(Metric):
    """A metric that a judge is asked for by showing it the answers of two models, in both orders."""

    version: str
    labels: Mapping[str, float]
    """The value of each label for the answer that is shown first."""
    instructions: str
    """What makes the better answer where the judge sees the reference, and what each label means."""
    without_reference: str
    """The same where it sees the question alone."""
    unanswerable: str = ""
    """What the judge is told besides where it is known that nothing holds an answer."""

    def value(self, label: str, *, swapped: bool) -> float:
        """Return what a label says of an answer, which was shown second if `swapped`."""
        low, high = min(self.labels.values()), max(self.labels.values())
        return low + high - self.labels[label] if swapped else self.labels[label]


@dataclass(frozen=True, kw_only=True)
class DerivedMetric(Metric):
    """A metric of one answer that follows from its other scores and from what is known of its question.

    No run chooses it: it is there wherever `refusal` was measured of questions of which some are known to be
    answerable or not, see `rageval.comparison.derived`.
    """

    version: str
    """Changes whenever the definition does; what it follows from has versions of its own."""
    of: bool | None = None
    """Of which questions it is measured: those that can be answered, or those that cannot; None for all."""
    needs_verdict: bool = False
    """Whether it follows from a judge's verdict, too."""
    compute: Callable[[Array, Array, Array], Array]
    """Refused, verdict and answerable, each of shape `(n,)`, NaN where not known -> shape `(n,)`, NaN likewise."""


Computed: TypeAlias = TextMetric | EmbeddingMetric
"""Score metrics that ask no model."""
