"""The command line: `rageval evaluate`, `index`, `report` and `inspect`; each other command is a
file of this room.

Exit status: 0 done, 1 the gate failed or the audit found an error, 2 bad usage or bad input, 3 run incomplete,
4 a fault of the program, 130 Ctrl-C.
"""

import sys
import traceback
from collections.abc import Callable
from errno import EACCES, EPERM, EROFS
from pathlib import Path
from typing import Annotated, Any

import typer

from rageval.cli.accept import accept
from rageval.cli.audit import audit
from rageval.cli.chat import chat
from rageval.cli.dashboard import dashboard
from rageval.cli.evidence import compare, gate, history
from rageval.cli.feedback import feedback_app
from rageval.cli.ground_truth import ground_truth_app
from rageval.cli.labels import labels
from rageval.cli.logs import say_error
from rageval.cli.monitor import monitor
from rageval.cli.options import (
    DATA,
    MODELS,
    RUN,
    ApiKeyEnv,
    BaseUrl,
    ConfigFile,
    Dask,
    Debug,
    Documents,
    GroundTruth,
    MaxConcurrency,
    Output,
    Rpm,
    RunFolder,
    RunId,
    Seed,
    SharedLimit,
    Tpm,
)
from rageval.cli.prune import prune
from rageval.cli.publish import publish
from rageval.cli.rescore import rescore
from rageval.cli.serve import serve
from rageval.cli.simulate import simulate
from rageval.cli.sweep import sweep
from rageval.errors import GateFailedError, InputError, RagevalError, RunStoppedError
from rageval.safety.proxies import reach_this_machine_directly
from rageval.storage.private_files import private_files
from rageval.telemetry.logs import log_what_can_be_shown
from rageval.text.terminal import show_what_can_be_shown

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Evaluate a RAG system: documents, index, retrieval, answers, scores, report.\n\n"
    "Start with [bold]rageval evaluate examples/configs/demo.yaml[/bold], which needs no key and no server.",
    epilog="Exit status: 0 done, 1 the gate failed or the audit found an error, 2 bad usage or bad input, "
    "3 run incomplete but saved, 4 a fault of the program.",
)

_FAULT = 4
"""The status of what should not happen: Python's own for it is 1, by which a gate would be taken to have failed."""
_INTERRUPTED = 130
_TYPERS: dict[type[Any], Any] = {typer.Abort: _INTERRUPTED, BrokenPipeError: 141}
"""The statuses, as shells give them, of a prompt that is left and of a reader that has gone."""

Sets = Annotated[
    list[str],
    typer.Option(
        "--set",
        help="Any other setting, such as --set retrieval.top_k=10.",
        metavar="KEY.PATH=VALUE",
        rich_help_panel=RUN,
    ),
]


