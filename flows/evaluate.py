"""Evaluate a RAG system: documents -> index -> retrieval -> answers -> scores -> report."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any

from prefect import get_run_logger
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run

from flows.batch import BatchWork
from flows.embedding import embed_on_workers
from flows.entrance import flow
from flows.pairwise import compared_chunks, pairwise_lines
from flows.under_way import Line, UnderWay, width
from flows.workers import THREADS, Workers, workers
from rageval.config.evaluation import EvaluationConfig
from rageval.config.models import ModelConfig
from rageval.engine.chunks import plan_chunks
from rageval.engine.request_engine import RequestEngine
from rageval.errors import InputError, RunStoppedError
from rageval.judging.plan import pairwise_rows, score_plan
from rageval.pipeline.batch import refuse_open_batches
from rageval.pipeline.completeness import check_retry, is_finished, raise_if_incomplete
from rageval.pipeline.estimate import check_prices
from rageval.records import Chunk
from rageval.report.writing import figures, sentence
from rageval.runs.folders import open_run
from rageval.runs.inputs import read_questions
from rageval.runs.store import RunStore
from rageval.scoring.scores import verdicts_label
from rageval.search.retrieval import stored_retrievers
from rageval.systems.answers import answers_label
from rageval.systems.kinds import describe_systems, make_systems, served
from rageval.systems.system import System
from rageval.telemetry.tracing import step
from tasks.answers import answer_chunk
from tasks.documents import load_documents
from tasks.ending import as_stop, end_in_words, say_in_name
from tasks.index import index_run
from tasks.process import working
from tasks.report import Progress, write_report
from tasks.retrieval import retrieve
from tasks.runs import begin_run, check_models, note_estimate, note_stop, serve_models, spent_usd
from tasks.scores import score_chunk

_NAMED = 3
"""Systems that the name of a flow run holds."""


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """Where the run's tables and its report lie, and how it ended."""

    run_id: str
    folder: str
    status: str
    manifest: dict[str, Any]


def run_words(config: EvaluationConfig) -> str:
    """Return what runs in a line: systems, course, number of questions."""
    systems = ", ".join(plan.name for plan in config.plans[:_NAMED]) + (", ..." if len(config.plans) > _NAMED else "")
    questions = f"{config.data.sample} questions" if config.data.sample else "all questions"
    return f"{systems}; {config.data.course or 'all courses'}, {questions}"


def _run_name() -> str:
    # What a deployment leaves out is not among the parameters.
    return run_words(flow_run.parameters.get("config", EvaluationConfig()))


@flow(name="evaluate", flow_run_name=_run_name, task_runner=THREADS)
def evaluate(config: EvaluationConfig = EvaluationConfig()) -> EvaluationResult:  # noqa: B008 - it is frozen
    """Evaluate search methods and models on a FAQ and its ground truth.

    With nothing set, the sample corpus is evaluated with the embedded model.

    Args:
        config: Everything that can be set, group by group; what you leave alone stays as it is filled in.
    """
    return end_in_words(lambda: _alone(config))


def _alone(config: EvaluationConfig) -> tuple[EvaluationResult, str]:
    """Evaluate as the only process that works on the run; returns the result and what it says."""
    run = open_run(config.run)
    systems = make_systems(config)
    check_prices(config)
    check_retry(run, config.run)
    with run.lock(), step("evaluate", run_id=run.run_id):
        config = begin_run(run, config)
        try:
            result = _evaluate(run, config, systems)
            say_in_name(figures(run))
            return result, sentence(run)
        except BaseException as raised:
            # Whatever has ended it, a cancellation too, the run's folder says so, or it would be at work for ever.
            error = as_stop(raised)
            note_stop(run, error)
            if error is not raised:
                raise_if_incomplete(run, str(error))
            raise


def _evaluate(run: RunStore, config: EvaluationConfig, systems: list[System]) -> EvaluationResult:
    clock = _Clock()
    with clock.stage("documents"):
        dataset = load_documents(run, config.data)
    describe_systems(run, systems)
    note_estimate(run, config)
    chunks = plan_chunks(dataset.questions, config.run.chunk_size)
    stopped = None
    if is_finished(run, config, dataset.questions):
        get_run_logger().info("Every answer and every score of this run is stored; nothing is asked again")
    else:
        stopped = _ask(run, config, systems, chunks, clock)
    if not stopped:
        try:
            _search(run, config, [retriever.name for retriever in config.retrievers], clock)
        except InputError as error:
            # A search engine that is lost by now costs the other retrievers' metrics, not what was answered and judged.
            stopped = RunStoppedError(f"not every retriever could be evaluated: {error}")
    with step("report", stage="report"):
        manifest = write_report(run, config, systems, chunks, clock.seconds, str(stopped) if stopped else None)
    if stopped and not isinstance(stopped, RunStoppedError):
        raise stopped
    raise_if_incomplete(run, manifest["reason"])
    return EvaluationResult(run_id=run.run_id, folder=run.folder, status=manifest["status"], manifest=manifest)


