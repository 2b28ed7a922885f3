"""Rows of words -> a table in the terminal."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from rageval.text.terminal import console, plain


def print_rows(title: str, rows: Sequence[Mapping[str, str]]) -> None:
    """Print rows of words as a table whose columns bear the keys of the first row, or nothing if there are none."""
    if not rows:
        return
    table = Table(title=title, title_justify="left")
    for number, heading in enumerate(rows[0]):
        table.add_column(plain(heading), overflow="fold", justify="left" if number == 0 else "right")
    for row in rows:
        table.add_row(*(plain(value) for value in row.values()))
    console.print(table)
