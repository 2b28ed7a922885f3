"""Options of several commands that compare runs, so that a word means the same in each."""

from typing import Annotated

import typer

COMPARED, OUTPUT = "What is compared", "Output"

Html = Annotated[
    str | None,
    typer.Option(help="Write a page to this file, too; it loads nothing.", metavar="FILE", rich_help_panel=OUTPUT),
]
Markdown = Annotated[
    str | None, typer.Option(help="Write Markdown to this file, too.", metavar="FILE", rich_help_panel=OUTPUT)
]
