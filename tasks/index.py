"""Documents -> search index."""

from prefect import get_run_logger, task

from rageval.adapters.run_store import RunStore
from rageval.config import EvaluationConfig
from rageval.stages import index as stage
from rageval.stages.index import IndexReport


@task
def index_run(run: RunStore, config: EvaluationConfig) -> IndexReport:
    """Embed and index the run's documents; only documents that changed are embedded again."""
    report = stage.index_run(run, config)
    get_run_logger().info(_sentence(report))
    return report


@task
def index_corpus(config: EvaluationConfig, rebuild: bool) -> IndexReport:
    """Embed and index the documents of a file; only documents that changed are embedded again."""
    report = stage.index_corpus(config, rebuild=rebuild)
    get_run_logger().info(_sentence(report))
    return report


def _sentence(report: IndexReport) -> str:
    done = f"built, {report.embedded} embedded now" if report.rebuilt else "up to date, nothing embedded"
    return f"Index {report.name} on {report.backend}: {report.documents} documents, {done}"
