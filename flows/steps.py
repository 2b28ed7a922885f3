"""The steps of an evaluation as Prefect tasks; `rageval.pipeline.evaluation` holds their order."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from prefect import get_run_logger

from flows.embedding import embed_on_workers
from flows.workers import workers
from rageval.config.evaluation import EvaluationConfig
from rageval.config.models import ModelConfig
from rageval.engine.request_engine import RequestEngine
from rageval.judging.plan import ScorePlan, choices_see_reference
from rageval.pipeline.chunk_scheduler import Future
from rageval.pipeline.steps import Progress, Workers
from rageval.records import Chunk
from rageval.runs.manifest import Dataset, Manifest
from rageval.runs.run import Run
from rageval.scoring.computing import AnsweredChunk
from rageval.scoring.scores import verdicts_label
from rageval.systems.system import System
from tasks.answers import answer_chunk
from tasks.batch import batch_answers, batch_verdicts
from tasks.documents import load_documents
from tasks.ending import as_stop
from tasks.index import index_run
from tasks.pairwise import compare_chunk
from tasks.process import working
from tasks.report import ChunkProgress, write_report
from tasks.retrieval import retrieve
from tasks.runs import begin_run, check_models, note_estimate
from tasks.scores import compute_scores, judge_chunk


class PrefectSteps:
    """Each step is a task run of the flow."""

    def begin(self, run: Run, config: EvaluationConfig) -> EvaluationConfig:
        """See `Steps`."""
        return begin_run(run, config)

    def load_documents(self, run: Run, config: EvaluationConfig) -> Dataset:
        """See `Steps`."""
        return load_documents(run, config.data)

    def note_estimate(self, run: Run, config: EvaluationConfig) -> None:
        """See `Steps`."""
        note_estimate(run, config)

    def say(self, message: str) -> None:
        """See `Steps`."""
        get_run_logger().info(message)

    @contextmanager
    def working(self, run: Run, config: EvaluationConfig, engine: RequestEngine) -> Iterator[Workers]:
        """See `Steps`."""
        with working(engine, run), workers(run, config.run, engine) as started:
            yield started

    def check_models(self, models: Sequence[ModelConfig]) -> None:
        """See `Steps`."""
        check_models(models)

    def index(self, run: Run, config: EvaluationConfig) -> None:
        """See `Steps`."""
        embed_on_workers(run, config)
        index_run(run, config)

    def retrieve(self, run: Run, config: EvaluationConfig, names: Sequence[str]) -> None:
        """See `Steps`."""
        retrieve(run, config, names)

    def answer_and_judge(
        self, run: Run, chunk: Chunk, system: System, plan: ScorePlan, config: EvaluationConfig
    ) -> Sequence[Future]:
        """See `Steps`."""
        answered = answer_chunk.submit(run, chunk, system, config.run)
        if not plan.judged:
            return [answered]
        judged = judge_chunk.submit(
            run=run, chunk=chunk, system=system, plan=plan, options=config.run, wait_for=[answered], return_state=False
        )
        return [answered, judged]

    def compute(
        self, run: Run, answered: Sequence[AnsweredChunk], plan: ScorePlan, config: EvaluationConfig
    ) -> Sequence[Future]:
        """See `Steps`."""
        return [compute_scores.submit(run, answered, plan, config.run)]

    def compare(
        self, run: Run, chunk: Chunk, system: System, others: Sequence[System], judge: ModelConfig,
        config: EvaluationConfig,
    ) -> Sequence[Future]:  # fmt: skip
        """See `Steps`."""
        compared = compare_chunk.submit(
            run=run,
            chunk=chunk,
            system=system,
            others=others,
            judge=judge,
            with_reference=choices_see_reference(config),
            label=verdicts_label(judge),
            options=config.run,
            return_state=False,
        )
        return [compared]

    def answer_batch(self, run: Run, chunks: Sequence[Chunk], system: System, config: EvaluationConfig) -> Future:
        """See `Steps`."""
        return batch_answers.submit(run, chunks, system, config.run)

    def judge_batch(
        self, run: Run, chunks: Sequence[Chunk], systems: Sequence[System], plan: ScorePlan,
        config: EvaluationConfig,
    ) -> Future:  # fmt: skip
        """See `Steps`."""
        return batch_verdicts.submit(run, chunks, systems, plan, config.run.batch_poll_s)

    @contextmanager
    def progress(self, chunks: int, computed: int) -> Iterator[Progress]:
        """See `Steps`."""
        with ChunkProgress(chunks=chunks, computed=computed) as progress:
            yield progress

    def report(
        self, run: Run, config: EvaluationConfig, systems: Sequence[System], chunks: Sequence[Chunk],
        timings: Mapping[str, float], stopped: str | None,
    ) -> Manifest:  # fmt: skip
        """See `Steps`."""
        return write_report(run, config, systems, chunks, timings, stopped)

    def as_stop(self, error: BaseException) -> BaseException:
        """See `Steps`."""
        return as_stop(error)
