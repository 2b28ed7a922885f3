"""Questions of a run -> its `retrieval` table."""

from statistics import fmean

from rageval.adapters.embedder import load_embedder
from rageval.adapters.retriever import retrieve
from rageval.adapters.run_store import RunStore
from rageval.adapters.search_index import open_index
from rageval.config import EvaluationConfig
from rageval.stages.inputs import read_questions
from rageval.tables import RETRIEVAL, to_table


def retrieve_run(run: RunStore, config: EvaluationConfig) -> dict[str, float]:
    """Search for every question of the run and store what was found; returns each method's hit rate."""
    index = open_index(config.index, config.retrieval.question_boost, run.cache, config.data.documents)
    try:
        embedder = load_embedder(config.index.embedding_model, config.index.batch_size, run.cache)
        found = retrieve(index, embedder, read_questions(run), config.retrieval)
    finally:
        index.close()
    run.write("retrieval", to_table((row for rows in found.values() for row in rows), RETRIEVAL))
    return {method: fmean(row.first_relevant_rank is not None for row in rows) for method, rows in found.items()}
