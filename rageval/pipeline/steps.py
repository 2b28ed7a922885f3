"""The steps of an evaluation, and where they run: in threads of this process, or elsewhere.

`rageval.pipeline.evaluation` holds their order. `flows` has the same steps as Prefect tasks.
"""

import concurrent.futures
import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from rich.console import Console
from rich.progress import Progress as Bars
from rich.progress import TaskID

from rageval.config.evaluation import EvaluationConfig
from rageval.config.models import ModelConfig
from rageval.engine.batch_watch import Watch
from rageval.engine.chunks import Ask
from rageval.engine.earlier_runs import EarlierRuns
from rageval.engine.request_engine import RequestEngine
from rageval.engine.reuse import reusing
from rageval.engine.served_models import check_models
from rageval.judging.plan import ScorePlan, choices_see_reference
from rageval.pipeline import batch
from rageval.pipeline.chunk_scheduler import Future
from rageval.pipeline.ending import end_run
from rageval.pipeline.estimate import estimate_whole
from rageval.records import Chunk
from rageval.report.writing import write_report
from rageval.runs import life
from rageval.runs.documents import load_documents
from rageval.runs.manifest import Dataset, Manifest
from rageval.runs.run import Run
from rageval.scoring.computing import AnsweredChunk, at_low_priority, compute_scores
from rageval.scoring.pairwise import compare_chunk
from rageval.scoring.scores import judge_chunk, verdicts_label
from rageval.search.backends import settled
from rageval.search.building import index_run
from rageval.search.retrieval import retrieve_run
from rageval.systems.answers import answer_chunk
from rageval.systems.system import System

MOST_THREADS = 64
_log = logging.getLogger("rageval")


