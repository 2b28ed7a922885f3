"""`rageval compare`, `gate` and `history`: what several runs say together."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rageval.comparison.pairing import Choice

_WHAT, _OUT = "What is compared", "Output"

Metrics = Annotated[
    list[str],
    typer.Option(
        "--metric",
        help="Metric to look at; repeat it for several. `ndcg` means `ndcg@k` at the smaller top_k of the runs.",
        metavar="NAME",
        rich_help_panel=_WHAT,
    ),
]
Html = Annotated[
    str | None,
    typer.Option(help="Write a page to this file, too; it loads nothing.", metavar="FILE", rich_help_panel=_OUT),
]
Markdown = Annotated[
    str | None, typer.Option(help="Write Markdown to this file, too.", metavar="FILE", rich_help_panel=_OUT)
]


def _named(side: str, what: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        help=f"{what} of {side}, where the runs name theirs differently.", metavar="NAME", rich_help_panel=_WHAT
    )
    return option


def compare(
    run_a: Annotated[str, typer.Argument(help="Folder or URL of the baseline.", metavar="RUN_A")],
    run_b: Annotated[str, typer.Argument(help="Folder or URL of the candidate.", metavar="RUN_B")],
    metric: Metrics = [],  # noqa: B006
    baseline_system: Annotated[str | None, _named("baseline", "System")] = None,
    candidate_system: Annotated[str | None, _named("candidate", "System")] = None,
    baseline_retriever: Annotated[str | None, _named("baseline", "Retriever")] = None,
    candidate_retriever: Annotated[str | None, _named("candidate", "Retriever")] = None,
    common: Annotated[
        bool,
        typer.Option(
            "--common",
            help="Compare the questions that both runs have, though one has others, too.",
            rich_help_panel=_WHAT,
        ),
    ] = False,
    relevant: Annotated[
        float,
        typer.Option(min=0.0001, help="A difference that would matter, in the metric's unit.", rich_help_panel=_WHAT),
    ] = 0.05,
    html: Html = None,
    markdown: Markdown = None,
) -> None:
    """Compare a candidate with its baseline: better, worse, no difference seen, or too few questions.

    Every difference is candidate - baseline, question by question.

    Systems and retrievers of the same name are compared; where each run has a
    single one, those are, whatever their names.

    What was measured otherwise (other documents, judge, embedding model or
    version of a metric) is refused with its reason. Where nothing is left, or the
    runs asked other questions, the exit status is 2.
    """
    from rageval.cli.evaluation import existing_run, print_rows  # noqa: PLC0415 - help must not wait for imports
    from rageval.comparison import folders as stage  # noqa: PLC0415
    from rageval.comparison import sentences as words  # noqa: PLC0415
    from rageval.runs.folders import write_page  # noqa: PLC0415
    from rageval.text.terminal import console, plain  # noqa: PLC0415 - help must not wait for imports

    choice = _choice(metric, baseline_system, candidate_system, baseline_retriever, candidate_retriever)
    found = stage.compare(existing_run(run_a), existing_run(run_b), choice, common=common, relevant=relevant)
    console.print(f"A, the baseline:  {plain(found.a.name)}\nB, the candidate: {plain(found.b.name)}", highlight=False)
    for warning in found.warnings:
        console.print(f"Note: {plain(warning)}.", style="yellow", highlight=False)
    print_rows(f"B - A over {found.questions:,} questions", words.brief_rows(found))
    print_rows("Not compared", words.refused_rows(found))
    print_rows("Cost, latency and length", words.beside_rows(found))
    console.print(words.READING, style="dim", highlight=False)
    for sentence in words.sentences(found):
        console.print(plain(sentence), highlight=False)
    if markdown:
        from rageval.comparison.markdown import render_comparison  # noqa: PLC0415

        write_page(str(markdown), render_comparison(found))
    if html:
        from rageval.comparison.page import render_compare_page  # noqa: PLC0415

        write_page(str(html), render_compare_page(found))
        console.print(f"Page: {plain(str(html))}", highlight=False, soft_wrap=True)


def gate(
    run: Annotated[str, typer.Argument(help="Folder or URL of the candidate.", metavar="RUN")],
    baseline: Annotated[
        str,
        typer.Option(help="Folder or URL of the run to measure it against.", metavar="RUN", rich_help_panel=_WHAT),
    ],
    metric: Annotated[
        list[str],
        typer.Option(
            help="Metric that must not get worse; repeat it for several.  (default: judge_with_reference)",
            metavar="NAME",
            rich_help_panel=_WHAT,
        ),
    ] = [],  # noqa: B006
    max_drop: Annotated[
        float,
        typer.Option(help="The largest drop of a mean that may pass, in the metric's unit.", rich_help_panel=_WHAT),
    ] = 0.02,
    system: Annotated[
        str | None,
        typer.Option(help="System of the candidate.  (default: every system that both have)", rich_help_panel=_WHAT),
    ] = None,
    retriever: Annotated[
        str | None,
        typer.Option(help="Retriever of the candidate.  (default: every one both have)", rich_help_panel=_WHAT),
    ] = None,
    baseline_system: Annotated[
        str | None,
        typer.Option(help="System of the baseline.  (default: that of the candidate)", rich_help_panel=_WHAT),
    ] = None,
    baseline_retriever: Annotated[
        str | None,
        typer.Option(help="Retriever of the baseline.  (default: that of the candidate)", rich_help_panel=_WHAT),
    ] = None,
    allow_underpowered: Annotated[
        bool,
        typer.Option(
            "--allow-underpowered",
            help="Pass, too, where a drop of --max-drop could not have been seen with so few questions.",
            rich_help_panel=_WHAT,
        ),
    ] = False,
    markdown: Markdown = None,
) -> None:
    """Fail, with exit status 1, if a run got worse than its baseline beyond the noise.

    A metric got worse if its mean dropped by more than --max-drop AND the interval
    of the paired difference, at 95 % for all metrics of the gate together,
    excludes no drop. Where less is better, a rise is the drop.

    A gate also fails, and says why, if a run is not complete, a metric is missing,
    not comparable or has an unfit judge, the candidate lacks clearly more values
    than the baseline, or the questions are too few to see a drop of --max-drop.
    """
    from rageval.cli.evaluation import existing_run, print_rows  # noqa: PLC0415
    from rageval.comparison import gate as stage  # noqa: PLC0415
    from rageval.comparison import sentences as words  # noqa: PLC0415
    from rageval.runs.folders import write_page  # noqa: PLC0415
    from rageval.text.terminal import console, plain  # noqa: PLC0415

    choice = _choice(metric, baseline_system, system, baseline_retriever, retriever)
    found = stage.gate(
        existing_run(run),
        existing_run(baseline),
        choice,
        max_drop=max_drop,
        allow_underpowered=allow_underpowered,
    )
    print_rows(f"{found.b} against {found.a}", words.gate_rows(found))
    if found.rows:
        console.print(words.gate_reading(found), style="dim", highlight=False)
    if markdown:
        from rageval.comparison.markdown import render_gate  # noqa: PLC0415

        write_page(str(markdown), render_gate(found))
    for reason in found.reasons[1:]:
        console.print(f"- {plain(reason)}", highlight=False)
    console.print(plain(words.gate_sentence(found)), style="green" if found.passed else "red", highlight=False)
    if not found.passed:
        raise typer.Exit(1)


def history(
    folder: Annotated[
        str, typer.Argument(help="Folder, or URL such as s3://bucket/runs, that holds one folder per run.")
    ] = "runs",
    metric: Annotated[
        list[str],
        typer.Option(
            help="Metric to show; repeat it for several.  (default: judge_with_reference, cosine, hit_rate)",
            metavar="NAME",
            rich_help_panel=_WHAT,
        ),
    ] = [],  # noqa: B006
    html: Html = None,
    parquet: Annotated[
        str | None,
        typer.Option(help="Write all metrics of all runs to this table, too.", metavar="FILE", rich_help_panel=_OUT),
    ] = None,
) -> None:
    """Show how each metric went over all runs of a folder, the oldest first.

    Where questions, documents, judge, embedding model or the version of a metric
    changed, its trend is interrupted: before and after cannot be compared.
    Folders that hold no readable run are named and left out.
    """
    from rageval.cli.evaluation import print_rows  # noqa: PLC0415
    from rageval.comparison import history as stage  # noqa: PLC0415
    from rageval.comparison import history_rows as words  # noqa: PLC0415
    from rageval.runs.folders import write_page, write_table  # noqa: PLC0415
    from rageval.text.terminal import console, plain  # noqa: PLC0415

    found = stage.history(str(folder), tuple(metric))
    for trend in found.trends:
        print_rows(words.title(trend), words.trend_rows(trend))
    for note in found.notes:
        console.print(f"Note: {plain(note)}.", style="yellow", highlight=False)
    console.print(words.READING, style="dim", highlight=False)
    if parquet:
        write_table(str(parquet), found.table)
    if html:
        from rageval.comparison.history_page import render_history_page  # noqa: PLC0415

        write_page(str(html), render_history_page(found))
        console.print(f"Page: {plain(str(html))}", highlight=False, soft_wrap=True)


def _choice(
    metrics: list[str],
    baseline_system: str | None,
    candidate_system: str | None,
    baseline_retriever: str | None,
    candidate_retriever: str | None,
) -> "Choice":
    from rageval.comparison.pairing import Choice  # noqa: PLC0415

    return Choice(
        metrics=tuple(metrics),
        baseline_system=baseline_system,
        candidate_system=candidate_system,
        baseline_retriever=baseline_retriever,
        candidate_retriever=candidate_retriever,
    )
