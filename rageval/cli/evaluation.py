"""Settings of an evaluation -> the run, with how it goes and what came out in the terminal."""

from rageval.config.evaluation import EvaluationConfig
from rageval.corpus.files import load_ahead


def run_evaluation(config: EvaluationConfig, *, debug: bool) -> None:
    """Run the evaluation flow in this process, unless the run is done, and show how it goes and what came out.

    Raises:
        RagevalError: Whatever ended the run; everything finished is saved. If the run can be resumed, the command
            that does it has been printed.
    """
    corpus = load_ahead(config.data)  # whoever names a file that is not there waits for nothing else
    from rageval.cli.evaluation_start import start_evaluation

    start_evaluation(config, corpus, debug=debug)


def show_estimate(config: EvaluationConfig) -> None:
    """Print calls, tokens, dollars and minutes of a run; nothing is sent."""
    load_ahead(config.data)
    from rageval.cli.estimates import show_estimates
    from rageval.pipeline.estimate import estimate_run

    show_estimates(estimate_run(config))
