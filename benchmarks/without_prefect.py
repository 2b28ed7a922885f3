"""An evaluation without Prefect: the stages, called one after the other, to see what orchestration costs."""

import argparse
from concurrent.futures import ThreadPoolExecutor

from rageval.config.evaluation import DataConfig, EvaluationConfig, RunOptions
from rageval.config.models import ModelConfig
from rageval.corpus.files import load_ahead
from rageval.engine.chunks import plan_chunks
from rageval.engine.request_engine import RequestEngine
from rageval.judging.plan import score_plan
from rageval.pipeline import completeness as runs
from rageval.pipeline.warm_up import warm_up
from rageval.records import Chunk
from rageval.report.writing import write_report
from rageval.runs import life
from rageval.runs.documents import load_documents
from rageval.runs.folders import open_run
from rageval.scoring.scores import score_chunk
from rageval.search.backends import settled
from rageval.search.building import index_run
from rageval.search.retrieval import retrieve_run
from rageval.systems.answers import answer_chunk
from rageval.systems.kinds import describe_systems, make_systems
from rageval.systems.system import System

_AT_ONCE = 5
"""Chunks under way, as in the flow: 64 requests in flight, 25 to a chunk, two ahead."""


def main() -> None:
    """Evaluate and write the report, with one model and the judge."""
    parser = argparse.ArgumentParser()
    for name in ("documents", "ground-truth", "output", "base-url"):
        parser.add_argument(f"--{name}", required=True)
    options = parser.parse_args()
    model = ModelConfig(name="bench", base_url=options.base_url)
    config = EvaluationConfig(
        data=DataConfig(documents=options.documents, ground_truth=options.ground_truth),
        models=(model,),
        run=RunOptions(output=options.output, run_id="without-prefect"),
    )
    run = open_run(config.run)
    warm_up(run, config, [question.question for question in load_ahead(config.data).questions])
    config = settled(config)
    life.begin(run, config, [])
    dataset = load_documents(run, config.data)
    chunks = plan_chunks(dataset.questions, config.run.chunk_size)
    systems = make_systems(config)
    describe_systems(run, systems)
    index_run(run, config)
    retrieve_run(run, config, config.answer_retrievers)
    plan = score_plan(config)

    def answer_and_score(chunk: Chunk, system: System) -> None:
        answer_chunk(run, chunk, system, engine)
        score_chunk(run, chunk, system, plan, engine)

    with RequestEngine() as engine, ThreadPoolExecutor(_AT_ONCE) as pool:
        work = [pool.submit(answer_and_score, chunk, system) for system in systems for chunk in chunks]
        for done in work:
            done.result()
    retrieve_run(run, config, [retriever.name for retriever in config.retrievers])
    runs.merge(run, systems, chunks)
    life.finish(run, reason=None, timings={})
    write_report(run)
    assert runs.is_finished(run, config, dataset.questions)


if __name__ == "__main__":
    main()
