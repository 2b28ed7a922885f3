"""Settings of a sweep -> the sweep, with how it goes and what came out in the terminal."""

from rageval.cli.rows import print_rows
from rageval.cli.running import prefect_running
from rageval.corpus.files import load_ahead
from rageval.errors import RunStoppedError
from rageval.sweep.config import SweepConfig
from rageval.sweep.sweep import open_sweep
from rageval.text.terminal import console, plain


def run_sweep(config: SweepConfig, *, debug: bool) -> None:
    """Run the sweep in this process and show what came out.

    Raises:
        RunStoppedError: If it was interrupted; the searches that were finished are stored.
        RagevalError: Whatever else ended it.
    """
    load_ahead(config.data)
    store = open_sweep(config)
    config = config.model_copy(update={"run": config.run.model_copy(update={"run_id": store.run.run_id})})
    with prefect_running(store.run.folder, debug=debug):
        from flows.sweep import sweep as flow

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
