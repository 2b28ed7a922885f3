"""What a run would take -> the table that a dry run shows."""

from collections.abc import Sequence

from rich.table import Table

from rageval.pipeline.estimate import Estimate
from rageval.text.terminal import console, plain


def show_estimates(rows: Sequence[Estimate]) -> None:
    """Print calls, tokens, dollars and minutes of each row, and their sums."""
    table = Table(title="Dry run: nothing was sent", title_justify="left", padding=0)
    table.add_column("model", overflow="fold")
    table.add_column("role", no_wrap=True)
    for heading in ("calls", "prompt\ntokens", "completion\ntokens", "live", "flex", "batch", "minutes"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(plain(row.model), row.role, *_estimated([row]))
    table.add_section()
    table.add_row("total", "", *_estimated(rows))
    console.print(table)
    console.print(
        "US dollars live, by flex processing, and by the Batch API. Minutes under the limits, a model's roles one "
        "after the other, models side by side.\nEstimated from text lengths, 200 tokens an answer, 80 a verdict, 2 s a "
        "call; retries come on top.",
        highlight=False,
    )


def _estimated(rows: Sequence[Estimate]) -> list[str]:
    """Return the sums of the rows in words; of dollars, unknown if any is."""
    dollars = [[row.live_usd for row in rows], [row.flex_usd for row in rows], [row.batch_usd for row in rows]]
    minutes: dict[str, float] = {}
    for row in rows:
        minutes[row.model] = minutes.get(row.model, 0.0) + row.minutes
    return [
        f"{sum(row.calls for row in rows):,}",
        f"{sum(row.prompt_tokens for row in rows):,}",
        f"{sum(row.completion_tokens for row in rows):,}",
        *("unknown" if None in prices else f"{sum(price or 0.0 for price in prices):,.4f}" for prices in dollars),
        f"{max(minutes.values(), default=0.0):.1f}",
    ]
