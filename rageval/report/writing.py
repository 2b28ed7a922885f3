"""The run's tables -> `summary`, `comparisons`, `blame`, `judging`, `report.html` and Prefect's Markdown artifact."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from rageval.comparison.abstention import abstention_table
from rageval.comparison.blame import blame_table, ranks_by_text
from rageval.comparison.comparisons import compare_within, comparison_table
from rageval.comparison.conversations import conversation_table
from rageval.comparison.derived import with_derived
from rageval.comparison.measurements import RunTables
from rageval.comparison.repeats import once, repeats_table
from rageval.comparison.summary import summarize
from rageval.config.depth import retrieval_depth
from rageval.judging.label_files import labels_of
from rageval.judging.table import judging_table, unfit_metrics
from rageval.report.markdown import render_markdown
from rageval.report.page import render_page
from rageval.report.report_data import VERDICTS, ReportData
from rageval.report.sentence import leading_values, run_sentence
from rageval.runs.manifest import read_manifest
from rageval.runs.measured_tables import measured_tables
from rageval.runs.repeats import shown
from rageval.runs.run import REPORT, Run
from rageval.tables import JUDGING


@dataclass(frozen=True, kw_only=True)
class Report:
    """Where the page lies, and the summary for people."""

    page: str
    markdown: str


def write_report(run: Run) -> Report:
    """Compute the summary anew and write it and the page; a run that is not complete gets them too.

    Raises:
        DataError: If the run has not got as far as its retrieval, or a table is damaged.
    """
    tables = measured_tables(run)
    tables["scores"] = with_derived(tables["questions"], tables["scores"])
    repeats = repeats_table(tables["answers"], tables["scores"])
    run.write("repeats", repeats)
    answers, scores = once(tables["answers"], tables["scores"])
    manifest = read_manifest(run)
    depth = retrieval_depth(manifest.config.retrieval)
    summary = summarize(
        tables["questions"],
        tables["retrieval"],
        answers,
        scores,
        depth.top_k,
        cutoffs=depth.cutoffs,
        accept_alternates=depth.accept_alternates,
    )
    run.write("summary", summary)
    once_each = tables | {"answers": answers, "scores": scores}
    comparisons = comparison_table(compare_within(RunTables(name=run.run_id, manifest=manifest, **once_each)))
    run.write("comparisons", comparisons)
    abstention = abstention_table(tables["questions"], scores)
    run.write("abstention", abstention)
    conversations = conversation_table(tables["questions"], scores)
    run.write("conversations", conversations)
    answers, scores = shown(tables["answers"], tables["scores"])
    blame = blame_table(
        tables["questions"],
        answers,
        scores,
        accept_alternates=depth.accept_alternates,
        ranks=ranks_by_text(tables["questions"], tables["systems"], tables["retrieval"]),
    )
    run.write("blame", blame)
    labels, remarks = labels_of(run, manifest.config.judge.human_labels)
    run.write("labels", labels)
    judging = judging_table(tables["questions"], answers, scores, labels, manifest.config.judge.minimum_kappa, remarks)
    run.write("judging", judging)
    data = ReportData(
        **tables,
        verdicts=_verdicts(run),
        summary=summary,
        comparisons=comparisons,
        blame=blame,
        labels=labels,
        judging=judging,
        abstention=abstention,
        conversations=conversations,
        repeats=repeats,
        manifest=manifest,
    )
    run.write_text(REPORT, render_page(data))
    return Report(page=str(run.path / REPORT), markdown=render_markdown(data))


def _verdicts(run: Run) -> pa.Table:
    """Return what the verdicts took; of what no judge was asked for there are no rows."""
    names = run.read("scores", ["judge_model"])["judge_model"]
    if names.null_count == len(names):
        return VERDICTS.empty_table()
    rows = run.read("scores", VERDICTS.names)
    return rows.filter(pc.is_valid(rows["judge_model"]))


def sentence(run: Run) -> str:
    """Return in one sentence what came out of a run whose report is written, and where that lies.

    Raises:
        DataError: If the run has no summary, or a table is damaged.
    """
    said = run_sentence(run.read("summary"), read_manifest(run), unfit=_unfit(run))
    return f"{said}; report: {run.folder}/{REPORT}"


def leading(run: Run) -> str:
    """Return the leading values of a run whose report is written: what its name does not say.

    Raises:
        DataError: If the run has no summary, or a table is damaged.
    """
    return leading_values(run.read("summary"), read_manifest(run), unfit=_unfit(run))


def _unfit(run: Run) -> frozenset[str]:
    return unfit_metrics(run.read("judging") if run.has("judging") else JUDGING.empty_table())
