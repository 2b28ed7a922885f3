"""Settings of an evaluation -> the run, with how it goes and what came out in the terminal."""

from functools import partial

from rageval.cli.estimates import show_estimates
from rageval.cli.resuming import show_resume_command
from rageval.cli.run_summary import show_run
from rageval.cli.running import prefect_running, stop_on_ctrl_c
from rageval.config.evaluation import EvaluationConfig
from rageval.corpus.files import load_ahead
from rageval.engine.served_models import check_cache
from rageval.errors import RunStoppedError
from rageval.pipeline.estimate import estimate_run
from rageval.pipeline.warm_up import warm_up
from rageval.runs.folders import open_run
from rageval.systems.kinds import make_systems
from rageval.telemetry.tracing import about


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
        from flows.evaluate import evaluate

        try:
            evaluate(config)
        except RunStoppedError:
            show_run(run)
            show_resume_command(run.run_id)
            raise
    show_run(run)


def show_estimate(config: EvaluationConfig) -> None:
    """Print calls, tokens, dollars and minutes of a run; nothing is sent."""
    show_estimates(estimate_run(config))
