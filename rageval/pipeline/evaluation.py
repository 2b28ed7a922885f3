"""An evaluation in its order: documents, systems, index, retrieval, answers and scores, report."""

import gc
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from rageval.config.evaluation import EvaluationConfig
from rageval.config.models import ModelConfig
from rageval.engine.chunks import plan_chunks
from rageval.engine.request_engine import RequestEngine
from rageval.engine.served_models import serve_models
from rageval.errors import InputError, RagevalError, RunStoppedError
from rageval.judging.choices import rivals
from rageval.judging.plan import ScorePlan, pairwise_rows, score_plan
from rageval.pipeline.batch import refuse_open_batches
from rageval.pipeline.chunk_scheduler import ChunkScheduler, Ended, Future, Line, LineBehind, Work, width
from rageval.pipeline.completeness import check_retry, is_finished, raise_if_incomplete
from rageval.pipeline.ending import note_stop
from rageval.pipeline.estimate import check_prices
from rageval.pipeline.steps import Progress, Steps, Workers
from rageval.records import Chunk
from rageval.runs import costs
from rageval.runs.inputs import question_ids
from rageval.runs.manifest import Manifest
from rageval.runs.run import Run
from rageval.scoring.computing import COMPUTED, AnsweredChunk
from rageval.scoring.scores import verdicts_label
from rageval.search.retrieval import stored_retrievers
from rageval.systems.answers import answers_label
from rageval.systems.kinds import describe_systems, make_systems, served
from rageval.systems.system import System
from rageval.telemetry.tracing import step

_ANSWERS_AT_ONCE: Final = 2000
"""Whose scores are computed together at the most: some of the time is the same for any number, and so is not the
memory."""


def evaluate_run(
    run: Run, config: EvaluationConfig, steps: Steps, functions: Mapping[str, Callable[..., Any]] | None = None
) -> Manifest:
    """Evaluate as the only process that works on the run; returns its manifest.

    Args:
        run: A new run, or one that is resumed.
        config: Its settings.
        steps: How each step is done.
        functions: Functions of this process by the names of the systems that they are.

    Raises:
        InputError: If settings, files, prompts, keys or endpoints cannot be used; nothing has been sent.
        RunLockedError: If another process works on the run.
        RunStoppedError: If the run is not complete; everything finished is saved.
    """
    systems = make_systems(config, functions or {})
    check_prices(config)
    check_retry(run, config.run)
    with run.lock(), step("evaluate", run_id=run.run_id):
        config = steps.begin(run, config)
        try:
            return _Evaluation(run=run, config=config, systems=systems, steps=steps).work()
        except BaseException as raised:
            # Whatever has ended it, a cancellation too, the run's folder says so, or it would be at work for ever.
            error = steps.as_stop(raised)
            note_stop(run, error)
            if error is not raised:
                raise_if_incomplete(run, str(error))
            raise


