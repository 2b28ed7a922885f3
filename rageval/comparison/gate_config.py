"""What a scheduled run is measured by: a flow's parameter, and its group in the form of the Prefect UI."""

from pydantic import Field, field_validator

from rageval.config.settings import Name, Settings
from rageval.metrics.catalogue import headline, higher_is_better
from rageval.metrics.metric import ScoreMetric


class GateSettings(Settings):
    """What may not get worse against the last accepted run, and by how much."""

    metrics: tuple[Name, ...] = Field(default=tuple(headline(ScoreMetric)[:1]), min_length=1, max_length=20)
    """Metrics that must not get worse, such as correctness, cosine or hit_rate; each weakens the others."""
    max_drop: float = Field(default=0.02, gt=0, le=1000, title="Largest drop that may pass")
    """The largest drop of a mean that may pass, in the metric's unit. A larger one fails if it is beyond the noise."""
    allow_underpowered: bool = Field(default=False, title="Pass with too few questions")
    """Pass, too, where a drop of max_drop could not have been seen with so few questions."""
    common: bool = Field(default=False, title="Compare common questions")
    """Compare the questions that both runs have, so that a ground truth that grows does not end the comparison."""
    label: str = Field(default="", max_length=200, pattern=r"^[^\x00-\x1f]*$")
    """Runs of the same label in the same output folder follow each other. Empty takes the deployment's name."""

    @field_validator("metrics")
    @classmethod
    def _check(cls, metrics: tuple[str, ...]) -> tuple[str, ...]:
        for name in metrics:
            if higher_is_better(name) is None:
                raise ValueError(
                    f"neither more nor less of {name!r} is better, or it is not known; name another metric"
                )
        return metrics
