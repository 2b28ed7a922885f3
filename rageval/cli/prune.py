"""`rageval prune`: old runs out of an output folder; says what would go until it is told to."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from rageval.cli.options import RUN
from rageval.cli.rows import print_rows
from rageval.text.terminal import console, plain

if TYPE_CHECKING:
    from rageval.runs.stored_folders import StoredFolder

_WHAT = "What goes: whatever meets every rule given"


def prune(
    output: Annotated[
        str, typer.Option(help="Folder that holds one folder per run.", metavar="DIR", rich_help_panel=RUN)
    ] = "runs",
    keep: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="All but the newest N of each kind: runs, sweeps, generated questions.",
            metavar="N",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    older_than: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="What was last started or finished more than so many days ago.",
            metavar="DAYS",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    incomplete: Annotated[
        bool, typer.Option("--incomplete", help="What is not complete.", rich_help_panel=_WHAT)
    ] = False,
    cache: Annotated[
        bool,
        typer.Option(
            "--cache",
            help="Also indexes and embeddings that no run that stays has used; they are computed again when wanted.",
            rich_help_panel=RUN,
        ),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Remove it; without this nothing is removed.", rich_help_panel=RUN)
    ] = False,
) -> None:
    """Say which runs would go by the rules given, and remove them with --yes.

    Never removed: a run that is being worked on, an accepted run, a run with batches under way, a folder with a file
    that a run which stays was started with, links, and whatever is not a run, a sweep or generated questions.

    Example:

    rageval prune --keep 30 --older-than 90 --cache
    """
    from rageval.pipeline.prune import Retention, plan_prune
    from rageval.pipeline.prune import prune as remove

    rules = Retention(keep=keep, older_than_days=older_than, incomplete=incomplete, cache=cache)
    plan = plan_prune(output, rules)
    print_rows(f"{output}: what goes", [_row(folder) for folder in plan.going])
    for sentence in plan.kept:
        console.print(plain(sentence), highlight=False, soft_wrap=True)
    what = f"{len(plan.going)} entries, {_megabytes(sum(folder.size for folder in plan.going))}"
    if not yes:
        console.print(f"Dry run: nothing was removed. With --yes: {what}", highlight=False)
        return
    size = removed = 0
    for folder, why in remove(plan):
        if why:
            console.print(plain(f"{folder.name} stays: {why}"), highlight=False, soft_wrap=True)
        else:
            size, removed = size + folder.size, removed + 1
    console.print(f"Removed: {removed} entries, {_megabytes(size)}", highlight=False)


def _row(folder: "StoredFolder") -> dict[str, str]:
    age = datetime.now(UTC) - folder.last_used
    return {
        "name": folder.name,
        "kind": folder.kind,
        "status": folder.status or "-",
        "last used": f"{folder.last_used:%Y-%m-%d %H:%M}",
        "days ago": f"{age.total_seconds() / 86400:.1f}",
        "size": _megabytes(folder.size),
    }


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
