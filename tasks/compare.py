"""Two runs -> their comparison as a Markdown artifact, and as a page."""

from dataclasses import dataclass

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from rageval.comparison import folders as stage
from rageval.comparison.markdown import render_comparison
from rageval.comparison.page import render_compare_page
from rageval.comparison.pairing import Choice
from rageval.comparison.run_comparison import MetricComparison
from rageval.comparison.sentences import comparison_rows, sentences, words_of
from rageval.runs.folders import write_page
from rageval.runs.run import Run


@dataclass(frozen=True, kw_only=True)
class ComparedMetric:
    """What was found out about one metric of one system or retriever."""

    of: str
    """Its name."""
    metric: str
    difference: float | None
    """Candidate - baseline; None where there were too few questions."""
    p_value: float
    """Adjusted for all metrics that were compared."""
    verdict: str


@task
def compare_runs(
    a: Run, b: Run, choice: Choice, *, common: bool, relevant: float, html: str
) -> tuple[list[ComparedMetric], str]:
    """Compare the candidate with the baseline, publish it and write the page; returns findings and verdict."""
    found = stage.compare(a, b, choice, common=common, relevant=relevant)
    description = f"{found.b.name} against {found.a.name}"
    create_markdown_artifact(
        key="rageval-compare",
        markdown=render_comparison(found),
        description=description,
    )
    create_table_artifact(key="rageval-compare-table", table=comparison_rows(found), description=description)
    for sentence in (*found.warnings, *sentences(found)):
        get_run_logger().info(sentence)
    if html:
        write_page(html, render_compare_page(found))
    return [_finding(row) for row in found.compared], f"{description}: {' '.join(sentences(found))}"


def _finding(row: MetricComparison) -> ComparedMetric:
    return ComparedMetric(
        of=row.pair.name,
        metric=row.metric,
        difference=row.difference.mean if row.difference else None,
        p_value=row.p_value,
        verdict=words_of(row),
    )
