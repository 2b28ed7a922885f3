"""Embed and index documents, without asking any question."""

from prefect.runtime import flow_run

from flows.embedding import embed_on_workers
from flows.entrance import flow
from flows.workers import workers
from rageval.config.evaluation import EvaluationConfig
from rageval.engine.request_engine import RequestEngine
from rageval.safety.urls import shown
from rageval.search.backends import settled
from rageval.search.building import IndexReport
from tasks.ending import end_in_words, say_in_name
from tasks.index import index_corpus


def _run_name() -> str:
    config: EvaluationConfig = flow_run.parameters.get("config", EvaluationConfig())
    return f"index {shown(config.data.documents)}"


@flow(name="index_documents", flow_run_name=_run_name)
def index_documents(
    config: EvaluationConfig = EvaluationConfig(),  # noqa: B008 - it is frozen
    rebuild: bool = False,
) -> IndexReport:
    """Embed and index the documents; only documents that changed are embedded again.

    Args:
        config: Documents, index and output folder; everything else is left alone.
        rebuild: Replace the index even if it was built with another embedding model.
    """
    return end_in_words(lambda: _index(config, rebuild))


def _index(config: EvaluationConfig, rebuild: bool) -> tuple[IndexReport, str]:
    config = settled(config)
    with RequestEngine() as engine, workers(None, config.run, engine):
        embed_on_workers(None, config)
    report, sentence = index_corpus(config, rebuild)
    say_in_name(sentence)
    return report, sentence