@dataclass(kw_only=True)
class Workers:
    """Threads of this process, which share the run's request engine."""

    engine: RequestEngine
    processes: int = 1
    """How many ask models, each up to a model's `max_concurrency`."""

    def widest(self, lines: int) -> int:
        """Return how many chunks each of so many lines may have under way, at least 1."""
        return max(1, MOST_THREADS // (2 * lines))  # a chunk's scores wait in a thread for its answers

    def stop(self, error: BaseException, *, requests_alone: bool = False) -> None:
        """Cancel every request in flight; the chunks end, with what was answered stored, see `RequestEngine.stop`."""
        self.engine.stop(error, requests_alone=requests_alone)

    def explained(self, error: BaseException) -> BaseException:
        """Return the error that ended a chunk in words of this package, if it is one of the workers' own."""
        return error


class Progress(Protocol):
    """Counts chunks that are done."""

    def advance(self, *, chunks: int, computed: int) -> None:
        """Count so many more that are answered and judged, and so many whose other scores are computed."""


class Steps(Protocol):
    """What is done in an evaluation, step by step; what each does is told where the library does it."""

    def begin(self, run: Run, config: EvaluationConfig) -> EvaluationConfig:
        """Repair what a kill may have left and write `run.json`; returns the settings that this start goes by."""

    def load_documents(self, run: Run, config: EvaluationConfig) -> Dataset:
        """Read and check documents and questions."""

    def note_estimate(self, run: Run, config: EvaluationConfig) -> None:
        """Keep what the run is expected to take."""

    def say(self, message: str) -> None:
        """Tell whoever watches."""

    def working(self, run: Run, config: EvaluationConfig, engine: RequestEngine) -> AbstractContextManager[Workers]:
        """Let what the block submits run."""

    def check_models(self, models: Sequence[ModelConfig]) -> None:
        """Reach every endpoint before anything is spent."""

    def index(self, run: Run, config: EvaluationConfig) -> None:
        """Make the index hold the run's documents."""

    def retrieve(self, run: Run, config: EvaluationConfig, names: Sequence[str]) -> None:
        """Search with these retrievers."""

    def answer_and_judge(
        self, run: Run, chunk: Chunk, system: System, plan: ScorePlan, config: EvaluationConfig
    ) -> Sequence[Future]:
        """Ask a system a chunk, the first future, and judges for verdicts on the answers; the last one ends last."""

    def compute(
        self, run: Run, answered: Sequence[AnsweredChunk], plan: ScorePlan, config: EvaluationConfig
    ) -> Sequence[Future]:
        """Compute the scores that ask no model, behind everything else."""

    def compare(
        self, run: Run, chunk: Chunk, system: System, others: Sequence[System], judge: ModelConfig,
        config: EvaluationConfig,
    ) -> Sequence[Future]:  # fmt: skip
        """Let the judge choose between a system's answers and those of others."""

    def answer_batch(self, run: Run, chunks: Sequence[Chunk], system: System, config: EvaluationConfig) -> Future:
        """Ask a system all chunks through the Batch API."""

    def judge_batch(
        self, run: Run, chunks: Sequence[Chunk], systems: Sequence[System], plan: ScorePlan,
        config: EvaluationConfig,
    ) -> Future:  # fmt: skip
        """Ask judges for the verdicts on all answers through the Batch API."""

    def progress(self, chunks: int, computed: int) -> AbstractContextManager[Progress]:
        """Show how many of so many chunks are done while the block runs."""

    def report(
        self, run: Run, config: EvaluationConfig, systems: Sequence[System], chunks: Sequence[Chunk],
        timings: Mapping[str, float], stopped: str | None,
    ) -> Manifest:  # fmt: skip
        """Write tables, summary and page, and note how the run ended; returns its manifest."""

    def as_stop(self, error: BaseException) -> BaseException:
        """Return an error as one that ends a run in order, if it is a signal to stop."""


class ThreadSteps:
    """The steps in threads of this process, without Prefect."""

    def __init__(self) -> None:
        self._engine: RequestEngine | None = None
        self._earlier: EarlierRuns | None = None
        self._has_warned = False
        self._pool = ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="chunk")

    def begin(self, run: Run, config: EvaluationConfig) -> EvaluationConfig:
        """See `Steps`."""
        notes = run.repair()
        for note in notes:
            _log.warning("Repaired: %s", note)
        config = settled(config, life.searched_index(run))
        life.begin(run, config, notes)
        return config

    def load_documents(self, run: Run, config: EvaluationConfig) -> Dataset:
        """See `Steps`."""
        return load_documents(run, config.data)

    def note_estimate(self, run: Run, config: EvaluationConfig) -> None:
        """See `Steps`."""
        life.describe_estimate(run, estimate_whole(run, config))

    def say(self, message: str) -> None:
        """See `Steps`."""
        _log.info(message)

    @contextmanager
    def working(self, run: Run, config: EvaluationConfig, engine: RequestEngine) -> Iterator[Workers]:
        """See `Steps`."""
        self._engine = engine
        self._earlier = EarlierRuns(run) if config.run.reuse else None
        with self._pool:
            yield Workers(engine=engine)

    def check_models(self, models: Sequence[ModelConfig]) -> None:
        """See `Steps`."""
        check_models(models, self._asking)

    def index(self, run: Run, config: EvaluationConfig) -> None:
        """See `Steps`."""
        report = index_run(run, config)
        if report.warning and not self._has_warned:
            _log.warning(report.warning)
            self._has_warned = True  # the index is opened again for retrievers that search later

    def retrieve(self, run: Run, config: EvaluationConfig, names: Sequence[str]) -> None:
        """See `Steps`."""
        retrieve_run(run, config, names)

    def answer_and_judge(
        self, run: Run, chunk: Chunk, system: System, plan: ScorePlan, config: EvaluationConfig
    ) -> Sequence[Future]:
        """See `Steps`."""
        answered: concurrent.futures.Future[None] = concurrent.futures.Future()

        def work() -> None:
            try:
                answer_chunk(run, chunk, system, self._asking, ask=self._ask, options=config.run)
            except BaseException as error:
                answered.set_exception(error)
                raise
            answered.set_result(None)
            judge_chunk(run, chunk, system, plan, self._asking, ask=self._ask, options=config.run)

        return [answered, self._pool.submit(work)]

    def compute(
        self, run: Run, answered: Sequence[AnsweredChunk], plan: ScorePlan, config: EvaluationConfig
    ) -> Sequence[Future]:
        """See `Steps`."""
        work = partial(compute_scores, run, answered, plan, self._asking, options=config.run)
        return [self._pool.submit(at_low_priority, work)]

    def compare(
        self, run: Run, chunk: Chunk, system: System, others: Sequence[System], judge: ModelConfig,
        config: EvaluationConfig,
    ) -> Sequence[Future]:  # fmt: skip
        """See `Steps`."""
        work = partial(
            compare_chunk, run, chunk, system, others, judge, self._asking, ask=self._ask, options=config.run,
            with_reference=choices_see_reference(config), label=verdicts_label(judge),
        )  # fmt: skip
        return [self._pool.submit(work)]

    def answer_batch(self, run: Run, chunks: Sequence[Chunk], system: System, config: EvaluationConfig) -> Future:
        """See `Steps`."""
        return self._pool.submit(batch.answer_batch, run, chunks, system, self._asking, _watch(config), config.run)

    def judge_batch(
        self, run: Run, chunks: Sequence[Chunk], systems: Sequence[System], plan: ScorePlan,
        config: EvaluationConfig,
    ) -> Future:  # fmt: skip
        """See `Steps`."""
        return self._pool.submit(batch.judge_batch, run, chunks, systems, plan, self._asking, _watch(config))

    @contextmanager
    def progress(self, chunks: int, computed: int) -> Iterator[Progress]:
        """See `Steps`."""
        console = Console(stderr=True)
        is_seen = console.is_terminal or console.is_jupyter
        with Bars(console=console, transient=True, disable=not is_seen) as bars:
            yield _Bars(
                bars=bars,
                asked=bars.add_task("Answers and verdicts, in chunks", total=chunks),
                computed=bars.add_task("Computed scores, in chunks", total=computed, visible=computed > 0),
            )

    def report(
        self, run: Run, config: EvaluationConfig, systems: Sequence[System], chunks: Sequence[Chunk],
        timings: Mapping[str, float], stopped: str | None,
    ) -> Manifest:  # fmt: skip
        """See `Steps`."""
        ended = end_run(run, config, systems, chunks, timings, stopped)
        write_report(run)
        return ended

    def as_stop(self, error: BaseException) -> BaseException:
        """See `Steps`."""
        return error

    @property
    def _asking(self) -> RequestEngine:
        if self._engine is None:
            raise RuntimeError("models are asked within `working`")
        return self._engine

    @property
    def _ask(self) -> Ask:
        return reusing(self._asking.submit, self._earlier, self._asking) if self._earlier else self._asking.submit


@dataclass(frozen=True, kw_only=True)
class _Bars:
    """Progress in a terminal or a notebook."""

    bars: Bars
    asked: TaskID
    computed: TaskID

    def advance(self, *, chunks: int, computed: int) -> None:
        """So many chunks more are done."""
        self.bars.advance(self.asked, chunks)
        self.bars.advance(self.computed, computed)


def _watch(config: EvaluationConfig) -> Watch:
    return Watch(every_s=config.run.batch_poll_s, show=lambda states: None)
