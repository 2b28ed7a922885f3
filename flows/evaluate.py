"""Evaluate a RAG system: documents -> index -> retrieval -> answers -> scores -> report."""

from dataclasses import dataclass

from prefect.runtime import flow_run

from flows.entrance import flow
from flows.steps import PrefectSteps
from flows.workers import THREADS
from rageval.config.evaluation import EvaluationConfig
from rageval.pipeline.evaluation import evaluate_run
from rageval.report.writing import leading, sentence
from rageval.runs.folders import open_run
from rageval.runs.manifest import Manifest
from tasks.ending import end_in_words, say_in_name

_NAMED = 3
"""Systems that the name of a flow run holds."""


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """Where the run's tables and its report lie, and how it ended."""

    run_id: str
    folder: str
    status: str
    manifest: Manifest


def run_words(config: EvaluationConfig) -> str:
    """Return what runs in a line: systems, which questions, how many."""
    systems = ", ".join(plan.name for plan in config.plans[:_NAMED]) + (", ..." if len(config.plans) > _NAMED else "")
    questions = f"{config.data.sample} questions" if config.data.sample else "all questions"
    return "; ".join(part for part in (systems, config.data.only, questions) if part)


def _run_name() -> str:
    # What a deployment leaves out is not among the parameters.
    return run_words(flow_run.parameters.get("config", EvaluationConfig()))


@flow(name="evaluate", flow_run_name=_run_name, task_runner=THREADS)
def evaluate(config: EvaluationConfig = EvaluationConfig()) -> EvaluationResult:  # noqa: B008 - it is frozen
    """Evaluate retrievers, prompts and models on documents and questions with known answers.

    With nothing set, the sample corpus is evaluated with the embedded model.

    Args:
        config: Everything that can be set, group by group; what you leave alone stays as it is filled in.
    """
    return end_in_words(lambda: _evaluate(config))


def _evaluate(config: EvaluationConfig) -> tuple[EvaluationResult, str]:
    run = open_run(config.run)
    manifest = evaluate_run(run, config, PrefectSteps())
    say_in_name(leading(run))
    result = EvaluationResult(run_id=run.run_id, folder=run.folder, status=manifest.status, manifest=manifest)
    return result, sentence(run)


if __name__ == "__main__":
    evaluate()
