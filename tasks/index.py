"""Documents -> search index."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from rageval.config.evaluation import EvaluationConfig, IndexConfig
from rageval.corpus.files import load_documents
from rageval.errors import RagevalError
from rageval.pages.markdown import escape, section
from rageval.runs.inputs import read_documents
from rageval.runs.run import Run
from rageval.search import building as stage
from rageval.search.building import IndexReport
from rageval.storage.places import Place


@task
def index_run(run: Run, config: EvaluationConfig) -> IndexReport:
    """Embed and index the run's documents; only documents that changed are embedded again."""
    report = stage.index_run(run, config)
    get_run_logger().info(_sentence(report))
    if report.warning:
        get_run_logger().warning(report.warning)
    return report


@task
def index_corpus(config: EvaluationConfig, rebuild: bool) -> tuple[IndexReport, str]:
    """Embed and index the documents of a file, and publish what was done; returns the report and a sentence."""
    report = stage.index_corpus(config, rebuild=rebuild)
    said = _sentence(report)
    rows = [{"fact": name.replace("_", " "), "value": str(value)} for name, value in asdict(report).items()]
    warning = f"**{escape(report.warning)}.**\n\n" if report.warning else ""
    markdown = f"# {escape(said)}\n\n{warning}{section('The index', rows)}\n"
    create_markdown_artifact(key="rageval-index", markdown=markdown, description=f"Index {report.name}")
    get_run_logger().info(said)
    if report.warning:
        get_run_logger().warning(report.warning)
    return report, said


@task
def texts_to_embed(run: Run | None, config: EvaluationConfig) -> list[str]:
    """Return the texts that indexing will have to embed, of a run's documents or of the file's."""
    documents = read_documents(run).values() if run else load_documents(config.data.documents, config.data.filter_by)[0]
    return stage.texts_to_embed(list(documents), config, run.cache if run else stage.cache_of(config))


@task(task_run_name="embed-{number}")
def embed_texts(number: int, texts: Sequence[str], config: IndexConfig, cache: Place) -> State[Any]:
    """Embed some texts of documents and keep their vectors in the cache."""
    try:
        embedded = stage.embed_texts(texts, config, cache)
    except RagevalError as error:
        return Failed(message=str(error), data=error)
    return Completed(message=f"{embedded} of {len(texts)} texts embedded", data=embedded)


def _sentence(report: IndexReport) -> str:
    done = f"built, {report.embedded} embedded now" if report.rebuilt else "up to date, nothing embedded"
    long = f"; {report.too_long} longer than the model reads" if report.too_long else ""
    return f"Index {report.name} on {report.backend}: {report.documents} documents, {done}{long}"
