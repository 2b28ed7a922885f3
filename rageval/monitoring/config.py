"""The configuration of the flow `monitor`: what is judged of new conversations, and what is watched."""

from typing import Any

from pydantic import Field, field_validator

from rageval.config.models import LOCAL, ModelConfig
from rageval.config.settings import Name, Settings
from rageval.metrics import catalogue


def _metric_names(schema: dict[str, Any]) -> None:
    schema["items"]["enum"] = [metric.name for metric in catalogue.online()]


class OnlineJudgingConfig(Settings):
    """Which conversations are judged, by whom, and for how much."""

    enabled: bool = Field(default=True, title="Judge the answers")
    """Whether answers are judged at all; language and topic of a question need no judge."""
    model: ModelConfig = Field(default=ModelConfig(name=LOCAL), title="Judge")
    """The model that judges. `local` starts the embedded one, which is too small for verdicts that can be trusted."""
    metrics: tuple[Name, ...] = Field(
        default=catalogue.chosen_online(()), max_length=100, json_schema_extra=_metric_names
    )
    """What is asked about each answer, by name; one call each. An empty list stands for the default."""
    share: float = Field(default=1.0, gt=0, le=1, title="Share that is judged")
    """Share of the conversations, drawn by their ids: the same ones whenever it is drawn again, more of them if it
    grows."""
    max_conversations: int = Field(default=1000, ge=1, le=1_000_000, title="Most conversations of a run")
    """The most that are judged now by each metric, oldest first; the next run takes the rest."""
    max_cost_usd: float | None = Field(default=None, gt=0, le=10_000_000, title="Ceiling (US dollars)")
    """US dollars that one run may spend; without a number, no ceiling. What is left over is judged by the next run."""
    max_failed_share: float = Field(default=0.05, ge=0, le=1, title="Share that may fail")
    """Share of a metric's verdicts that may fail or be unreadable before the run counts as failed."""
    ask_again: bool = Field(default=False, title="Ask again for unreadable verdicts")
    """Ask again also for verdicts that could not be read, such as after the judge was changed. They were paid for, so a
    schedule that always does would pay for the same ones again and again."""

    @field_validator("metrics")
    @classmethod
    def _chosen(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return catalogue.chosen_online(names)


class TopicsConfig(Settings):
    """How questions are grouped."""

    count: int = Field(default=12, ge=2, le=200, title="Topics")
    """How many topics are made; fewer where there are less than ten questions for each."""
    embedding_model: Name = "all-MiniLM-L6-v2"
    """A sentence-transformers model name or folder; another one makes topics of its own."""
    renew: bool = Field(default=False, title="Make the topics anew")
    """Make the topics from the questions of the last days, instead of keeping those that there are. Shares of old and
    new topics cannot be compared."""


class DriftConfig(Settings):
    """What questions and searches are held against."""

    reference_days: int = Field(default=14, ge=1, le=365, title="Days of the reference")
    """The days before a window that it is compared with."""
    minimum: int = Field(default=50, ge=10, le=1_000_000, title="Fewest questions")
    """Below so many in either of the two, nothing is tested."""
    significance: float = Field(default=0.01, gt=0, le=0.2)
    """Chance that a window of a day in which nothing has changed is called changed, over all its tests together."""


class AlertsConfig(Settings):
    """When somebody is told."""

    rules: str = Field(default="deployments/alerts.yaml", max_length=2000, title="File of rules")
    """YAML file of rules; empty for none."""


class MonitoringConfig(Settings):
    """Everything that the flow `monitor` can be told. The defaults run offline on the database of the environment."""

    days: int = Field(default=7, ge=1, le=3650, title="Days looked at")
    """How far back conversations are judged and rules are checked."""
    judging: OnlineJudgingConfig = Field(default_factory=OnlineJudgingConfig)
    topics: TopicsConfig = Field(default_factory=TopicsConfig)
    drift: DriftConfig = Field(default_factory=DriftConfig)
    alerts: AlertsConfig = Field(default_factory=AlertsConfig)
    visitors: bool = Field(default=True, title="Count visitors' votes")
    """Whether votes count of chat apps that ask for no key, where one person may be several voters."""
    retention_days: int | None = Field(default=None, ge=1, le=36_500)
    """Conversations that are older are deleted with everything about them; without a number, none is."""
