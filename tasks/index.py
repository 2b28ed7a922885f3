"""Documents -> search index."""

from dataclasses import asdict

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact

from rageval.adapters.run_store import RunStore
from rageval.config import EvaluationConfig
from rageval.report.markdown import escape, section
from rageval.stages import index as stage
from rageval.stages.index import IndexReport


@task
def index_run(run: RunStore, config: EvaluationConfig) -> IndexReport:
    """Embed and index the run's documents; only documents that changed are embedded again."""
    report = stage.index_run(run, config)
    get_run_logger().info(_sentence(report))
    return report


@task
def index_corpus(config: EvaluationConfig, rebuild: bool) -> tuple[IndexReport, str]:
    """Embed and index the documents of a file, and publish what was done; returns the report and a sentence."""
    report = stage.index_corpus(config, rebuild=rebuild)
    said = _sentence(report)
    rows = [{"fact": name.replace("_", " "), "value": str(value)} for name, value in asdict(report).items()]
    markdown = f"# {escape(said)}\n\n{section('The index', rows)}\n"
    create_markdown_artifact(key="rageval-index", markdown=markdown, description=f"Index {report.name}")
    get_run_logger().info(said)
    return report, said


def _sentence(report: IndexReport) -> str:
    done = f"built, {report.embedded} embedded now" if report.rebuilt else "up to date, nothing embedded"
    return f"Index {report.name} on {report.backend}: {report.documents} documents, {done}"
