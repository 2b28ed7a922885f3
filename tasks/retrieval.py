"""Questions -> retrieved documents."""

from collections.abc import Sequence

from prefect import get_run_logger, task

from rageval.config.evaluation import EvaluationConfig
from rageval.runs.run import Run
from rageval.search import retrieval


@task
def retrieve(run: Run, config: EvaluationConfig, names: Sequence[str]) -> dict[str, float]:
    """Search for every question with these retrievers; returns the share of questions whose document was found."""
    hit_rates = retrieval.retrieve_run(run, config, names)
    for name, hit_rate in hit_rates.items():
        get_run_logger().info("Retrieval by %s: hit rate at %d is %.3f", name, config.retrieval.top_k, hit_rate)
    return hit_rates
