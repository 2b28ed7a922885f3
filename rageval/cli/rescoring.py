"""The words of `rageval rescore` -> its settings, and what the terminal shows of it."""

import shlex
import sys
from collections.abc import Sequence

from rageval.cli.evaluation import prefect_running, show_estimates, show_run, stop_on_ctrl_c
from rageval.config.evaluation import EvaluationConfig
from rageval.config.overrides import choose_judges, put_text, set_for_remote_models, validate
from rageval.errors import ConfigError, RunStoppedError
from rageval.judging.plan import JUDGE_VERSIONS
from rageval.pipeline import rescore as stage
from rageval.runs.store import RunStore
from rageval.text.terminal import console, plain


def settings(
    run: RunStore, metrics: Sequence[str], judges: Sequence[str], base_url: str | None, assignments: Sequence[str]
) -> EvaluationConfig:
    """Return the run's settings with what the command line says of judges and metrics.

    Raises:
        ConfigError: If judges are named and nothing is to be judged, or a setting cannot be used.
    """
    if judges and not set(metrics) & set(JUDGE_VERSIONS):
        raise ConfigError(
            f"--judge {' '.join(judges)}: say what to judge, with --metric and one of {', '.join(JUDGE_VERSIONS)}"
        )
    values = stage.settings_of(run)
    # A rescoring is a start of its own: how the run was asked for does not hold for it.
    values["run"] = {key: value for key, value in values.get("run", {}).items() if key == "max_failed_share"}
    if judges:
        choose_judges(values, judges)
    for assignment in assignments:
        put_text(values, assignment)
    set_for_remote_models(values, {"base_url": base_url})
    return validate(EvaluationConfig, values)


def show_estimate(run: RunStore, config: EvaluationConfig, metrics: Sequence[str]) -> None:
    """Print what a rescoring would take; nothing is sent."""
    computed, rows = stage.estimate(run, stage.rescoring(run, config, metrics))
    console.print(f"{computed:,} scores would be computed without asking a model.", highlight=False)
    if rows:
        show_estimates(rows)
    else:
        console.print("No judge would be asked. Dry run: nothing was sent.", highlight=False)


def run_rescoring(run: RunStore, config: EvaluationConfig, metrics: Sequence[str], *, debug: bool) -> None:
    """Run the flow in this process and show how it goes and what came out.

    Raises:
        RagevalError: Whatever ended it; everything finished is saved.
    """
    with prefect_running(run.folder, debug=debug), stop_on_ctrl_c(run):
        from flows.rescore import rescore  # noqa: PLC0415 - imports Prefect, which takes seconds

        try:
            rescore(run.folder, tuple(metrics), config)
        except RunStoppedError:
            show_run(run)
            command = shlex.join(["rageval", *sys.argv[1:]])
            console.print(f"Go on with:\n  {plain(command)}", highlight=False, soft_wrap=True)
            raise
    show_run(run)
