"""`rageval simulate`: weeks of conversations, votes and verdicts, for demos and tests of what watches over them."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from rageval.cli.options import DATA, Given, offers
from rageval.cli.rows import print_rows
from rageval.config.overrides import validate
from rageval.monitoring.traffic import TrafficConfig
from rageval.text.terminal import console, plain

_TRAFFIC = "Traffic"
SETTINGS = {
    _TRAFFIC: {
        "--weeks N": "weeks",
        "--per-day N": "per_day",
        "--change ASPECT=AMOUNT@DAY": "changes",
        "--evaluated": "evaluated",
        "--seed N": "seed",
    },
    DATA: {
        "--documents PATH|URL": "documents",
        "--ground-truth PATH|URL": "ground_truth",
        "--filter-by COLUMN": "filter_by",
    },
}


@offers(TrafficConfig, SETTINGS)
def simulate(
    given: Given,
    until: Annotated[
        datetime | None,
        typer.Option(
            help="When it ends, UTC.  (default: the last full hour)",
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
            rich_help_panel=_TRAFFIC,
        ),
    ] = None,
) -> None:
    """Write simulated conversations and votes into the database that MONITORING_DATABASE_URL names.

    Without it, it is the file runs/monitoring.db. The rates are known, see docs/monitoring.md. The same options write
    the same conversations, so calling it again adds nothing but what the time since then brings.

    What can change from a day on, in points of a share: relevance, quality, faithfulness, toxicity, thumbs, errors,
    topic. Relative: traffic, latency, cost, scores.

    Example:

    rageval simulate --weeks 4 --evaluated --change relevance=-0.2@2026-11-10
    """
    config = validate(TrafficConfig, given)
    end = until.replace(tzinfo=UTC) if until else datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    from rageval.monitoring.simulate import simulate_traffic
    from rageval.monitoring.store.database import database_url, open_database

    store = open_database(database_url())
    with console.status("Simulating ...") as status:
        made = simulate_traffic(store, config, end, lambda n: status.update(f"Simulating: {n:,} conversations"))
    rows = {
        "conversations": (made.conversations, made.new_conversations),
        "votes": (made.votes, made.new_votes),
        "verdicts": (made.evaluations, made.new_evaluations),
    }
    print_rows(
        f"{config.weeks} weeks until {end:%Y-%m-%d %H:%M} UTC",
        [{"": name, "simulated": f"{total:,}", "new": f"{new:,}"} for name, (total, new) in rows.items()],
    )
    for planted in config.changes:
        console.print(f"Planted: {planted}", highlight=False)
    console.print(f"Stored in {plain(store.name)}", highlight=False, soft_wrap=True)
