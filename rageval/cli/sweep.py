"""`rageval sweep`: which way to search is best."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rageval.cli.options import Debug, Documents, GroundTruth

if TYPE_CHECKING:
    from rageval.sweep.config import SweepConfig

_DATA, _GRID, _SWEEP = "Data", "Settings that are compared", "Sweep"


def sweep(
    config: Annotated[
        Path | None,
        typer.Argument(help="YAML file of settings; see examples/configs/sweep.yaml.", metavar="[CONFIG.yaml]"),
    ] = None,
    documents: Documents = None,
    ground_truth: GroundTruth = None,
    course: Annotated[
        str | None, typer.Option(help="Search for the questions of this course only.", rich_help_panel=_DATA)
    ] = None,
    sample: Annotated[
        int | None, typer.Option(help="Search for only so many questions.", rich_help_panel=_DATA)
    ] = None,
    search: Annotated[
        list[str],
        typer.Option(
            help="text, vector or hybrid; repeat it. The first one is the default.",
            metavar="METHOD",
            rich_help_panel=_GRID,
        ),
    ] = [],  # noqa: B006
    metric: Annotated[
        str | None,
        typer.Option(help="The metric that decides.  (default: mrr@5)", metavar="NAME@K", rich_help_panel=_GRID),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            help="Folder that holds one folder per sweep.  (default: runs)", metavar="DIR", rich_help_panel=_SWEEP
        ),
    ] = None,
    run_id: Annotated[
        str | None,
        typer.Option(
            help="Name of the sweep; the name of an earlier one takes over its searches.", rich_help_panel=_SWEEP
        ),
    ] = None,
    set_: Annotated[
        list[str],
        typer.Option(
            "--set",
            help="Any other setting, such as --set grid.question_boosts=[1,3].",
            metavar="KEY.PATH=VALUE",
            rich_help_panel=_SWEEP,
        ),
    ] = [],  # noqa: B006
    debug: Debug = False,
) -> None:
    """Compare search methods, boosts, embedding models, vector indexes and depths; no model is asked for an answer.

    The best setting is chosen on one part of the questions and reported on the other; no document has questions in
    both. Every search is made once and stored, so a sweep that is started again, or with a larger grid, searches only
    for what is missing.
    """
    from rageval.config.file import read_settings  # noqa: PLC0415 - help must not wait for imports
    from rageval.config.overrides import put, put_text, validate  # noqa: PLC0415
    from rageval.sweep.config import SweepConfig  # noqa: PLC0415

    settings = read_settings(config) if config else {}
    given = {
        "data.documents": documents, "data.ground_truth": ground_truth, "data.course": course, "data.sample": sample,
        "grid.methods": search or None, "tuning.metric": metric, "run.output": output, "run.run_id": run_id,
    }  # fmt: skip
    for path, value in given.items():
        if value is not None:
            put(settings, path, value)
    for assignment in set_:
        put_text(settings, assignment)
    run_sweep(validate(SweepConfig, settings), debug=debug)


def run_sweep(config: "SweepConfig", *, debug: bool) -> None:
    """Run the sweep in this process and show what came out.

    Raises:
        RunStoppedError: If it was interrupted; the searches that were finished are stored.
        RagevalError: Whatever else ended it.
    """
    from rageval.cli.evaluation import prefect_running, print_rows  # noqa: PLC0415
    from rageval.corpus.files import load_ahead  # noqa: PLC0415
    from rageval.errors import RunStoppedError  # noqa: PLC0415
    from rageval.sweep.sweep import open_sweep  # noqa: PLC0415
    from rageval.text.terminal import console, plain  # noqa: PLC0415

    load_ahead(config.data)
    store = open_sweep(config)
    config = config.model_copy(update={"run": config.run.model_copy(update={"run_id": store.run.run_id})})
    with prefect_running(store.run.folder, debug=debug):
        from flows.sweep import sweep as flow  # noqa: PLC0415 - imports Prefect, which takes seconds

        try:
            end = flow(config)
        except KeyboardInterrupt:
            raise RunStoppedError(
                f"the sweep was interrupted. The searches that were finished are stored; go on with --run-id "
                f"{store.run.run_id}"
            ) from None
    print_rows(f"Settings by {config.tuning.metric}", end.words.rows)
    console.print("Every cell: mean [95 % interval], clustered by document", style="dim", highlight=False)
    for sentence in end.words.sentences:
        console.print(plain(sentence), highlight=False)
    for name, file in (("Tables", "sweep*.parquet"), ("Page", "sweep.html")):
        console.print(f"{name:<8} {plain(store.folder)}/{file}", highlight=False, soft_wrap=True)
