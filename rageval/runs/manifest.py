"""`run.json`, typed: what a run was told, what it worked on, and how it went."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from rageval.config.evaluation import EvaluationConfig
from rageval.errors import DataError
from rageval.runs.run import Run
from rageval.tables import SCHEMA_VERSION

MANIFEST = "run.json"
Status = Literal["running", "complete", "incomplete"]


class ManifestPart(BaseModel):
    """Base of everything in a manifest: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class RunStart(ManifestPart):
    """One start of the run."""

    started_at: str
    notes: tuple[str, ...] = ()
    """A sentence for each file that was repaired."""
    finished_at: str | None = None
    """None while it is under way, and where it was killed."""
    seconds: Mapping[str, float] = {}
    """Of each stage."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """What was loaded: counts, identities, and a sentence about everything that was merged or left out."""

    documents: int
    questions: int
    documents_fingerprint: str
    questions_fingerprint: str
    notes: tuple[str, ...] = ()


class SearchedIndex(ManifestPart):
    """The index that the run's retrievers search, and what had to be done for it."""

    name: str
    backend: str
    fingerprint: str
    embedding_model: str
    documents: int
    embedded: int
    """Texts that had to be embedded; all others were known already."""
    rebuilt: bool
    longest: int | None
    """Tokens that the embedding model reads of a text; None where there is no limit."""
    too_long: int
    """Documents that are longer."""
    too_long_ids: tuple[str, ...]
    warning: str | None


class KnownUsage(ManifestPart):
    """Tokens and US dollars of those replies that say what they took."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0


class TotalUsage(ManifestPart):
    """Tokens and US dollars; None where those of any reply are unknown."""

    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    """Part of the prompt tokens, of the replies that say so; None where none does."""
    completion_tokens: int | None = None
    cost_usd: float | None = None
    replies: int | None = None
    replies_without_usage: int | None = None
    at_least: KnownUsage | None = None


class ModelUsage(TotalUsage):
    """What a model was asked in one role, or is expected to be."""

    model: str
    role: str
    """`answers` or `verdicts`."""
    calls: int
    reused: int = 0
    """Replies that were taken from earlier runs."""


class RunTotals(TotalUsage):
    """What the whole run has taken, in all its starts."""

    requests: int


class Ending(ManifestPart):
    """How a run stands."""

    status: Status
    reason: str | None = None


class ReplacedVerdicts(ManifestPart):
    """Verdicts that a rescoring has replaced; they were paid for, so they are kept in a file."""

    rows: int
    cost_usd: float | None = None
    file: str | None = None


class RescoringNote(ManifestPart):
    """One scoring of a run that had its answers already."""

    started_at: str
    finished_at: str | None = None
    status: Status
    metrics: Mapping[str, str]
    """The version of each, by its name."""
    judges: tuple[str, ...]
    before: Ending
    """How the run stood before it."""
    replaced: ReplacedVerdicts
    scored: int | None = None
    """Scores that it has brought; None while it is under way."""


class Manifest(ManifestPart):
    """The content of `run.json`. What a run has not got as far as to know is None, or empty."""

    schema_version: str = SCHEMA_VERSION
    run_id: str
    status: Status
    reason: str | None = None
    """Why it is not complete."""
    started_at: str
    """Time of the first start, ISO 8601 in UTC, as all times here."""
    finished_at: str | None = None
    config: EvaluationConfig
    versions: Mapping[str, str] = {}
    """Of Python and of the packages that decide results."""
    git_revision: str | None = None
    starts: tuple[RunStart, ...] = ()
    dataset: Dataset | None = None
    index: SearchedIndex | None = None
    estimate: tuple[ModelUsage, ...] | None = None
    """What the whole run was expected to take, as it was at its first start."""
    totals: RunTotals | None = None
    actual: tuple[ModelUsage, ...] = ()
    """What was used by each model and role."""
    warnings: tuple[str, ...] = ()
    """A sentence for everything that looks complete and is not."""
    notes: tuple[str, ...] = ()
    rescored: tuple[RescoringNote, ...] = ()

    @property
    def embedding_model(self) -> str:
        """The embedding model as exactly as the run knows it: with its fingerprint, or by its name alone."""
        return self.index.embedding_model if self.index else self.config.index.embedding_model


def find_manifest(run: Run) -> Manifest | None:
    """Return a run's manifest, or None if its folder has none.

    Raises:
        DataError: If it is damaged, or not that of an evaluation.
    """
    content = run.read_json(MANIFEST)
    if not content:
        return None
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(
            f"{run.folder}/{MANIFEST} is not that of an evaluation run of this version ({where}: {first['msg']}); give "
            "the folder of one, such as runs/demo"
        ) from None


def read_manifest(run: Run) -> Manifest:
    """Return a run's manifest.

    Raises:
        DataError: If there is none, it is damaged, or not that of an evaluation.
    """
    manifest = find_manifest(run)
    if manifest is None:
        raise DataError(f"{run.folder} holds no run (no {MANIFEST}); give the folder of one, such as runs/demo")
    return manifest


def write_manifest(run: Run, manifest: Manifest) -> Manifest:
    """Replace a run's manifest, and return it."""
    run.write_json(MANIFEST, manifest.model_dump(mode="json"))
    return manifest
