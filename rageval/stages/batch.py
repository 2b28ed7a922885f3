"""All pending requests of a step -> the rows of its chunks, by way of the Batch API: half the price, within a day.

The batches go on at the provider whatever happens here. A new start finds them in the run's folder and collects them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager

from rageval.adapters.batch_api import BatchApi
from rageval.adapters.batch_lines import batch_files
from rageval.adapters.batch_log import BatchLog, NotedBatch, open_batches
from rageval.adapters.chat import chat_engine
from rageval.adapters.chat_call import ChatReply, ChatRequest, ModelCounts
from rageval.adapters.run_store import RunStore
from rageval.config import IndexConfig, ModelConfig
from rageval.errors import ConfigError
from rageval.fingerprint import digest
from rageval.records import Chunk
from rageval.stages.answers import answer_chunk, answers_label, pending_answers
from rageval.stages.batch_watch import Watch, watch_batches
from rageval.stages.chunks import Ask, ChunkOutcome
from rageval.stages.scores import pending_verdicts, score_chunk, verdicts_label


def answer_batch(run: RunStore, chunks: Sequence[Chunk], model: ModelConfig, watch: Watch) -> ChunkOutcome:
    """Ask the model whatever questions of the run have no answer yet; failed requests become rows.

    Raises:
        RagevalError: If the run has to end. What the batches bring is collected by the next start.
    """
    requests: dict[str, ChatRequest] = {}
    ids: dict[Chunk, list[str]] = {}
    for chunk in chunks:
        pending = [((question.question_id,), request) for question, request in pending_answers(run, chunk, model)]
        ids[chunk] = _add(requests, pending, chunk, model, model)
    with _replies(run, answers_label(model), model, requests, watch) as replies:
        return _sum(answer_chunk(run, chunk, model, _from(replies, ids[chunk])) for chunk in chunks)


def score_batch(
    run: RunStore,
    chunks: Sequence[Chunk],
    answering: Sequence[ModelConfig],
    *,
    index: IndexConfig,
    metrics: Sequence[str],
    judge: ModelConfig | None,
    watch: Watch,
) -> ChunkOutcome:
    """Score whatever answers of the run have no score yet; the judge gets those of all models at once.

    Args:
        run: The run, with the answers of all models stored.
        chunks: Whose answers to score.
        answering: The models that gave the answers.
        index: Names the embedding model for the cosine.
        metrics: What the judge is asked for, as from `judge_metrics`.
        judge: The judge, or None if `metrics` is empty.
        watch: How to wait.

    Raises:
        RagevalError: As for `answer_batch`.
    """
    work = [(model, chunk) for model in answering for chunk in chunks]
    requests: dict[str, ChatRequest] = {}
    ids: dict[tuple[str, Chunk], list[str]] = {}
    for model, chunk in work:
        pending = pending_verdicts(run, chunk, model, metrics, judge) if judge else []
        ids[model.name, chunk] = _add(requests, pending, chunk, model, judge or model)
    label = verdicts_label(judge) if judge else ""
    with _replies(run, label, judge, requests, watch) as replies:
        return _sum(
            score_chunk(
                run, chunk, model, index=index, metrics=metrics, judge=judge, ask=_from(replies, ids[model.name, chunk])
            )
            for model, chunk in work
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


def _add(
    requests: dict[str, ChatRequest],
    pending: Sequence[tuple[tuple[str, ...], ChatRequest]],
    chunk: Chunk,
    model: ModelConfig,
    asked: ModelConfig,
) -> list[str]:
    """Add a chunk's requests under ids that are the same in every start, and return the ids in order."""
    added = {
        digest(model.name, chunk.search_method, *key, request.fingerprint(asked)): request for key, request in pending
    }
    requests |= added
    return list(added)


def _from(replies: Mapping[str, ChatReply], ids: Sequence[str]) -> Ask:
    """Return an `Ask` that answers the requests with these ids from what the batches brought."""

    def ask(
        requests: Sequence[ChatRequest],
        model: ModelConfig,
        on_reply: Callable[[int, ChatReply], None],
        *,
        label: str,
    ) -> Future[None]:
        del model
        counts = chat_engine().counts.setdefault(label, ModelCounts())
        for position, (_, custom_id) in enumerate(zip(requests, ids, strict=True)):
            reply = replies[custom_id]
            on_reply(position, reply)
            counts.count(reply)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    return ask


@contextmanager
def _replies(
    run: RunStore, step: str, model: ModelConfig | None, requests: Mapping[str, ChatRequest], watch: Watch
) -> Iterator[Mapping[str, ChatReply]]:
    """Yield a reply to every request; once they are stored, at the end of the block, the batches are done with."""
    if model is None:
        yield {}
        return
    log = BatchLog(run, step)
    if not requests:
        for batch in log.open():  # a kill came between storing the last reply and noting that
            log.ended(batch, "stored before")
        yield {}
        return
    replies: dict[str, ChatReply] = {}
    with BatchApi(model) as api:
        batches = _begin(api, log, requests, model)
        states = watch_batches(api, log, batches, watch)
        for batch, state in zip(batches, states, strict=True):
            replies |= api.replies(state, batch.ids)
    yield replies
    for batch, state in zip(batches, states, strict=True):
        log.ended(batch, state.status)


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
