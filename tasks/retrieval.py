"""Questions -> retrieved documents."""

from collections.abc import Sequence

from prefect import get_run_logger, task

from rageval.config.evaluation import EvaluationConfig
from rageval.records import SearchMethod
from rageval.runs.store import RunStore
from rageval.search import retrieval


@task
def retrieve(run: RunStore, config: EvaluationConfig, methods: Sequence[SearchMethod]) -> dict[str, float]:
    """Search for every question with these methods; returns the share of questions whose document was found."""
    hit_rates = retrieval.retrieve_run(run, config, methods)
    for method, hit_rate in hit_rates.items():
        get_run_logger().info("Retrieval by %s: hit rate at %d is %.3f", method, config.retrieval.top_k, hit_rate)
    return hit_rates
