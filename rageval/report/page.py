"""All tables and the manifest of a run -> one self-contained HTML page.

Everything that comes from data is escaped by one seam: the environment escapes all output, and every text
passes `printable` on its way. Only the figures of `plots`, which hold no data but numbers, are markup.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml
from jinja2 import Environment
from markupsafe import Markup

from rageval.comparison.abstention import abstention_rows
from rageval.comparison.conversations import conversation_rows
from rageval.comparison.pairwise import pairwise_results
from rageval.comparison.repeats import repeat_rows
from rageval.comparison.retrieval_values import failed_searches, has_relevant
from rageval.comparison.slices import slice_tables
from rageval.config.depth import retrieval_depth
from rageval.config.models import LOCAL
from rageval.judging.section import judging_section, trust_sentences
from rageval.judging.table import unfit_metrics
from rageval.metrics import catalogue
from rageval.metrics.cosine import COSINE
from rageval.metrics.metric import Metric, ScoreMetric
from rageval.metrics.names import metric_of
from rageval.pages import formats, plots, templates
from rageval.report.blame_cases import blame_section
from rageval.report.comparison_rows import comparison_groups
from rageval.report.cutoffs import cutoff_table, metrics_at
from rageval.report.empty_searches import empty_searches
from rageval.report.failures import failures
from rageval.report.headline import headline
from rageval.report.judge_costs import judge_costs
from rageval.report.not_measured import not_measured
from rageval.report.pivot import cell, cost_rows, groups, quality_metrics
from rageval.report.prompt_differences import prompt_differences
from rageval.report.report_data import ReportData
from rageval.report.spending import spending_rows, total_rows
from rageval.report.verdict_labels import label_colours, label_tables
from rageval.report.worst import worst_answers, worst_order
from rageval.runs.manifest import Manifest
from rageval.runs.shortfalls import asked_verdicts

WORST_PER_MODEL = 10
FAILURES_SHOWN = 25
RANKS_SHOWN = 20
"""Ranks that the plots show at most; a right document further down counts there as not found."""
_SHOWN_ELSEWHERE = {"config", "notes", "totals", "estimate", "actual", "warnings"}


def render_page(run: ReportData) -> str:
    """Return the report of a run: HTML that loads nothing, runs nothing and shows all data as text."""
    depth = retrieval_depth(run.manifest.config.retrieval)
    facts = run.manifest.model_dump(mode="json", exclude_none=True)
    unfit = unfit_metrics(run.judging)
    means, (answers, scores) = run.once[1], run.shown
    every = groups(run.summary)
    searches = [group for group in every if group.is_retriever]
    return (
        _environment()
        .get_template("report/page.html.j2")
        .render(
            manifest=run.manifest,
            incomplete=run.manifest.status != "complete",
            local_model=LOCAL in _models(run),
            sentences=[
                *headline(run.summary, run.comparisons, systems=run.systems, unfit=unfit),
                *empty_searches(run.retrieval),
                *trust_sentences(run.judging),
            ],
            judging=judging_section(run.judging),
            comparisons=comparison_groups(run.comparisons, unfit=unfit),
            progress=list(_progress(run)),
            warnings=run.manifest.warnings,
            unread=_unread(run.verdicts),
            totals=[(_heading(name), words) for name, words in total_rows(_totals(run.manifest))],
            not_measured=not_measured(run.questions, run.systems, run.retrieval, run.answers, run.scores),
            abstention=abstention_rows(run.abstention),
            conversations=conversation_rows(run.conversations),
            repeats=repeat_rows(run.repeats),
            found=[group for group in every if not group.is_retriever],
            systems=run.systems.to_pylist(),
            prompts=_prompts(run.systems),
            searches=searches,
            retrieval_metrics=metrics_at(quality_metrics(searches), depth.top_k),
            cutoffs=cutoff_table(run.summary),
            quality_metrics=quality_metrics,
            costs=cost_rows(run.summary),
            judge_costs=judge_costs(run.verdicts),
            spending=spending_rows(run.manifest),
            cosine_plots=_cosine_plots(means),
            labels=label_tables(scores),
            rank_plots=_rank_plots(run.questions, run.retrieval),
            blame=blame_section(run.blame, run.documents, run.questions, run.systems, answers, scores),
            pairwise=pairwise_results(run.questions, answers, scores),
            slices=slice_tables(run.questions, run.documents, run.retrieval, means, depth.top_k),
            failures=failures(run.questions, run.answers, run.scores),
            worst=worst_answers(
                run.documents,
                run.questions,
                answers,
                scores,
                limit=WORST_PER_MODEL,
                labels=run.labels,
                unfit=unfit,
            ),
            worst_order=worst_order(unfit),
            leading=catalogue.headline(ScoreMetric),
            measured=_metrics(run.summary),
            config=yaml.safe_dump(facts["config"], sort_keys=False, allow_unicode=True),
            provenance=_facts({name: value for name, value in facts.items() if name not in _SHOWN_ELSEWHERE}),
        )
    )


def _metrics(summary: pa.Table) -> list[Metric]:
    """Return the metrics of a run."""
    names = dict.fromkeys(metric_of(name) for name in summary["metric"].unique().to_pylist())
    return [metric for name in names if (metric := catalogue.find(name))]


@cache
def _environment() -> Environment:
    environment = templates.environment()
    environment.filters |= {"cell": cell}
    environment.globals |= {"label_colours": label_colours, "failures_shown": FAILURES_SHOWN}
    return environment


def _models(run: ReportData) -> set[str]:
    """Return the names of all models of the run, the judge's too, and `local` if any is the embedded one."""
    names = {*run.systems["model"].drop_null().unique().to_pylist(), *run.scores["judge_model"].unique().to_pylist()}
    configured = (*run.manifest.config.answering_models, *run.manifest.config.judges)
    return names | {LOCAL for model in configured if model.is_local}


