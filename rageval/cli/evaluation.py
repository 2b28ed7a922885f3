"""What the terminal shows: progress while a flow runs, tables at its end, and how to go on after a stop."""

import logging
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from rich.table import Table

from flows.folders import check_folders
from flows.starting import start_prefect, tagged
from rageval.cli.progress import display
from rageval.comparison.blame import blame_counts, blame_rows
from rageval.config.evaluation import EvaluationConfig
from rageval.corpus.files import load_ahead, load_documents
from rageval.engine.served_models import check_cache
from rageval.errors import ConfigError, DataError, RunStoppedError
from rageval.judging.section import trust_sentences
from rageval.judging.table import unfit_metrics
from rageval.pipeline.warm_up import warm_up
from rageval.report.comparison_rows import brief_comparison_rows
from rageval.report.cutoffs import leading_metrics
from rageval.report.empty_searches import empty_searches
from rageval.report.pivot import metric_rows, retrieval_rows
from rageval.report.spending import spending_rows
from rageval.runs.folders import open_run
from rageval.runs.store import RunStore
from rageval.safety.urls import REFUSAL, holds_secret
from rageval.storage.places import first_look, place
from rageval.systems.kinds import make_systems
from rageval.tables import JUDGING
from rageval.telemetry.logs import json_lines, wants_json
from rageval.telemetry.tracing import about
from rageval.text.terminal import console, plain, print_line

if TYPE_CHECKING:
    from rageval.pipeline.estimate import Estimate

_OURS = {"tasks", "flows"}


def run_evaluation(config: EvaluationConfig, *, debug: bool) -> None:
    """Run the evaluation flow in this process and show how it goes and what came out.

    Raises:
        RagevalError: Whatever ended the run; everything finished is saved. If the run can be resumed, the command
            that does it has been printed.
    """
    run = open_run(config.run)
    check_cache((*config.answering_models, *config.judges))
    make_systems(config)
    questions = [question.question for question in load_ahead(config.data).questions]
    warming = partial(warm_up, run, config, questions)
    config = config.model_copy(update={"run": config.run.model_copy(update={"run_id": run.run_id})})
    with about(run_id=run.run_id), prefect_running(run.folder, debug=debug, meanwhile=warming), stop_on_ctrl_c(run):
        from flows.evaluate import evaluate  # noqa: PLC0415 - imports Prefect, which takes seconds

        try:
            evaluate(config)
        except RunStoppedError:
            show_run(run)
            console.print(f"Go on with:\n  {plain(_resume_command(run))}", highlight=False, soft_wrap=True)
            raise
    show_run(run)


def _resume_command(run: RunStore) -> str:
    """Return this process's command, with the id that resumes the run."""
    words = ["rageval", *(["evaluate"] if "evaluate" not in sys.argv[1:2] else []), *sys.argv[1:]]
    return shlex.join(words if "--run-id" in words else [*words, "--run-id", run.run_id])


def run_indexing(config: EvaluationConfig, *, rebuild: bool, debug: bool) -> None:
    """Run the indexing flow in this process.

    Raises:
        RagevalError: Whatever ended it; what is wrong with the documents is told before Prefect starts.
    """
    load_documents(config.data.documents)
    with prefect_running(config.run.output, debug=debug):
        from flows.index_documents import index_documents  # noqa: PLC0415

        report = index_documents(config, rebuild)
    console.print(f"Index {report.name}: {report.documents} documents, {report.embedded} embedded now.")
    if report.warning:
        console.print(f"{plain(report.warning)}.", highlight=False, soft_wrap=True)


def rebuild_report(folder: str, human_labels: str | None = None) -> None:
    """Write summary and page of a run again, and show the summary.

    Args:
        folder: The run's folder, or its URL.
        human_labels: Path or URL of labels that replace the run's; None keeps those.

    Raises:
        DataError: If the folder holds no run, or the labels do not fit it.
        ConfigError: If the URL of the labels holds a secret, or a variable of it is not set.
    """
    from rageval.judging.label_files import give_labels  # noqa: PLC0415
    from rageval.report.writing import write_report  # noqa: PLC0415

    run = existing_run(folder)
    if human_labels and holds_secret(human_labels):
        raise ConfigError(f"--human-labels: {REFUSAL}")
    for note in give_labels(run, human_labels) if human_labels else ():
        console.print(plain(note), highlight=False, soft_wrap=True)
    write_report(run)
    show_run(run)
    if reason := run.read_json("run.json").get("reason"):
        console.print(f"{'':<8} {plain(reason)}", highlight=False, soft_wrap=True)


def existing_run(folder: str) -> RunStore:
    """Return the store of a run that is there, by its folder or URL.

    Raises:
        DataError: If the folder holds no run.
        ConfigError: If it is on an object store that cannot be used.
    """
    run = RunStore(str(place(folder)))
    with first_look():
        manifest = run.read_json("run.json")
    if not manifest:
        raise DataError(f"{folder} holds no run (no run.json); give the folder of one, such as runs/demo")
    return run


def show_estimate(config: EvaluationConfig) -> None:
    """Print calls, tokens, dollars and minutes of a run; nothing is sent."""
    from rageval.pipeline.estimate import estimate_run  # noqa: PLC0415

    show_estimates(estimate_run(config))


