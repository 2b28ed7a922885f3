"""Settings and data of an evaluation -> what came out of it, by a flow or, where nothing is left to do, without one."""

from rageval.config.evaluation import EvaluationConfig
from rageval.corpus.files import Corpus
from rageval.pipeline.finished import stands
from rageval.runs.folders import open_run
from rageval.systems.kinds import make_systems
from rageval.text.terminal import console


def start_evaluation(config: EvaluationConfig, corpus: Corpus, *, debug: bool) -> None:
    """Evaluate, or show a run that is done as it stands.

    Raises:
        RagevalError: See `rageval.cli.evaluation.run_evaluation`.
    """
    run = open_run(config.run)
    config = config.model_copy(update={"run": config.run.model_copy(update={"run_id": run.run_id})})
    if stands(run, config, make_systems(config), corpus):
        from rageval.cli.run_summary import show_run

        console.print("The run is complete and nothing has changed since: nothing is asked again", highlight=False)
        show_run(run)
        return
    from rageval.cli.evaluation_flow import run_flow

    run_flow(run, config, [question.question for question in corpus.questions], debug=debug)
