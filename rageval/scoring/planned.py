"""A chunk's answers and the plan -> the scores that they are to get, and which of these are missing."""

from collections.abc import Iterator, Mapping, Sequence

from rageval.judging.calls import Item
from rageval.judging.plan import ScorePlan
from rageval.judging.requests import ScorableAnswer, is_stale
from rageval.records import Chunk
from rageval.runs.contexts import shown_documents
from rageval.runs.inputs import read_inputs
from rageval.runs.journals import Row
from rageval.runs.run import Key, Run
from rageval.systems.system import System


def items_of(run: Run, chunk: Chunk, system: System, plan: ScorePlan) -> list[Item]:
    """Return every planned score of the chunk's answers, one metric after the other."""
    candidates = list(_candidates(run, chunk, system, plan))
    planned = [plan.scores(candidate.question.question_id) for candidate in candidates]
    names = dict.fromkeys(score.name for scores in sorted(planned, key=len, reverse=True) for score in scores)
    by_name = [{score.name: score for score in scores} for scores in planned]
    return [
        (candidate, scores[name])
        for name in names
        for candidate, scores in zip(candidates, by_name, strict=True)
        if name in scores
    ]


def _candidates(run: Run, chunk: Chunk, system: System, plan: ScorePlan) -> Iterator[ScorableAnswer]:
    inputs = read_inputs(run)
    answers = run.stored("answers", system.name, chunk)
    questions = inputs.of_chunk(chunk)
    for question in questions:
        answer = answers.get((question.question_id,), {})
        yield ScorableAnswer(
            question=question,
            answer=answer.get("answer"),
            retrieves_only=answer.get("status") == "ok" and answer.get("answer") is None,
            contexts=shown_documents(answer, inputs.documents) if answer else (),
        )


def key_of(item: Item) -> Key:
    """Return the key of its row."""
    return (item[0].question.question_id, item[1].name)


def pending_of(stored: Mapping[Key, Row], items: Sequence[Item], plan: ScorePlan, *, only_failed: bool) -> list[Item]:
    """Return the scores that have to be computed or asked for; majorities follow from others and are none of them."""
    return [
        item
        for item in items
        if not item[1].is_majority and _is_pending(stored.get(key_of(item)), item, only_failed, plan.renew)
    ]


def _is_pending(row: Row | None, item: Item, only_failed: bool, renew: bool) -> bool:
    """Return whether a score is missing, has failed, could not be read, or is of an answer that came later."""
    if row is None:  # what asks no model is not left out for what it costs
        return not only_failed or (item[1].judge is None and item[0].answer is not None)
    if row["status"] == "failed" or (row["status"] == "unscored" and item[1].judge):
        return True
    if row["status"] == "skipped" and item[0].answer is not None:
        return True
    return renew and is_stale(row, item[1])