def show_estimates(rows: "Sequence[Estimate]") -> None:
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


def _estimated(rows: "Sequence[Estimate]") -> list[str]:
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


def show_run(run: RunStore) -> None:
    """Print the summary of a run, if it has one, and where its files lie."""
    if not run.has("summary"):
        return
    summary, manifest = run.read("summary"), run.read_json("run.json")
    console.print(_table("Retrieval", retrieval_rows(summary, leading_metrics(summary, manifest))))
    console.print(_table("Answers", metric_rows(summary)))
    console.print("Every cell: mean [95 % interval] scored/asked", style="dim", highlight=False)
    judging = run.read("judging") if run.has("judging") else JUDGING.empty_table()
    for sentence in [*empty_searches(run.read("retrieval")), *trust_sentences(judging)]:
        console.print(plain(sentence), highlight=False, soft_wrap=True)
    unfit = unfit_metrics(judging)
    if run.has("comparisons") and (rows := brief_comparison_rows(run.read("comparisons"), unfit=unfit)):
        console.print(_table("Comparisons, question by question", rows))
    if run.has("blame") and (blame := run.read("blame")).num_rows:
        rows = blame_rows(blame_counts(blame, run.read("questions")))
        console.print(_table("Blame: the right document shown or not x the answer right, wrong, refused", rows))
    if spending := spending_rows(manifest):
        console.print(_table("Actual of estimated", spending))
    for sentence in manifest.get("warnings") or []:
        console.print(f"[bold]{plain(sentence)}.[/bold]", highlight=False, soft_wrap=True)
    for name, value in (
        ("Run", f"{run.run_id} is {manifest['status']}"),
        ("Tables", f"{run.folder}/*.parquet"),
        ("Report", f"{run.folder}/report.html"),
    ):
        console.print(f"{name:<8} {plain(value)}", highlight=False, soft_wrap=True)


def print_rows(title: str, rows: Sequence[Mapping[str, str]]) -> None:
    """Print rows of words as a table, or nothing if there are none."""
    if rows:
        console.print(_table(title, rows))


def _table(title: str, rows: Sequence[Mapping[str, str]]) -> Table:
    table = Table(title=title, title_justify="left")
    for number, heading in enumerate(rows[0] if rows else ()):
        table.add_column(plain(heading), overflow="fold", justify="left" if number == 0 else "right")
    for row in rows:
        table.add_row(*(plain(value) for value in row.values()))
    return table


@contextmanager
def stop_on_ctrl_c(run: RunStore | None = None) -> Iterator[None]:
    """Let the first Ctrl-C end the run with everything saved, and the second one end it at once.

    Args:
        run: The run that its name resumes; None where the same command goes on.
    """
    from tasks.process import FlowWatcher, watching  # noqa: PLC0415

    flow = FlowWatcher()

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        console.print("\nStopping; what is finished is being saved. Press Ctrl-C again to end at once.")
        flow.stop(RunStoppedError("it was interrupted"))

    before = signal.signal(signal.SIGINT, stop)
    try:
        with watching(flow):
            yield
    except KeyboardInterrupt:
        again = f"go on with --run-id {run.run_id}" if run else "the same command goes on"
        raise RunStoppedError(f"the run was interrupted. Everything finished is saved; {again}") from None
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def prefect_running(output: str | None, *, debug: bool, meanwhile: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Run a flow from here: Prefect's defaults for one process, and a display of what our own tasks say.

    Args:
        output: Folder or URL that the flow writes to, if it does.
        debug: Whether everything is shown that Prefect logs.
        meanwhile: Starts what can go on beside the start of a server.

    Raises:
        InputError: If Prefect's server cannot be used; see `flows.server.ready`.
        ConfigError: If a folder cannot be written that everything needs.
    """
    check_folders(output)
    if wants_json():
        with json_lines(sys.stderr):
            start_prefect(logging.getLogger("rageval").info, meanwhile)
        with json_lines(sys.stderr), tagged():  # Prefect has set up its own meanwhile
            yield
        return
    if debug:
        start_prefect(print_line, meanwhile)
        with tagged():
            yield
        return
    with console.status("Starting Prefect ...") as status:
        start_prefect(status.update if console.is_terminal else print_line, meanwhile)
    from tasks.process import FlowWatcher, watching  # noqa: PLC0415

    with watching(FlowWatcher()) as flow, display(console, lambda: flow.counts) as say:
        handler = _OwnMessages(say)
        runs = [logging.getLogger(name) for name in ("prefect.flow_runs", "prefect.task_runs")]
        loud = [logging.getLogger(), logging.getLogger("prefect"), *runs]
        for log in loud:
            for old in [old for old in log.handlers if isinstance(old, logging.StreamHandler)]:
                log.removeHandler(old)
        for log in runs:
            log.addHandler(handler)
        try:
            with tagged():
                yield
        finally:
            for log in runs:
                log.removeHandler(handler)


class _OwnMessages(logging.Handler):
    """Passes on what our tasks and flows log, and nothing of Prefect's own."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        if Path(record.pathname).parent.name in _OURS:
            self._say(record.getMessage())
