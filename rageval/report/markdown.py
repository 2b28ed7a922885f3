"""All tables and the manifest of a run -> Markdown for a Prefect artifact."""

from collections.abc import Sequence

from rageval.comparison.abstention import abstention_rows
from rageval.comparison.conversations import conversation_rows
from rageval.comparison.repeats import repeat_rows
from rageval.judging.section import judging_section, trust_sentences
from rageval.judging.table import unfit_metrics
from rageval.pages.markdown import escape, section
from rageval.report.comparison_rows import comparison_rows
from rageval.report.cutoffs import leading_metrics
from rageval.report.empty_searches import empty_searches
from rageval.report.headline import headline
from rageval.report.not_measured import not_measured
from rageval.report.pivot import cost_rows, metric_rows, retrieval_rows
from rageval.report.report_data import ReportData
from rageval.report.spending import spending_rows, total_rows


def render_markdown(run: ReportData) -> str:
    """Return the run's values as Markdown: headline, answers, comparisons, retrieval, cost, notes."""
    manifest, summary = run.manifest, run.summary
    totals = manifest.totals.model_dump() if manifest.totals else {}
    trust, unfit = judging_section(run.judging), unfit_metrics(run.judging)
    verdicts = trust.verdicts
    missing = not_measured(run.questions, run.systems, run.retrieval, run.answers, run.scores)
    parts = [
        f"# Run {escape(manifest.run_id)}: {escape(manifest.status)}",
        *(f"**{escape(sentence)}.**" for sentence in manifest.warnings),
        *(escape(sentence) for sentence in headline(summary, run.comparisons, systems=run.systems, unfit=unfit)),
        *(escape(sentence) for sentence in empty_searches(run.retrieval)),
        *(escape(sentence) for sentence in trust_sentences(run.judging)),
        section("Answers", metric_rows(summary)),
        _list("Not measured", missing),
        section("Questions that can and cannot be answered", abstention_rows(run.abstention)),
        section("Conversations", conversation_rows(run.conversations)),
        section("Repeats", repeat_rows(run.repeats)),
        section("Comparisons", comparison_rows(run.comparisons, unfit=unfit)),
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
