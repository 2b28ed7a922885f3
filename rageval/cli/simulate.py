"""`rageval simulate`: weeks of conversations, votes and verdicts, for demos and tests of what watches over them."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from rageval.cli.options import Documents, GroundTruth, Seed

_TRAFFIC = "Traffic"


def simulate(
    weeks: Annotated[int | None, typer.Option(help="How many.  (default: 4)", rich_help_panel=_TRAFFIC)] = None,
    per_day: Annotated[
        int | None,
        typer.Option(help="Conversations of an average day.  (default: 200)", metavar="N", rich_help_panel=_TRAFFIC),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(
            help="When it ends, UTC.  (default: the last full hour)",
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
            rich_help_panel=_TRAFFIC,
        ),
    ] = None,
    change: Annotated[
        list[str],
        typer.Option(
            help="Something that changes from a day on, such as relevance=-0.2@2026-11-10; repeat it for more. In "
            "points of a share: relevance, quality, faithfulness, toxicity, thumbs, errors, topic. Relative: traffic, "
            "latency, cost, scores.",
            metavar="ASPECT=AMOUNT@DAY",
            rich_help_panel=_TRAFFIC,
        ),
    ] = [],  # noqa: B006
    evaluated: Annotated[
        bool,
        typer.Option(
            "--evaluated", help="Also write verdicts with known rates, so that no judge is needed.",
            rich_help_panel=_TRAFFIC,
        ),
    ] = False,
    seed: Seed = None,
    documents: Documents = None,
    ground_truth: GroundTruth = None,
) -> None:  # fmt: skip
    """Write simulated conversations and votes into the database that MONITORING_DATABASE_URL names.

    Without it, it is the file runs/monitoring.db. The rates are known, see docs/monitoring.md. The same options write
    the same conversations, so calling it again adds nothing but what the time since then brings.
    """
    from rageval.cli.evaluation import print_rows  # noqa: PLC0415 - help must not wait for imports
    from rageval.config.overrides import validate  # noqa: PLC0415
    from rageval.monitoring.simulate import simulate_traffic  # noqa: PLC0415
    from rageval.monitoring.store.database import database_url, open_database  # noqa: PLC0415
    from rageval.monitoring.traffic import TrafficConfig  # noqa: PLC0415
    from rageval.text.terminal import console, plain  # noqa: PLC0415 - help must not wait for imports

    given = {
        "documents": documents, "ground_truth": ground_truth, "weeks": weeks, "per_day": per_day, "seed": seed,
        "changes": change, "evaluated": evaluated,
    }  # fmt: skip
    config = validate(TrafficConfig, {name: value for name, value in given.items() if value is not None})
    end = until.replace(tzinfo=UTC) if until else datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
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
