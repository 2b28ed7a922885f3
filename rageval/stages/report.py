"""The run's tables -> `summary`, `report.html` and the Markdown of the Prefect artifact."""

from dataclasses import dataclass

from rageval.adapters.run_store import RunStore
from rageval.report.markdown import render_markdown
from rageval.report.page import ReportData, render_page
from rageval.report.summary import summarize
from rageval.stages.manifest import MANIFEST
from rageval.tables import SCHEMAS

REPORT = "report.html"


@dataclass(frozen=True, kw_only=True)
class Report:
    """Where the page lies, and the summary for people."""

    page: str
    markdown: str


def write_report(run: RunStore) -> Report:
    """Compute the summary anew and write it and the page; a run that is not complete gets them too.

    Raises:
        DataError: If the run has not got as far as its retrieval, or a table is damaged.
    """
    tables = {name: run.read(name) for name in SCHEMAS if name != "summary"}
    manifest = run.read_json(MANIFEST)
    summary = summarize(
        tables["questions"],
        tables["retrieval"],
        tables["answers"],
        tables["scores"],
        manifest["config"]["retrieval"]["top_k"],
    )
    run.write("summary", summary)
    data = ReportData(**tables, summary=summary, manifest=manifest)
    run.write_text(REPORT, render_page(data))
    return Report(page=str(run.path / REPORT), markdown=render_markdown(summary, manifest))