@app.command()
def evaluate(
    config: ConfigFile = None,
    documents: Documents = None,
    ground_truth: GroundTruth = None,
    course: Annotated[
        str | None, typer.Option(help="Ask only the questions of this course.", rich_help_panel=DATA)
    ] = None,
    sample: Annotated[int | None, typer.Option(help="Ask only so many questions.", rich_help_panel=DATA)] = None,
    seed: Seed = None,
    retriever: Annotated[
        list[str],
        typer.Option(
            help="text, vector or hybrid; repeat it to compare. The first one supplies the contexts of the answers.",
            metavar="METHOD",
            rich_help_panel=MODELS,
        ),
    ] = [],  # noqa: B006
    model: Annotated[
        list[str],
        typer.Option(
            help="Answering model; repeat it to compare. `local` is the embedded one.",
            metavar="NAME",
            rich_help_panel=MODELS,
        ),
    ] = [],  # noqa: B006
    judge: Annotated[
        str | None,
        typer.Option(help="Judge.  (default: the first answering model)", metavar="NAME", rich_help_panel=MODELS),
    ] = None,
    no_judge: Annotated[
        bool, typer.Option("--no-judge", help="Do not judge; cosine only.", rich_help_panel=MODELS)
    ] = False,
    base_url: BaseUrl = None,
    api_key_env: ApiKeyEnv = None,
    rpm: Rpm = None,
    tpm: Tpm = None,
    max_concurrency: MaxConcurrency = None,
    shared_limit: SharedLimit = None,
    output: Output = None,
    run_id: RunId = None,
    dask: Dask = None,
    batch: Annotated[
        bool,
        typer.Option(
            "--batch",
            help="Ask through the OpenAI Batch API: half the price, replies within 24 hours; a stopped run goes on.",
            rich_help_panel=RUN,
        ),
    ] = False,
    max_cost_usd: Annotated[
        float | None,
        typer.Option(
            help="Stop, resumable, once the run has spent so many dollars; what is in flight then still counts.",
            metavar="USD",
            rich_help_panel=RUN,
        ),
    ] = None,
    retry_failed: Annotated[
        bool,
        typer.Option("--retry-failed", help="Ask again only for what has failed.", rich_help_panel=RUN),
    ] = False,
    reuse: Annotated[
        bool,
        typer.Option(
            "--reuse",
            help="Take answers and verdicts of earlier runs in the same folder where the request is the very same.",
            rich_help_panel=RUN,
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Say how many calls, tokens, dollars and minutes it would take, and send nothing.",
            rich_help_panel=RUN,
        ),
    ] = False,
    set_: Sets = [],  # noqa: B006
    debug: Debug = False,
) -> None:
    """Run the whole evaluation and write Parquet tables and a report.

    Options override the file. With neither, the sample corpus is evaluated with the embedded model.
    A run is resumed by giving its --run-id again; it then asks only for what is missing or failed.
    """  # fmt: skip
    from rageval.config.evaluation import EvaluationConfig  # noqa: PLC0415 - help must not wait for imports
    from rageval.config.overrides import choose_judge, choose_models, set_for_remote_models, validate  # noqa: PLC0415

    settings = _settings(
        config,
        {
            "data.documents": documents, "data.ground_truth": ground_truth, "data.course": course,
            "data.sample": sample, "data.seed": seed, "retrievers": retriever or None,
            "run.output": output, "run.run_id": run_id, "run.batch": batch or None,
            "run.max_cost_usd": max_cost_usd, "run.retry_failed": retry_failed or None, "run.reuse": reuse or None,
            "run.task_runner": "dask" if dask else None, "run.dask_scheduler": dask,
        },
        set_,
    )  # fmt: skip
    choose_models(settings, model)
    choose_judge(settings, judge, disabled=no_judge)
    set_for_remote_models(
        settings,
        {
            "base_url": base_url, "api_key_env": api_key_env, "rpm": rpm, "tpm": tpm,
            "max_concurrency": max_concurrency, "shared_limit": shared_limit,
        },
    )  # fmt: skip
    configuration = validate(EvaluationConfig, settings)
    from rageval.cli import evaluation as console  # noqa: PLC0415

    if dry_run:
        console.show_estimate(configuration)
    else:
        console.run_evaluation(configuration, debug=debug)


@app.command()
def index(
    config: ConfigFile = None,
    documents: Documents = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Replace the index, also one of another embedding model.")
    ] = False,
    output: Output = None,
    set_: Sets = [],  # noqa: B006
    debug: Debug = False,
) -> None:
    """Embed and index the documents, and nothing else.

    Only documents that changed are embedded again. `evaluate` does the same by itself.
    """
    from rageval.config.evaluation import EvaluationConfig  # noqa: PLC0415
    from rageval.config.overrides import validate  # noqa: PLC0415

    settings = _settings(config, {"data.documents": documents, "run.output": output}, set_)
    configuration = validate(EvaluationConfig, settings)
    from rageval.cli import evaluation as console  # noqa: PLC0415

    console.run_indexing(configuration, rebuild=rebuild, debug=debug)


