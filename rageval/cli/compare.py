"""`rageval compare`: two runs -> how they differ, question by question."""

from typing import Annotated

import typer

from rageval.cli.comparison_options import COMPARED, Html, Markdown
from rageval.cli.rows import print_rows
from rageval.text.terminal import console, plain


def _named(side: str, what: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        help=f"{what} of the {side}, where the runs name theirs differently.", metavar="NAME", rich_help_panel=COMPARED
    )
    return option


def compare(
    baseline: Annotated[str, typer.Argument(help="Folder or URL of the baseline.", metavar="BASELINE")],
    candidate: Annotated[str, typer.Argument(help="Folder or URL of the candidate.", metavar="CANDIDATE")],
    metric: Annotated[
        list[str],
        typer.Option(
            help="Metric to look at; repeat the option for several. `ndcg` means `ndcg@k` at the smaller top_k of the "
            "runs.",
            metavar="NAME",
            rich_help_panel=COMPARED,
        ),
    ] = [],  # noqa: B006
    baseline_system: Annotated[str | None, _named("baseline", "System")] = None,
    candidate_system: Annotated[str | None, _named("candidate", "System")] = None,
    baseline_retriever: Annotated[str | None, _named("baseline", "Retriever")] = None,
    candidate_retriever: Annotated[str | None, _named("candidate", "Retriever")] = None,
    common: Annotated[
        bool,
        typer.Option(
            "--common",
            help="Compare the questions that both runs have, though one has others, too.",
            rich_help_panel=COMPARED,
        ),
    ] = False,
    relevant: Annotated[
        float,
        typer.Option(
            min=0.0001, help="A difference that would matter, in the metric's unit.", rich_help_panel=COMPARED
        ),
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

    Example:

    rageval compare runs/before runs/after --metric cosine --html compare.html
    """
    from rageval.cli.stored_run import existing_run

    a, b = existing_run(baseline), existing_run(candidate)
    from rageval.comparison import folders as stage
    from rageval.comparison import sentences as words
    from rageval.comparison.pairing import Choice
    from rageval.runs.folders import write_page

    choice = Choice(
        metrics=tuple(metric),
        baseline_system=baseline_system,
        candidate_system=candidate_system,
        baseline_retriever=baseline_retriever,
        candidate_retriever=candidate_retriever,
    )
    found = stage.compare(a, b, choice, common=common, relevant=relevant)
    console.print(f"baseline:  {plain(found.a.name)}\ncandidate: {plain(found.b.name)}", highlight=False)
    for warning in found.warnings:
        console.print(f"Note: {plain(warning)}.", style="yellow", highlight=False)
    print_rows(f"candidate - baseline over {found.questions:,} questions", words.brief_rows(found))
    print_rows("Not compared", words.refused_rows(found))
    print_rows("Cost, latency and length", words.beside_rows(found))
    console.print(words.READING, style="dim", highlight=False)
    for sentence in words.sentences(found):
        console.print(plain(sentence), highlight=False)
    if markdown:
        from rageval.comparison.markdown import render_comparison

        write_page(markdown, render_comparison(found))
    if html:
        from rageval.comparison.page import render_compare_page

        write_page(html, render_compare_page(found))
        console.print(f"Page: {plain(html)}", highlight=False, soft_wrap=True)
