"""A run and the last accepted one of its label -> whether the run is accepted in its place."""

import shlex
from dataclasses import dataclass

from rageval.comparison.gate import gate
from rageval.comparison.gate_config import GateSettings
from rageval.comparison.gating import Gate
from rageval.comparison.pairing import Choice
from rageval.comparison.run_comparison import incomplete
from rageval.comparison.sentences import gate_sentence
from rageval.errors import DataError
from rageval.runs.accepted_runs import accept_run, accepted_runs
from rageval.runs.manifest import read_manifest
from rageval.runs.run import Run

DEFAULT_LABEL = "nightly"


@dataclass(frozen=True, kw_only=True)
class NightlyOutcome:
    """What came out of measuring a run against the last accepted one."""

    label: str
    run_id: str
    baseline: str
    """Id of the accepted run that it was measured against; empty for a first run."""
    passed: bool
    sentence: str
    """The verdict, for people."""
    gate: Gate | None
    """None where nothing could be measured."""


def judge_run(run: Run, settings: GateSettings, label: str) -> NightlyOutcome:
    """Measure a run against the last accepted one of its label in the same output folder; nothing is accepted yet.

    The first run of a label passes, as does one that is the accepted one itself.

    Raises:
        DataError: If the run or `accepted.json` cannot be read.
        ConfigError: If a metric cannot be gated by.
    """
    accepted = accepted_runs(str(run.path.parent)).get(label)
    if accepted is None or accepted.run_id == run.run_id:
        why = "the first run" if accepted is None else "already the accepted run"
        sentence = f"Accepted: {run.run_id} is {why} of {label!r}; the next one is measured against it."
        return NightlyOutcome(label=label, run_id=run.run_id, baseline="", passed=True, sentence=sentence, gate=None)
    baseline = Run(str(run.path.parent / accepted.run_id))
    try:
        found = gate(
            run, baseline, Choice(metrics=settings.metrics),
            max_drop=settings.max_drop, allow_underpowered=settings.allow_underpowered, common=settings.common,
        )  # fmt: skip
    except DataError as error:
        if not baseline.has("scores"):
            return _failed(run, label, baseline, f"The accepted run {baseline.run_id} cannot be read: {error}", None)
        raise
    if found.passed:
        sentence = gate_sentence(found)
        return NightlyOutcome(
            label=label, run_id=run.run_id, baseline=baseline.run_id, passed=True, sentence=sentence, gate=found
        )
    return _failed(run, label, baseline, _why(found), found)


def accept(run: Run, label: str, note: str) -> str:
    """Make a complete run the accepted one of a label; returns the id of the one before, empty if there was none.

    Raises:
        DataError: If the folder holds no run, or it is not complete: nothing can be measured against it.
        RunStoppedError: If it cannot be written.
    """
    if reason := incomplete(run.run_id, read_manifest(run)):
        raise DataError(f"{reason} and cannot be accepted; go on with it until it is complete")
    before = accepted_runs(str(run.path.parent)).get(label)
    accept_run(run, label, note)
    return before.run_id if before else ""


def _why(found: Gate) -> str:
    """Return the verdict; where nothing could be measured, that comes first."""
    if all(row.outcome == "not comparable" for row in found.rows):
        return f"Not comparable with the accepted run {found.a}: {found.reasons[0].rstrip('.')}."
    return gate_sentence(found)


def _failed(run: Run, label: str, baseline: Run, why: str, found: Gate | None) -> NightlyOutcome:
    sentence = (
        f"{why.rstrip('.')}. The run is not accepted; if this is as it should be, `rageval accept "
        f"{shlex.quote(run.folder)} --label {shlex.quote(label)}` makes it the one that the next is measured against."
    )
    return NightlyOutcome(
        label=label, run_id=run.run_id, baseline=baseline.run_id, passed=False, sentence=sentence, gate=found
    )
