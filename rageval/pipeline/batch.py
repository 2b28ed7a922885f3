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
from rageval.engine.request_engine import chat_engine
from rageval.engine.requests import ChatReply, ChatRequest
from rageval.errors import ConfigError
from rageval.judging.plan import ScorePlan
from rageval.records import Chunk
from rageval.runs.batch_log import BatchLog, NotedBatch, open_batches
from rageval.runs.store import RunStore
from rageval.scoring.scores import pending_verdicts, score_chunk, verdicts_label
from rageval.systems.answers import answer_chunk, answers_label, pending_answers
from rageval.text.fingerprint import digest


@dataclass(kw_only=True)
class _Step:
    """Everything that one model is asked in one role."""

    label: str
    model: ModelConfig
    requests: dict[str, ChatRequest] = field(default_factory=dict)
    """By ids that are the same in every start."""

    def add(self, chunk: Chunk, answering: str, key: tuple[str, ...], request: ChatRequest) -> str:
        """Add a request, and return its id."""
        custom_id = digest(answering, chunk.search_method, *key, request.fingerprint(self.model))
        self.requests[custom_id] = request
        return custom_id


def answer_batch(
    run: RunStore, chunks: Sequence[Chunk], model: ModelConfig, options: RunOptions, watch: Watch
) -> ChunkOutcome:
    """Ask the model whatever questions of the run have no answer yet; failed requests become rows.

    Raises:
        RagevalError: If the run has to end. What the batches bring is collected by the next start.
    """
    step = _Step(label=answers_label(model), model=model)
    ids = {
        chunk: [
            step.add(chunk, model.name, (question.question_id,), request)
            for question, request in pending_answers(run, chunk, model, options)
        ]
        for chunk in chunks
    }
    with _replies(run, [step], watch) as replies:
        return _sum(
            answer_chunk(run, chunk, model, _from(replies, {model.name: ids[chunk]}), options) for chunk in chunks
        )


def score_batch(
    run: RunStore, chunks: Sequence[Chunk], answering: Sequence[ModelConfig], plan: ScorePlan, watch: Watch
) -> ChunkOutcome:
    """Score whatever answers of the run have no score yet; each judge gets those of all models at once.

    Args:
        run: The run, with the answers of all models stored.
        chunks: Whose answers to score.
        answering: The models that gave the answers.
        plan: Which scores each answer gets.
        watch: How to wait.

    Raises:
        RagevalError: As for `answer_batch`.
    """
    work = [(model, chunk) for model in answering for chunk in chunks]
    steps = {judge.name: _Step(label=verdicts_label(judge), model=judge) for judge in plan.judges}
    ids: dict[tuple[str, Chunk], dict[str, list[str]]] = {}
    for model, chunk in work:
        mine = ids[model.name, chunk] = {name: [] for name in steps}
        for verdict in pending_verdicts(run, chunk, model, plan):
            name = verdict.judge.name
            mine[name].append(steps[name].add(chunk, model.name, verdict.key, verdict.request))
    with _replies(run, list(steps.values()), watch) as replies:
        return _sum(
            score_chunk(run, chunk, model, plan, _from(replies, ids[model.name, chunk])) for model, chunk in work
        )


def refuse_open_batches(run: RunStore) -> None:
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


def _from(replies: Mapping[str, ChatReply], ids: Mapping[str, Sequence[str]]) -> Ask:
    """Return an `Ask` that answers the requests with these ids, by the model asked, from what the batches brought."""

    def ask(
        requests: Sequence[ChatRequest],
        model: ModelConfig,
        on_reply: Callable[[int, ChatReply], None],
        *,
        label: str,
    ) -> Future[None]:
        counts = chat_engine().counts.setdefault(label, ModelCounts())
        for position, (_, custom_id) in enumerate(zip(requests, ids[model.name], strict=True)):
            reply = replies[custom_id]
            on_reply(position, reply)
            counts.count(reply)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    return ask


@contextmanager
def _replies(run: RunStore, steps: Sequence[_Step], watch: Watch) -> Iterator[Mapping[str, ChatReply]]:
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
                under_way.append((api, log, _begin(api, log, step.requests, step.model)))
            else:
                for batch in log.open():  # a kill came between storing the last reply and noting that
                    log.ended(batch, "stored before")
        for api, log, batches in under_way:
            for batch, state in zip(batches, watch_batches(api, log, batches, watch), strict=True):
                replies |= api.replies(state, batch.ids)
                stored.append((log, batch, state.status))
    yield replies
    for log, batch, status in stored:
        log.ended(batch, status)


def _begin(api: BatchApi, log: BatchLog, requests: Mapping[str, ChatRequest], model: ModelConfig) -> list[NotedBatch]:
    """Return the batches of earlier starts that are still wanted, and new ones for what is in none of them."""
    batches = []
    for batch in log.open():
        batch_id = batch.batch_id or api.find(batch.token)
        if batch_id is None:
            log.ended(batch, "never created")
        elif requests.keys().isdisjoint(batch.ids):
            log.ended(batch, "stored before")
        else:
            batches.append(log.created(batch, batch_id))
    begun = {custom_id for batch in batches for custom_id in batch.ids}
    rest = {custom_id: request for custom_id, request in requests.items() if custom_id not in begun}
    for file in batch_files(rest, model):
        chat_engine().raise_if_stopped()
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
