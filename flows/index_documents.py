"""Embed and index documents, without asking any question."""

from prefect import flow

from rageval.config import EvaluationConfig
from rageval.stages.index import IndexReport
from tasks.index import index_corpus


@flow(name="index_documents", flow_run_name="index {config.data.documents}")
def index_documents(
    config: EvaluationConfig = EvaluationConfig(),  # noqa: B008 - it is frozen
    rebuild: bool = False,
) -> IndexReport:
    """Embed and index the documents; only documents that changed are embedded again.

    Args:
        config: Documents, index and output folder; everything else is left alone.
        rebuild: Replace the index even if it was built with another embedding model.
    """
    return index_corpus(config, rebuild)
