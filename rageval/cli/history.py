"""`rageval history`: the runs of a folder -> how each metric went over them."""

from typing import Annotated

import typer

from rageval.cli.comparison_options import COMPARED, OUTPUT, Html
from rageval.cli.rows import print_rows
from rageval.metrics import catalogue
from rageval.text.terminal import console, plain


def history(
    folder: Annotated[
        str, typer.Argument(help="Folder, or URL such as s3://bucket/runs, that holds one folder per run.")
    ] = "runs",
    metric: Annotated[
        list[str],
        typer.Option(
            help=f"Metric to show; repeat the option for several.  (default: {', '.join(catalogue.headline())})",
            metavar="NAME",
            rich_help_panel=COMPARED,
        ),
    ] = [],  # noqa: B006
    html: Html = None,
    parquet: Annotated[
        str | None,
        typer.Option(help="Write all metrics of all runs to this table, too.", metavar="FILE", rich_help_panel=OUTPUT),
    ] = None,
) -> None:
    """Show how each metric went over all runs of a folder, the oldest first.

    Where questions, documents, judge, embedding model or the version of a metric
    changed, its trend is interrupted: before and after cannot be compared.
    Folders that hold no readable run are named and left out.

    Example:

    rageval history runs --metric cosine --html history.html
    """
    from rageval.comparison import history as stage
    from rageval.comparison import history_rows as words
    from rageval.runs.folders import write_page, write_table

    found = stage.history(folder, tuple(metric))
    for trend in found.trends:
        print_rows(words.title(trend), words.trend_rows(trend))
    for note in found.notes:
        console.print(f"Note: {plain(note)}.", style="yellow", highlight=False)
    console.print(words.READING, style="dim", highlight=False)
    if parquet:
        write_table(parquet, found.table)
    if html:
        from rageval.comparison.history_page import render_history_page

        write_page(html, render_history_page(found))
        console.print(f"Page: {plain(html)}", highlight=False, soft_wrap=True)
