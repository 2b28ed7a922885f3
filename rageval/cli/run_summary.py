"""A run's folder -> its store, and what the terminal shows of it at the end."""

from rageval.cli.rows import print_rows
from rageval.comparison.abstention import abstention_rows
from rageval.comparison.blame import blame_counts, blame_rows
from rageval.comparison.conversations import conversation_rows
from rageval.comparison.derived import with_derived
from rageval.comparison.repeats import repeat_rows
from rageval.judging.section import trust_sentences
from rageval.judging.table import unfit_metrics
from rageval.report.comparison_rows import brief_comparison_rows
from rageval.report.cutoffs import leading_metrics
from rageval.report.empty_searches import empty_searches
from rageval.report.not_measured import not_measured
from rageval.report.pivot import metric_rows, retrieval_rows
from rageval.report.spending import spending_rows
from rageval.runs.manifest import read_manifest
from rageval.runs.measured_tables import measured_tables
from rageval.runs.run import Run
from rageval.tables import JUDGING
from rageval.text.terminal import console, plain


def show_run(run: Run) -> None:
    """Print the summary of a run, if it has one, and where its files lie."""
    if not run.has("summary"):
        return
    summary, manifest = run.read("summary"), read_manifest(run)
    print_rows("Retrieval", retrieval_rows(summary, leading_metrics(summary, manifest.config.retrieval.top_k)))
    print_rows("Answers", metric_rows(summary))
    console.print("Every cell: mean [95 % interval] scored/asked", style="dim", highlight=False)
    judging = run.read("judging") if run.has("judging") else JUDGING.empty_table()
    for sentence in [*empty_searches(run.read("retrieval")), *trust_sentences(judging)]:
        console.print(plain(sentence), highlight=False, soft_wrap=True)
    _show_not_measured(run)
    if run.has("abstention"):
        print_rows("Questions that can and cannot be answered", abstention_rows(run.read("abstention")))
    if run.has("conversations"):
        print_rows("Conversations", conversation_rows(run.read("conversations")))
    if run.has("repeats"):
        print_rows("Repeats: does a system say the same each time?", repeat_rows(run.read("repeats")))
    unfit = unfit_metrics(judging)
    if run.has("comparisons") and (rows := brief_comparison_rows(run.read("comparisons"), unfit=unfit)):
        print_rows("Comparisons, question by question", rows)
    if run.has("blame") and (blame := run.read("blame")).num_rows:
        rows = blame_rows(blame_counts(blame, run.mapped("questions")))
        print_rows("Blame: the right document shown or not x the answer right, wrong, refused", rows)
    if spending := spending_rows(manifest):
        print_rows("Actual of estimated", spending)
    for sentence in manifest.warnings:
        console.print(f"[bold]{plain(sentence)}.[/bold]", highlight=False, soft_wrap=True)
    for name, value in (
        ("Run", f"{run.run_id} is {manifest.status}"),
        ("Tables", f"{run.folder}/*.parquet"),
        ("Report", f"{run.folder}/report.html"),
    ):
        console.print(f"{name:<8} {plain(value)}", highlight=False, soft_wrap=True)


def _show_not_measured(run: Run) -> None:
    tables = measured_tables(run)
    questions, scores = tables["questions"], with_derived(tables["questions"], tables["scores"])
    for sentence in not_measured(questions, tables["systems"], tables["retrieval"], tables["answers"], scores):
        console.print(plain(sentence), highlight=False, soft_wrap=True)
