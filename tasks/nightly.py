"""A scheduled run -> its verdict against the last accepted run, published, and the run accepted if it passes."""

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from rageval.comparison import nightly as stage
from rageval.comparison.gate_config import GateSettings
from rageval.comparison.markdown import render_gate
from rageval.comparison.nightly import NightlyOutcome
from rageval.comparison.sentences import gate_rows
from rageval.errors import RagevalError
from rageval.monitoring import publish
from rageval.monitoring.store.database import database_url, open_database
from rageval.pages.markdown import escape, section
from rageval.report.pivot import summary_rows
from rageval.report.writing import sentence
from rageval.runs.run import REPORT, Run


def _is_a_fault_of_the_disk(task: Task[..., object], task_run: TaskRun, state: State[object]) -> bool:
    """Return whether reading may go better next time; what is wrong with a run stays so."""
    return isinstance(state.result(raise_on_failure=False), OSError)


@task(
    task_run_name="gate-{run.run_id}",
    retries=2,
    retry_delay_seconds=10,
    retry_condition_fn=_is_a_fault_of_the_disk,
)
def judge_run(run: Run, settings: GateSettings, label: str) -> NightlyOutcome:
    """Measure the run against the last accepted one of its label. It only reads, so it may be tried again."""
    outcome = stage.judge_run(run, settings, label)
    get_run_logger().info(outcome.sentence)
    return outcome


@task
def publish_outcome(run: Run, outcome: NightlyOutcome) -> None:
    """Publish verdict, gate and values of the run as artifacts."""
    rows = summary_rows(run.read("summary"))
    parts = [
        f"# Nightly {escape(outcome.label)}: {'passed' if outcome.passed else 'failed'}",
        f"**{escape(outcome.sentence)}**",
        f"This run: {escape(sentence(run))}",
        section("Answers", rows),
        render_gate(outcome.gate).replace("# Gate", "## Gate", 1).replace("\n## Metrics", "\n### Metrics", 1)
        if outcome.gate
        else "",
        f"Report: `{run.folder}/{REPORT}`",
    ]
    description = f"{run.run_id} of {outcome.label}"
    markdown = "\n\n".join(part for part in parts if part) + "\n"
    create_markdown_artifact(key="rageval-nightly", markdown=markdown, description=description)
    table = gate_rows(outcome.gate) if outcome.gate and outcome.gate.rows else rows
    create_table_artifact(key="rageval-nightly-table", table=table, description=description)


@task(task_run_name="publish-{run.run_id}")
def publish_values(run: Run) -> None:
    """Store the values of the run for the dashboards; a database that is away does not fail it."""
    try:
        publish.publish(open_database(database_url()), run)
    except RagevalError as error:
        get_run_logger().warning("Not published: %s. `rageval publish %s` does it later.", error, run.folder)


@task(task_run_name="accept-{run.run_id}")
def accept_run(run: Run, outcome: NightlyOutcome) -> None:
    """Make the run the baseline of the next one of its label."""
    before = stage.accept(run, outcome.label, outcome.sentence)
    get_run_logger().info("Accepted %s of %s in place of %s", run.run_id, outcome.label, before or "none")
