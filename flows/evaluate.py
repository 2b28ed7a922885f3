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
from rageval.engine.earlier_runs import forget_earlier_runs
from rageval.engine.request_engine import chat_engine
from rageval.engine.served_models import ServedModels
from rageval.errors import InputError, RunStoppedError
from rageval.judging.plan import pairwise_rows, score_plan
from rageval.pipeline.batch import refuse_open_batches
from rageval.pipeline.completeness import check_retry, is_finished, raise_if_incomplete
from rageval.pipeline.estimate import check_prices
from rageval.records import Chunk, SearchMethod
from rageval.report.writing import figures, sentence
from rageval.runs.folders import open_run
from rageval.runs.inputs import read_questions
from rageval.runs.store import RunStore
from rageval.scoring.scores import verdicts_label
from rageval.search.retrieval import stored_methods
from rageval.systems.answers import answers_label
from rageval.telemetry.tracing import step
from tasks.answers import answer_chunk
from tasks.documents import load_documents
from tasks.ending import as_stop, end_in_words, say_in_name
from tasks.index import index_run
from tasks.report import Progress, write_report
from tasks.retrieval import retrieve
from tasks.runs import begin_run, check_models, note_estimate, note_stop, serve_models, spent_usd
from tasks.scores import score_chunk


@dataclass(frozen=True, kw_only=True)
class EvaluationResult:
    """Where the run's tables and its report lie, and how it ended."""

    run_id: str
    folder: str
    status: str
    manifest: dict[str, Any]


def run_words(config: EvaluationConfig) -> str:
    """Return what runs, in words: models, course, number of questions."""
    models = "+".join(model.name for model in config.answers.models)
    questions = f"{config.data.sample} questions" if config.data.sample else "all questions"
    return f"{models}, {config.data.course or 'all courses'}, {questions}"


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
    check_prices(config)
    check_retry(run, config.run)
    forget_earlier_runs()
    with run.lock(), step("evaluate", run_id=run.run_id):
        config = begin_run(run, config)
        try:
            result = _evaluate(run, config)
            say_in_name(figures(run))
            return result, sentence(run)
        except BaseException as raised:
            # Whatever has ended it, a cancellation too, the run's folder says so, or it would be at work for ever.
            error = as_stop(raised)
            note_stop(run, error)
            if error is not raised:
                raise_if_incomplete(run, str(error))
            raise


def _evaluate(run: RunStore, config: EvaluationConfig) -> EvaluationResult:
    clock = _Clock()
    with clock.stage("documents"):
        dataset = load_documents(run, config.data)
    note_estimate(run, config)
    chunks = plan_chunks(dataset.questions, config.answers.chunk_size, config.answer_search)
    chat_engine().start_run(max_cost_usd=config.run.max_cost_usd, spent_usd=spent_usd(run, config, chunks))
    stopped = None
    if is_finished(run, config, dataset.questions):
        get_run_logger().info("Every answer and every score of this run is stored; nothing is asked again")
    else:
        chat_engine().spending.check()
        if not config.run.batch:
            refuse_open_batches(run)
        check_models([*config.answers.models, *config.judges])
        with workers(run, config.run) as crew:
            _search(run, config, config.answer_search, clock)
            with clock.stage("answers_and_scores"):
                stopped = _answer_and_score(run, config, chunks, crew)
    if not stopped:
        try:
            _search(run, config, config.retrieval.methods, clock)
        except InputError as error:
            # A search engine that is lost by now costs the other methods' figures, not what was answered and judged.
            stopped = RunStoppedError(f"not every search method could be evaluated: {error}")
    with step("report", stage="report"):
        manifest = write_report(run, config, chunks, clock.seconds, str(stopped) if stopped else None)
    if stopped and not isinstance(stopped, RunStoppedError):
        raise stopped
    raise_if_incomplete(run, manifest["reason"])
    return EvaluationResult(run_id=run.run_id, folder=run.folder, status=manifest["status"], manifest=manifest)


def _search(run: RunStore, config: EvaluationConfig, methods: Sequence[SearchMethod], clock: "_Clock") -> None:
    """Search with those of the methods that the run has no results of.

    Answers need one method's contexts, so the others are searched with after the answers: nobody waits for them, and
    their latency is not measured while requests are in flight.
    """
    if set(methods) <= stored_methods(run):
        return
    with clock.stage("index"):
        embed_on_workers(run, config)
        index_run(run, config)
    with clock.stage("retrieval"):
        retrieve(run, config, methods)


def _answer_and_score(
    run: RunStore, config: EvaluationConfig, chunks: list[Chunk], crew: Workers
) -> BaseException | None:
    """Work through all chunks of all models; returns the error that ended the run early, or None."""
    with (
        serve_models(config.answers.models, config.judges) as models,
        Progress(total=len(chunks) * len(models.answering) + compared_chunks(config, chunks)) as progress,
    ):
        _announce(run, config, models)
        work: BatchWork | UnderWay = UnderWay(_answer_lines(run, config, models, chunks, crew))
        if config.run.batch:
            work = BatchWork(run=run, config=config, models=models, chunks=chunks)
        comparing = UnderWay(pairwise_lines(run, config, models, chunks, crew))
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


def _announce(run: RunStore, config: EvaluationConfig, models: ServedModels) -> None:
    """Tell progress displays how many answers and verdicts there will be."""
    ids = [question.question_id for question in read_questions(run)]
    methods = len(config.answer_search)
    for model in models.answering:
        chat_engine().expect(answers_label(model), methods * len(ids))
    calls = score_plan(config).calls(ids)
    for number, judge in enumerate(models.judges):
        verdicts = sum(n for (name, _), n in calls.items() if name == judge.name) * methods * len(models.answering)
        chat_engine().expect(verdicts_label(judge), verdicts + (0 if number else pairwise_rows(config, len(ids))))


def _answer_lines(
    run: RunStore, config: EvaluationConfig, models: ServedModels, chunks: list[Chunk], crew: Workers
) -> list[Line]:
    """Return a line of chunks for each model, to be answered and scored."""
    plan = score_plan(config, models.judges)

    def start(model: ModelConfig, chunk: Chunk) -> list[PrefectFuture[Any]]:
        answered = answer_chunk.submit(run, chunk, model, config.run)
        scored = score_chunk.submit(
            run=run, chunk=chunk, model=model, plan=plan, options=config.run, wait_for=[answered], return_state=False
        )
        return [answered, scored]

    widest = crew.widest(len(models.answering))
    return [
        Line(
            starts=[partial(start, model, chunk) for chunk in chunks],
            width=width(model, config.answers.chunk_size, widest, crew.processes),
        )
        for model in models.answering
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