def _progress(run: ReportData) -> Iterator[tuple[str, str]]:
    """Yield what was measured, and how much of it is there."""
    asked = len(run.questions) * len(run.systems)
    planned = max(asked * run.manifest.config.run.repeats, len(run.answers))
    yield "answers", formats.share(pc.sum(pc.equal(run.answers["status"], "ok")).as_py() or 0, planned)
    for metric in quality_metrics([group for group in groups(run.summary) if not group.is_retriever]):
        rows = run.summary.filter(pc.equal(run.summary["metric"], metric))
        yield metric, formats.share(pc.sum(rows["n_scored"]).as_py() or 0, max(asked, len(run.once[0])))


def _totals(manifest: Manifest) -> dict[str, Any]:
    """Return the totals with the time of all starts of the run, as far as their stages were timed."""
    totals = manifest.totals.model_dump() if manifest.totals else {}
    timed = [start.seconds for start in manifest.starts if start.seconds]
    return totals | {"working_time_s": sum(sum(stages.values()) for stages in timed)} if timed else totals


def _unread(verdicts: pa.Table) -> str:
    """Return what came of the verdicts where not a single one has a value; nothing if none was asked for."""
    asked = asked_verdicts(verdicts)
    counts = {row["values"]: row["counts"] for row in pc.value_counts(asked["status"]).to_pylist()}
    if not asked.num_rows or counts.get("ok"):
        return ""
    if "failed" not in counts:
        return f"No verdict could be read ({len(asked)} of {len(asked)})."
    unread = f", {formats.count(counts['unscored'])} could not be read" if "unscored" in counts else ""
    return f"There is no verdict: of {len(asked)} requests {formats.count(counts['failed'])} failed{unread}."


def _facts(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested values as flat pairs of name and words."""
    facts: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            facts += _facts(value, f"{prefix}{name}.")
        elif isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
            facts += _facts({str(place): item for place, item in enumerate(value, start=1)}, f"{prefix}{name}.")
        elif isinstance(value, list | tuple):
            facts.append((f"{prefix}{name}", ", ".join(str(item) for item in value)))
        else:
            facts.append((f"{prefix}{name}", formats.fact(str(name), value)))
    return facts


def _heading(name: str) -> str:
    """Return a total's name in words; its unit stands with the value."""
    return name.removesuffix("_usd").removesuffix("_s").replace("_", " ")


def _prompts(systems: pa.Table) -> list[dict[str, Any]]:
    """Return the prompts of the systems, each with its two templates and how it differs from the first one."""
    texts = {row["prompt"]: row for row in systems.to_pylist() if row["prompt"]}
    return prompt_differences({name: (row["prompt_system"], row["prompt_user"]) for name, row in texts.items()})


def _cosine_plots(scores: pa.Table) -> list[tuple[str, int, Markup]]:
    """Return system, number of values and histogram of cosine."""
    known = pc.and_(pc.equal(scores["metric"], COSINE.name), pc.equal(scores["status"], "ok"))
    frame = scores.select(["system", "value"]).filter(known).to_pandas()
    values = {str(system): group["value"].to_numpy() for system, group in frame.groupby("system", sort=False)}
    figures = plots.histograms(list(values.values()))
    return [(system, len(values[system]), figure) for system, figure in zip(values, figures, strict=True)]


def _rank_plots(questions: pa.Table, retrieval: pa.Table) -> list[tuple[str, Mapping[str, int], Markup]]:
    """Return retriever, questions by rank of the first right document, and a bar plot of them."""
    retrieval = retrieval.filter(pa.array(has_relevant(questions, retrieval) & ~failed_searches(retrieval)))
    frame = retrieval.select(["retriever", "first_relevant_rank"]).to_pandas()
    depth = int(frame["first_relevant_rank"].max()) if frame["first_relevant_rank"].notna().any() else 0
    depth = max(depth, int(pc.max(pc.list_value_length(retrieval["document_ids"])).as_py() or 0))
    depth = min(depth, RANKS_SHOWN)
    counts: dict[str, Mapping[str, int]] = {}
    for retriever, group in frame.groupby("retriever", sort=False):
        ranks = group["first_relevant_rank"].to_numpy(dtype=np.float64)
        by_rank = {str(rank): int((ranks == rank).sum()) for rank in range(1, depth + 1)}
        counts[str(retriever)] = by_rank | {"none": int((~(ranks <= depth)).sum())}
    figures = plots.rank_bars(list(counts.values()))
    return [(*pair, figure) for pair, figure in zip(counts.items(), figures, strict=True)]
