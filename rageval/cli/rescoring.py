"""A run and what the command line says -> the settings of its rescoring, and what the terminal shows of it."""

from collections.abc import Sequence

from rageval.cli.estimates import show_estimates
from rageval.cli.options import Given
from rageval.cli.resuming import show_resume_command
from rageval.cli.run_summary import show_run
from rageval.cli.running import prefect_running, stop_on_ctrl_c
from rageval.config.evaluation import EvaluationConfig
from rageval.config.overrides import choose_judges, override, validate
from rageval.errors import ConfigError, RunStoppedError
from rageval.metrics import catalogue
from rageval.metrics.metric import JudgeMetric
from rageval.pipeline import rescore as stage
from rageval.runs.run import Run
from rageval.text.terminal import console


def rescoring_settings(
    run: Run, metrics: Sequence[str], judges: Sequence[str], given: Given, assignments: Sequence[str]
) -> EvaluationConfig:
    """Return the run's settings with what the command line says of judges and metrics.

    Raises:
        ConfigError: If judges are named and nothing is to be judged, or a setting cannot be used.
    """
    if judges and not catalogue.judged(metrics):
        known = ", ".join(metric.name for metric in catalogue.of_kind(JudgeMetric))
        raise ConfigError(f"--judge {' '.join(judges)}: say what to judge, with --metric and one of {known}")
    values = stage.settings_of(run).model_dump(mode="json")
    # A rescoring is a start of its own: how the run was asked for does not hold for it.
    values["run"] = {key: values["run"][key] for key in ("max_failed_share", "chunk_size")}
    if judges:
        choose_judges(values, judges)
    override(values, given, assignments)
    return validate(EvaluationConfig, values)


def show_estimate(run: Run, config: EvaluationConfig, metrics: Sequence[str]) -> None:
    """Print what a rescoring would take; nothing is sent."""
    computed, rows = stage.estimate(run, stage.rescoring(run, config, metrics))
    console.print(f"{computed:,} scores would be computed without asking a model.", highlight=False)
    if rows:
        show_estimates(rows)
    else:
        console.print("No judge would be asked. Dry run: nothing was sent.", highlight=False)


def run_rescoring(run: Run, config: EvaluationConfig, metrics: Sequence[str], *, debug: bool) -> None:
    """Run the flow in this process and show how it goes and what came out.

    Raises:
        RagevalError: Whatever ended it; everything finished is saved.
    """
    with prefect_running(run.folder, debug=debug), stop_on_ctrl_c(run):
        from flows.rescore import rescore

        try:
            rescore(run.folder, tuple(metrics), config)
        except RunStoppedError:
            show_run(run)
            show_resume_command(None)
            raise
    show_run(run)