@app.command()
def report(
    run: RunFolder,
    human_labels: Annotated[
        str | None,
        typer.Option(
            help="Labels of people, in place of any that the run has: CSV with question_id, model, label. "
            "`rageval labels` makes one to fill in.",
            metavar="PATH|URL",
        ),
    ] = None,
) -> None:
    """Compute summary and report page of a run anew from its Parquet tables."""
    from rageval.cli import evaluation as console  # noqa: PLC0415

    console.rebuild_report(run, human_labels)


app.command("rescore")(rescore)
app.command("labels")(labels)
app.command("compare")(compare)
app.command("gate")(gate)
app.command("accept")(accept)
app.command("history")(history)
app.command("audit")(audit)
app.add_typer(ground_truth_app, name="ground-truth")
app.command("sweep")(sweep)
app.command("serve")(serve)
app.command("chat")(chat)
app.command("prune")(prune)
app.command("dashboard")(dashboard)
app.command("monitor")(monitor)
app.command("simulate")(simulate)
app.add_typer(feedback_app, name="feedback")
app.command("publish")(publish)


@app.command()
def inspect(
    run: RunFolder,
    question: Annotated[
        str | None,
        typer.Option(
            help="Id, or part of the text, of the question to show end to end.  (default: the worst answered one)",
            metavar="ID|TEXT",
        ),
    ] = None,
) -> None:
    """Print a run's summary, its failures, and one question end to end."""
    from rageval.cli import inspection  # noqa: PLC0415

    inspection.inspect_run(run, question)


def main() -> None:
    """Run the command line; every expected error is one sentence and an exit status."""
    sys.exit(_guarded(app))


def run_evaluate() -> None:
    """Run `rageval evaluate` with this process's arguments."""
    sys.exit(_guarded(lambda: app(["evaluate", *sys.argv[1:]])))


def _guarded(command: Callable[[], Any]) -> int:
    show_what_can_be_shown()
    log_what_can_be_shown()
    reach_this_machine_directly()
    try:
        with private_files():
            command()
    except SystemExit as ended:
        # Typer's own status for these is that of a gate that failed.
        context = type(ended.__context__)
        raise SystemExit(_TYPERS.get(context, ended.code)) from None
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:  # noqa: BLE001 - whatever it is, its status must not be that of a gate
        expected, status = _expected(error)
        if expected is None or "--debug" in sys.argv:
            traceback.print_exc()
        else:
            say_error(expected)
        return status
    return 0


def _expected(error: Exception) -> tuple[RagevalError | None, int]:
    """Return what is said of an error, None if it is a fault of the program, and the exit status."""
    if isinstance(error, RagevalError):
        return error, _status(error)
    if isinstance(error, OSError) and error.errno in {EACCES, EPERM, EROFS} and error.filename:
        from rageval.storage.writable import not_allowed  # noqa: PLC0415 - hardly ever needed

        return not_allowed(error), 2
    prefect = sys.modules.get("prefect.exceptions")
    if prefect is not None and isinstance(error, prefect.FailedRun):
        # A server too busy to store how the flow ended gives back its message without its error.
        return RagevalError(str(error)), _FAULT
    return None, _FAULT


def _status(error: RagevalError) -> int:
    if isinstance(error, RunStoppedError):
        return 3
    if isinstance(error, GateFailedError):
        return 1
    return 2 if isinstance(error, InputError) else _FAULT


def _settings(config: Path | None, values: dict[str, Any], assignments: list[str]) -> dict[str, Any]:
    from rageval.config.file import read_settings  # noqa: PLC0415
    from rageval.config.overrides import put, put_text  # noqa: PLC0415

    settings = read_settings(config) if config else {}
    for path, value in values.items():
        if value is not None:
            put(settings, path, value)
    for assignment in assignments:
        put_text(settings, assignment)
    return settings


if __name__ == "__main__":
    main()