@dataclass(kw_only=True)
class _Evaluation:
    """One start of a run."""

    run: Run
    config: EvaluationConfig
    systems: list[System]
    steps: Steps
    seconds: dict[str, float] = field(default_factory=dict)
    """Of each stage."""
    searched: set[str] = field(default_factory=set)
    """Retrievers that this start has searched with."""

    def work(self) -> Manifest:
        """Do whatever the run lacks, and write its report."""
        run, config = self.run, self.config
        with self._stage("documents"):
            dataset = self.steps.load_documents(run, config)
        describe_systems(run, self.systems)
        self.steps.note_estimate(run, config)
        chunks = plan_chunks(dataset.questions, config.chunk_size, config.run.repeats)
        stopped = None
        if not self.systems:
            self.steps.say("No model answers: the retrievers alone are evaluated")
        elif is_finished(run, config, dataset.questions):
            self.steps.say("Every answer and every score of this run is stored; nothing is asked again")
        else:
            stopped = self._ask(chunks)
        if not stopped:
            try:
                self._search([retriever.name for retriever in config.searched])
            except InputError as error:
                if not run.has("retrieval"):
                    raise  # there is nothing to report
                # A search engine that is lost by now costs the other retrievers' metrics, not what was answered.
                stopped = RunStoppedError(f"not every retriever could be evaluated: {error}")
        with step("report", stage="report"):
            reason = str(stopped) if stopped else None
            manifest = self.steps.report(run, config, self.systems, chunks, self.seconds, reason)
        if stopped and not isinstance(stopped, RunStoppedError):
            raise stopped
        raise_if_incomplete(run, manifest.reason)
        return manifest

    def _ask(self, chunks: Sequence[Chunk]) -> BaseException | None:
        """Get the answers and scores that the run lacks; returns the error that ended the run early, or None."""
        run, config = self.run, self.config
        with (
            RequestEngine(max_cost_usd=config.run.max_cost_usd, spent_usd=self._spent(chunks)) as engine,
            self.steps.working(run, config, engine) as workers,
        ):
            engine.spending.check()
            if not config.run.batch:
                refuse_open_batches(run)
            self.steps.check_models([*config.answering_models, *config.judges])
            for system in self.systems:
                if system.caller:
                    engine.check_caller(system.caller)
            self._search(config.answer_retrievers)
            with self._stage("answers_and_scores"), serve_models(config.answering_models, config.judges) as models:
                systems = served(self.systems, models.answering)
                with _short_collections():
                    return self._answer_and_score(systems, models.judges, chunks, workers)

    def _spent(self, chunks: Sequence[Chunk]) -> float | None:
        """Return the dollars of earlier starts, None if unknown; only a run with a ceiling has to know."""
        if not self.config.run.max_cost_usd:
            return 0.0
        return costs.spent_usd(self.run, [system.name for system in self.systems], chunks)

    def _search(self, names: Sequence[str]) -> None:
        """Search with those of the retrievers that the run has no results of.

        Where some questions have failed, the next start searches for them again, not this one.

        Answers need the contexts of some retrievers, so the others search after the answers: nobody waits for them,
        and their latency is not measured while requests are in flight.
        """
        names = [name for name in names if name not in self.searched | stored_retrievers(self.run)]
        if not names:
            return
        if any(not retriever.is_own for retriever in self.config.retrievers if retriever.name in names):
            with self._stage("index"):
                self.steps.index(self.run, self.config)
        with self._stage("retrieval"):
            self.steps.retrieve(self.run, self.config, names)
        self.searched.update(names)

    def _answer_and_score(
        self, systems: list[System], judges: tuple[ModelConfig, ...], chunks: Sequence[Chunk], workers: Workers
    ) -> BaseException | None:
        """Work through all chunks of all systems; returns the error that ended the run early, or None."""
        self._announce(systems, judges, workers.engine)
        plan = score_plan(self.config, judges)
        scheduler = ChunkScheduler(self._behind(plan, workers))
        asked = compared_chunks(self.config, chunks) + len(chunks) * len(systems)
        computed = len(chunks) * len(systems) if plan.computed else 0
        with self.steps.progress(asked, computed) as progress:
            try:
                for lines in self._lines(systems, plan, chunks, workers):
                    _show(scheduler.through(lines), progress)
                _show(scheduler.rest(), progress)
            except BaseException as raised:
                # A bad key, spent credit, Ctrl-C or a cancellation: whatever it is, what runs has to end first.
                error = self.steps.as_stop(raised)
                is_of_requests = isinstance(raised, RagevalError) and not workers.engine.stopped
                workers.stop(error, requests_alone=is_of_requests)
                scheduler.wait()
                if isinstance(error, Exception):
                    if is_of_requests:
                        with suppress(Exception):  # what ended the run is told, and the next start computes the rest
                            _show(scheduler.rest(), progress)
                    return workers.explained(error)
                raise
        return None

    def _lines(
        self, systems: list[System], plan: ScorePlan, chunks: Sequence[Chunk], workers: Workers
    ) -> Iterator[list[Line[AnsweredChunk]]]:
        """Yield the lines that go on side by side; those that come later need what the ones before have brought."""
        if self.config.run.batch:
            yield from self._batch_lines(systems, plan, chunks)
        else:
            yield self._answer_lines(systems, plan, chunks, workers)
        yield self._comparing_lines(systems, plan.judges, chunks, workers)

    def _behind(self, plan: ScorePlan, workers: Workers) -> LineBehind[AnsweredChunk] | None:
        """Return what computes the scores that ask no model of the chunks that are answered."""
        if not plan.computed:
            return None
        most = max(1, _ANSWERS_AT_ONCE // self.config.chunk_size)
        start = partial(self.steps.compute, self.run, plan=plan, config=self.config)
        return LineBehind(start=start, width=workers.processes, most=most)

    def _announce(self, systems: Sequence[System], judges: Sequence[ModelConfig], engine: RequestEngine) -> None:
        """Tell progress displays how many answers and verdicts there will be."""
        ids = question_ids(self.run)
        for system in systems:
            engine.expect(answers_label(system), self.config.run.repeats * len(ids))
        calls = score_plan(self.config).calls(ids)
        for number, judge in enumerate(judges):
            verdicts = sum(n for (name, _), n in calls.items() if name == judge.name) * len(systems)
            chosen = 0 if number else pairwise_rows(self.config, len(ids))
            engine.expect(verdicts_label(judge), self.config.run.repeats * (verdicts + chosen))
        if computed := len(score_plan(self.config).computed):
            engine.expect(COMPUTED, self.config.run.repeats * computed * len(ids) * len(systems))

    def _answer_lines(
        self, systems: list[System], plan: ScorePlan, chunks: Sequence[Chunk], workers: Workers
    ) -> list[Line[AnsweredChunk]]:
        """Return a line of chunks for each system, to be answered and judged."""
        config, start = self.config, partial(self.steps.answer_and_judge, self.run)
        widest, turns = workers.widest(len(systems)), 2 if plan.judged else 1
        return [
            Line(
                works=[
                    Work(start=partial(start, chunk, system, plan, config), brings=_answered([system], [chunk]))
                    for chunk in chunks
                ],
                width=width(system.model, config.chunk_size, widest, workers.processes, turns),
            )
            for system in systems
        ]

    def _batch_lines(
        self, systems: list[System], plan: ScorePlan, chunks: Sequence[Chunk]
    ) -> Iterator[list[Line[AnsweredChunk]]]:
        """Yield the lines of the Batch API: the answers of every system at once, then all verdicts."""
        run, config, steps = self.run, self.config, self.steps
        answers = (
            Work(
                start=partial(_one, steps.answer_batch, run, chunks, system, config),
                chunks=0,
                brings=_answered([system], chunks),
            )
            for system in systems
        )
        yield [Line(works=answers, width=len(systems))]
        start = partial(_one, steps.judge_batch, run, chunks, systems, plan, config)
        yield [Line(works=[Work(start=start, chunks=len(chunks) * len(systems))], width=1)]

    def _comparing_lines(
        self, systems: list[System], judges: tuple[ModelConfig, ...], chunks: Sequence[Chunk], workers: Workers
    ) -> list[Line[AnsweredChunk]]:
        """Return one line of all choices between two systems, each of all pairs of one first system."""
        if not judges or not compared_chunks(self.config, chunks):
            return []
        judge, size = judges[0], 2 * self.config.run.chunk_size
        works = (
            Work[AnsweredChunk](start=partial(self.steps.compare, self.run, chunk, system, others, judge, self.config))
            for chunk in chunks
            for system, others in rivals(systems)
        )
        return [Line(works=works, width=width(judge, size, workers.widest(1), workers.processes))]

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            with step(name, stage=name):
                yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - started


@contextmanager
def _short_collections() -> Iterator[None]:
    """Keep the search for garbage off whatever is there by now, such as modules: it takes 0.3 s, and requests wait."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _show(ended: Iterable[Ended], progress: Progress) -> None:
    """Show what has ended, until all has."""
    for one in ended:
        progress.advance(chunks=one.chunks, computed=one.behind)


def _answered(systems: Sequence[System], chunks: Sequence[Chunk]) -> list[AnsweredChunk]:
    return [AnsweredChunk(system=system, chunk=chunk) for system in systems for chunk in chunks]


def _one(start: Callable[..., Future], *arguments: Any) -> list[Future]:
    return [start(*arguments)]


def compared_chunks(config: EvaluationConfig, chunks: Sequence[Chunk]) -> int:
    """Return how many chunks of choices a run has: one for each system but the last, or none."""
    if not config.judge.pairwise or config.judge_model is None:
        return 0
    return len(chunks) * (len(config.plans) - 1)
