"""The configuration of generated ground truth: the flow's parameter and the form in the Prefect UI."""

from pydantic import Field, model_validator

from rageval.config.checks import check_filter
from rageval.config.models import LOCAL, ModelConfig
from rageval.config.settings import FileName, Key, Location, Name, Settings
from rageval.corpus.sample_data import DOCUMENTS


class GenerationConfig(Settings):
    """From which documents questions are written, by which model, and which of them are kept."""

    documents: Location = DOCUMENTS
    """Path or URL of the documents: JSON list, JSONL, CSV or Parquet with id and text, a title (title, or question in a
    FAQ) and any other columns."""
    filter_by: Key = ""
    """Column of the documents that restricts the search, such as their course: it is written beside each question, and
    questions are compared with those of the same value only. Empty without one."""
    only: Key = ""
    """Only the documents with this value of the column that filter_by names; empty for all."""
    sample: int | None = Field(default=None, ge=1, le=10_000_000, title="Sample size")
    """Only this many documents, drawn at random with the seed; empty for all."""
    seed: int = Field(default=42, ge=0, le=2**32 - 1)
    """Seed of the sample: the same seed draws the same documents."""
    model: ModelConfig = ModelConfig(name=LOCAL)
    """Writes the questions."""
    per_document: int = Field(default=5, ge=1, le=50)
    """Questions asked for from each document."""
    check: bool = True
    """Let a model judge for each question whether its document alone answers it; one more call a question."""
    checker: ModelConfig | None = None
    """The model that judges the questions; empty takes the one that writes them."""
    near_threshold: float = Field(default=0.9, gt=0, le=1)
    """Cosine from which two questions with the same filter value count as the same."""
    fewest_words: int = Field(default=4, ge=1, le=100)
    """Shorter questions are dropped."""
    embedding_model: Name = "all-MiniLM-L6-v2"
    """A sentence-transformers model name or folder, for the comparison of questions."""
    output: Location = Field(default="runs", title="Output folder")
    """Folder that holds one folder per run."""
    run_id: FileName = Field(default="", title="Name of the run")
    """Name of the run; the id of an earlier one resumes it. Empty makes a new one from the time."""
    out: str = Field(default="", max_length=2000)
    """CSV file that the kept questions are written to as well; they are always in the run's folder."""
    max_failed_share: float = Field(default=0.05, ge=0, le=1, title="Share that may fail")
    """Share of documents, or of checks, that may fail before the run counts as incomplete."""
    max_cost_usd: float | None = Field(default=None, gt=0, le=10_000_000, title="Ceiling (US dollars)")
    """US dollars the whole run may spend, earlier starts included; empty for no ceiling."""

    @model_validator(mode="after")
    def _check_filter(self) -> "GenerationConfig":
        check_filter(self.filter_by, self.only)
        return self

    @model_validator(mode="after")
    def _share_one_budget(self) -> "GenerationConfig":
        if not self.checker:
            return self
        same = self.checker.account == self.model.account
        if same and _limits(self.checker) != _limits(self.model):
            raise ValueError(
                f"the model {self.model.served_name!r} stands twice with different rpm, tpm, max_concurrency or "
                "shared_limit; its requests share one budget, so give the same limits each time"
            )
        if not same and self.model.shared_limit and self.checker.shared_limit == self.model.shared_limit:
            raise ValueError(
                f"two models have the shared_limit {self.model.shared_limit!r}; limits are per model, so name one for "
                "each"
            )
        return self

    @property
    def models(self) -> tuple[ModelConfig, ...]:
        """The model that writes, and the one that checks if anything is checked."""
        return (self.model, self.checker or self.model) if self.check else (self.model,)


def _limits(model: ModelConfig) -> tuple[object, ...]:
    return model.rpm, model.tpm, model.max_concurrency, model.shared_limit
