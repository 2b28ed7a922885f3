"""All pending requests of a step -> the rows of its chunks, by way of the Batch API: half the price, within a day.

The batches go on at the provider whatever happens here. A new start finds them in the run's folder and collects them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from rageval.config.evaluation import RunOptions
from rageval.config.models import ModelConfig
from rageval.engine.batch_api import BatchApi
from rageval.engine.batch_lines import batch_files
from rageval.engine.batch_watch import Watch, watch_batches
from rageval.engine.chunks import Ask, ChunkOutcome
from rageval.engine.counts import ModelCounts
from rageval.engine.request_engine import RequestEngine
from rageval.engine.requests import ChatReply, ChatRequest
from rageval.errors import ConfigError
from rageval.judging.plan import ScorePlan
from rageval.records import Chunk
from rageval.runs.batch_log import BatchLog, NotedBatch, open_batches
from rageval.runs.run import Run
from rageval.scoring.scores import judge_chunk, pending_calls, verdicts_label
from rageval.systems.answers import answer_chunk, answers_label, pending_answers
from rageval.systems.system import System
from rageval.text.fingerprint import digest


@dataclass(kw_only=True)
class _Step:
    """Everything that one model is asked in one role."""

    label: str
    model: ModelConfig
    requests: dict[str, ChatRequest] = field(default_factory=dict)
    """By ids that are the same in every start."""

    def add(self, system: str, key: tuple[str, ...], request: ChatRequest) -> str:
        """Add a request, and return its id."""
        custom_id = digest(system, *key, request.fingerprint(self.model))
        self.requests[custom_id] = request
        return custom_id


def answer_batch(
    run: Run,
    chunks: Sequence[Chunk],
    system: System,
    engine: RequestEngine,
    watch: Watch,
    options: RunOptions,
) -> ChunkOutcome:
    """Ask the system whatever questions of the run have no answer yet; failed requests become rows.

    Raises:
        RagevalError: If the run has to end. What the batches bring is collected by the next start.
    """
    if system.prompt is None:  # no model of ours is asked: there is nothing that could be a batch
        return _sum(answer_chunk(run, chunk, system, engine, options=options) for chunk in chunks)
    step = _Step(label=answers_label(system), model=system.model)
    ids = {
        chunk: [
            step.add(system.name, (one.question.question_id, str(chunk.repeat)), one.request)
            for one in pending_answers(run, chunk, system, options)
        ]
        for chunk in chunks
    }
    with _replies(run, [step], engine, watch) as replies:
        asks = {chunk: _from(replies, {system.model.name: ids[chunk]}, engine) for chunk in chunks}
        return _sum(answer_chunk(run, chunk, system, engine, ask=ask, options=options) for chunk, ask in asks.items())


def judge_batch(
    run: Run,
    chunks: Sequence[Chunk],
    systems: Sequence[System],
    plan: ScorePlan,
    engine: RequestEngine,
    watch: Watch,
) -> ChunkOutcome:
    """Ask for the verdicts that answers of the run lack; each judge gets those of all systems at once.

    Args:
        run: The run, with the answers of all systems stored.
        chunks: Whose answers to judge.
        systems: The systems that gave the answers.
        plan: Which scores each answer gets.
        engine: Counts what is stored and asked, and ends the run.
        watch: How to wait.

    Raises:
        RagevalError: As for `answer_batch`.
    """
    work = [(system, chunk) for system in systems for chunk in chunks]
    steps = {judge.name: _Step(label=verdicts_label(judge), model=judge) for judge in plan.judges}
    ids: dict[tuple[str, Chunk], dict[str, list[str]]] = {}
    for system, chunk in work:
        mine = ids[system.name, chunk] = {name: [] for name in steps}
        for call in pending_calls(run, chunk, system, plan):
            name = call.judge.name
            mine[name].append(steps[name].add(system.name, (*call.key, str(chunk.repeat)), call.request))
    with _replies(run, list(steps.values()), engine, watch) as replies:
        return _sum(
            judge_chunk(run, chunk, system, plan, engine, ask=_from(replies, ids[system.name, chunk], engine))
            for system, chunk in work
        )


def refuse_open_batches(run: Run) -> None:
    """Keep a run from asking one by one what it has already paid for.

    Raises:
        ConfigError: If the run has batches whose replies are not stored.
    """
    batches = open_batches(run)
    if batches:
        raise ConfigError(
            f"the run {run.run_id!r} has batches under way ({', '.join(batches)}); start it with --batch to collect "
            "them, cancelled ones too"
        )


def _from(replies: Mapping[str, ChatReply], ids: Mapping[str, Sequence[str]], engine: RequestEngine) -> Ask:
    """Return an `Ask` that answers the requests with these ids, by the model asked, from what the batches brought."""

    def ask(
        requests: Sequence[ChatRequest],
        model: ModelConfig,
        on_reply: Callable[[int, ChatReply], None],
        *,
        label: str,
    ) -> Future[None]:
        counts = engine.counts.setdefault(label, ModelCounts())
        for position, (_, custom_id) in enumerate(zip(requests, ids[model.name], strict=True)):
            reply = replies[custom_id]
            on_reply(position, reply)
            counts.count(reply)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    return ask


@contextmanager
def _replies(
    run: Run, steps: Sequence[_Step], engine: RequestEngine, watch: Watch
) -> Iterator[Mapping[str, ChatReply]]:
    """Yield a reply to every request of all steps; at the end of the block they are stored, and the batches done with.

    The batches of all steps are begun before the first one is waited for.
    """
    replies: dict[str, ChatReply] = {}
    stored = []
    with ExitStack() as clients:
        under_way = []
        for step in steps:
            log = BatchLog(run, step.label)
            if step.requests:
                api = clients.enter_context(BatchApi(step.model))
                under_way.append((api, log, _begin(api, log, step, engine)))
            else:
                for batch in log.open():  # a kill came between storing the last reply and noting that
                    log.ended(batch, "stored before")
        for api, log, batches in under_way:
            for batch, state in zip(batches, watch_batches(api, log, batches, engine, watch), strict=True):
                replies |= api.replies(state, batch.ids)
                stored.append((log, batch, state.status))
    yield replies
    for log, batch, status in stored:
        log.ended(batch, status)


def _begin(api: BatchApi, log: BatchLog, step: _Step, engine: RequestEngine) -> list[NotedBatch]:
    """Return the batches of earlier starts that are still wanted, and new ones for what is in none of them."""
    batches = []
    for batch in log.open():
        batch_id = batch.batch_id or api.find(batch.token)
        if batch_id is None:
            log.ended(batch, "never created")
        elif step.requests.keys().isdisjoint(batch.ids):
            log.ended(batch, "stored before")
        else:
            batches.append(log.created(batch, batch_id))
    begun = {custom_id for batch in batches for custom_id in batch.ids}
    rest = {custom_id: request for custom_id, request in step.requests.items() if custom_id not in begun}
    for file in batch_files(rest, step.model):
        engine.raise_if_stopped()
        noted = log.note(api.upload(file.content), file.ids)
        batches.append(log.created(noted, api.create(noted.file_id, noted.token)))
    return batches


def _sum(outcomes: Iterator[ChunkOutcome]) -> ChunkOutcome:
    every = list(outcomes)
    return ChunkOutcome(
        asked=sum(outcome.asked for outcome in every),
        ok=sum(outcome.ok for outcome in every),
        failed=sum(outcome.failed for outcome in every),
    )
