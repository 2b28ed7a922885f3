"""A run that has something to do -> its flow, with how it goes and what came out in the terminal."""

from collections.abc import Sequence
from functools import partial

from rageval.cli.resuming import show_resume_command
from rageval.cli.run_summary import show_run
from rageval.cli.running import prefect_running, stop_on_ctrl_c
from rageval.config.evaluation import EvaluationConfig
from rageval.engine.served_models import check_cache
from rageval.errors import RunStoppedError
from rageval.pipeline.warm_up import warm_up
from rageval.runs.run import Run
from rageval.telemetry.tracing import about


def run_flow(run: Run, config: EvaluationConfig, questions: Sequence[str], *, debug: bool) -> None:
    """Run the evaluation flow of a run and show how it goes and what came out.

    Args:
        run: The run.
        config: Its settings, with its name.
        questions: The texts of its questions.
        debug: Whether everything is shown that Prefect logs.

    Raises:
        RagevalError: See `rageval.cli.evaluation.run_evaluation`.
    """
    check_cache((*config.answering_models, *config.judges))
    warming = partial(warm_up, run, config, questions)
    with about(run_id=run.run_id), prefect_running(run.folder, debug=debug, meanwhile=warming), stop_on_ctrl_c(run):
        from flows.evaluate import evaluate

        try:
            evaluate(config)
        except RunStoppedError:
            show_run(run)
            show_resume_command(run.run_id)
            raise
    show_run(run)
