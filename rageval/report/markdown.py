"""The summary table and the manifest of a run -> Markdown for a Prefect artifact."""

from collections.abc import Sequence

import pyarrow as pa

from rageval.judging.section import judging_section, trust_sentences
from rageval.judging.table import unfit_metrics
from rageval.pages.markdown import escape, section
from rageval.report.comparison_rows import comparison_rows
from rageval.report.cutoffs import leading_metrics
from rageval.report.empty_searches import empty_searches
from rageval.report.headline import headline
from rageval.report.pivot import cost_rows, metric_rows, retrieval_rows
from rageval.report.spending import spending_rows, total_rows
from rageval.runs.manifest import Manifest
from rageval.tables import JUDGING


def render_markdown(
    summary: pa.Table,
    manifest: Manifest,
    comparisons: pa.Table | None = None,
    judging: pa.Table | None = None,
    retrieval: pa.Table | None = None,
    systems: pa.Table | None = None,
) -> str:
    """Return the run's figures as Markdown: headline, answers, comparisons, retrieval, cost, notes.

    Args:
        summary: Table `tables.SUMMARY`.
        manifest: Of the run.
        comparisons: Table `tables.COMPARISONS`, or None if nothing was compared.
        judging: Table `tables.JUDGING`, or None if nothing was judged.
        retrieval: Table `tables.RETRIEVAL`, or None if nothing was searched for.
        systems: Table `tables.SYSTEMS`, or None if all systems are alike to the reader.
    """
    totals = manifest.totals.model_dump() if manifest.totals else {}
    judging = JUDGING.empty_table() if judging is None else judging
    trust, unfit = judging_section(judging), unfit_metrics(judging)
    verdicts = trust.verdicts
    parts = [
        f"# Run {escape(manifest.run_id)}: {escape(manifest.status)}",
        *(f"**{escape(sentence)}.**" for sentence in manifest.warnings),
        *(escape(sentence) for sentence in headline(summary, comparisons, systems=systems, unfit=unfit)),
        *(escape(sentence) for sentence in (empty_searches(retrieval) if retrieval else ())),
        *(escape(sentence) for sentence in trust_sentences(judging)),
        section("Answers", metric_rows(summary)),
        section("Comparisons", comparison_rows(comparisons, unfit=unfit) if comparisons else []),
        _list("Can the judge be trusted?", [f"{v.judge}, {v.metric}: {v.fitness}. {v.sentence}" for v in verdicts]),
        _list("On the human labels", trust.remarks),
        *(section(part.title, part.rows) for part in trust.parts),
        section("Retrieval", retrieval_rows(summary, leading_metrics(summary, manifest.config.retrieval.top_k))),
        section("Latency, tokens and cost", cost_rows(summary)),
        section("Actual of estimated", spending_rows(manifest)),
        section("Totals", [{"total": name, "value": words} for name, words in total_rows(totals)]),
        _list("Notes", list(manifest.notes)),
        "Cells read: mean [95 % interval, clustered by document] values / questions asked.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _list(title: str, items: Sequence[str]) -> str:
    return f"## {title}\n\n" + "\n".join(f"- {escape(item)}" for item in items) if items else ""
