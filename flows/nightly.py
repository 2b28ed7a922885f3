"""Evaluate, compare with the last accepted run, gate, report: a run that got worse ends as Failed."""

from dataclasses import dataclass

from prefect import tags
from prefect.runtime import deployment, flow_run

from flows.entrance import flow
from flows.evaluate import evaluate, run_words
from rageval.comparison.gate_config import GateSettings
from rageval.comparison.nightly import DEFAULT_LABEL
from rageval.config.evaluation import EvaluationConfig
from rageval.errors import GateFailedError
from rageval.monitoring.store.database import is_configured
from rageval.runs.run import Run
from rageval.telemetry.tracing import step
from tasks.ending import end_in_words, say_in_name
from tasks.nightly import accept_run, judge_run, publish_outcome, publish_values


@dataclass(frozen=True, kw_only=True)
class NightlyResult:
    """The run that was accepted, and what it was measured against."""

    run_id: str
    folder: str
    label: str
    baseline: str
    """Id of the run that it was measured against; empty for a first run."""
    verdict: str


def _run_name() -> str:
    given = flow_run.parameters  # without what the deployment leaves out
    label = _label(given.get("gate", GateSettings()))
    return f"{label}: {run_words(given.get('config', EvaluationConfig()))}"


@flow(name="nightly", flow_run_name=_run_name)
def nightly(
    config: EvaluationConfig = EvaluationConfig(),  # noqa: B008 - it is frozen
    gate: GateSettings = GateSettings(),  # noqa: B008 - it is frozen
) -> NightlyResult:
    """Evaluate, and accept the run if it did not get worse than the last accepted one of the same label.

    The first run of a label is accepted. One that got worse, or that cannot be compared, is not: the flow fails, and
    its message says why. `rageval accept` accepts a run by hand.

    Args:
        config: Everything that can be set of the evaluation; what you leave alone stays as it is filled in.
        gate: What must not get worse, and by how much.
    """
    return end_in_words(lambda: _nightly(config, gate, _label(gate)))


def _nightly(config: EvaluationConfig, gate: GateSettings, label: str) -> tuple[NightlyResult, str]:
    with tags("rageval", label):
        ended = evaluate(config)
    run = Run(ended.folder)
    with step("nightly", run_id=run.run_id):
        if is_configured():
            publish_values(run)
        outcome = judge_run(run, gate, label)
        publish_outcome(run, outcome)
        if not outcome.passed:
            raise GateFailedError(outcome.sentence)
        accept_run(run, outcome)
    say_in_name(outcome.sentence)
    result = NightlyResult(
        run_id=run.run_id, folder=run.folder, label=label, baseline=outcome.baseline, verdict=outcome.sentence
    )
    return result, outcome.sentence


def _label(gate: GateSettings) -> str:
    return gate.label or deployment.name or DEFAULT_LABEL