def _ask(
    run: RunStore, config: EvaluationConfig, systems: list[System], chunks: list[Chunk], clock: "_Clock"
) -> BaseException | None:
    """Get the answers and scores that the run lacks; returns the error that ended the run early, or None."""
    spent = spent_usd(run, config, systems, chunks)
    with RequestEngine(max_cost_usd=config.run.max_cost_usd, spent_usd=spent) as engine, working(engine, run):
        engine.spending.check()
        if not config.run.batch:
            refuse_open_batches(run)
        check_models([*config.answering_models, *config.judges])
        with workers(run, config.run, engine) as crew:
            _search(run, config, config.answer_retrievers, clock)
            with clock.stage("answers_and_scores"):
                return _answer_and_score(run, config, systems, chunks, crew)


def _search(run: RunStore, config: EvaluationConfig, names: Sequence[str], clock: "_Clock") -> None:
    """Search with those of the retrievers that the run has no results of.

    Answers need the contexts of some retrievers, so the others search after the answers: nobody waits for them, and
    their latency is not measured while requests are in flight.
    """
    if set(names) <= stored_retrievers(run):
        return
    with clock.stage("index"):
        embed_on_workers(run, config)
        index_run(run, config)
    with clock.stage("retrieval"):
        retrieve(run, config, names)


def _answer_and_score(
    run: RunStore, config: EvaluationConfig, systems: list[System], chunks: list[Chunk], crew: Workers
) -> BaseException | None:
    """Work through all chunks of all systems; returns the error that ended the run early, or None."""
    with (
        serve_models(config.answering_models, config.judges) as models,
        Progress(total=len(chunks) * len(systems) + compared_chunks(config, chunks)) as progress,
    ):
        systems = served(systems, models.answering)
        _announce(run, config, systems, models.judges, crew.engine)
        work: BatchWork | UnderWay = UnderWay(_answer_lines(run, config, systems, models.judges, chunks, crew))
        if config.run.batch:
            work = BatchWork(run=run, config=config, systems=systems, judges=models.judges, chunks=chunks)
        comparing = UnderWay(pairwise_lines(run, config, systems, models.judges, chunks, crew))
        try:
            for _ in chain(work.through(), comparing.through()):
                progress.advance()
        except BaseException as raised:
            # A bad key, spent credit, Ctrl-C or a cancellation: whatever it is, what runs has to end first.
            error = as_stop(raised)
            crew.stop(error)
            work.wait()
            comparing.wait()
            if isinstance(error, Exception):
                return crew.explained(error)
            raise
    return None


def _announce(
    run: RunStore,
    config: EvaluationConfig,
    systems: list[System],
    judges: Sequence[ModelConfig],
    engine: RequestEngine,
) -> None:
    """Tell progress displays how many answers and verdicts there will be."""
    ids = [question.question_id for question in read_questions(run)]
    for system in systems:
        engine.expect(answers_label(system), len(ids))
    calls = score_plan(config).calls(ids)
    for number, judge in enumerate(judges):
        verdicts = sum(n for (name, _), n in calls.items() if name == judge.name) * len(systems)
        engine.expect(verdicts_label(judge), verdicts + (0 if number else pairwise_rows(config, len(ids))))


def _answer_lines(
    run: RunStore,
    config: EvaluationConfig,
    systems: list[System],
    judges: tuple[ModelConfig, ...],
    chunks: list[Chunk],
    crew: Workers,
) -> list[Line]:
    """Return a line of chunks for each system, to be answered and scored."""
    plan = score_plan(config, judges)

    def start(system: System, chunk: Chunk) -> list[PrefectFuture[Any]]:
        answered = answer_chunk.submit(run, chunk, system, config.run)
        scored = score_chunk.submit(
            run=run, chunk=chunk, system=system, plan=plan, options=config.run, wait_for=[answered], return_state=False
        )
        return [answered, scored]

    widest = crew.widest(len(systems))
    return [
        Line(
            starts=[partial(start, system, chunk) for chunk in chunks],
            width=width(system.model, config.run.chunk_size, widest, crew.processes),
        )
        for system in systems
    ]


@dataclass
class _Clock:
    """Seconds of each stage."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            with step(name, stage=name):
                yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - started


if __name__ == "__main__":
    evaluate()
