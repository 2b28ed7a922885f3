"""What is asked once more: which cut answers, what becomes of the scores of an answer that is replaced, what was paid.

A start that asks again pays again. What earlier starts have paid for the same row stays part of its requests and
dollars, so that the totals and the ceiling of a run hold over all its starts.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from functools import lru_cache
from typing import Any, Final

from rageval.engine.requests import ChatReply
from rageval.records import Chunk, Score, Usage
from rageval.runs.journals import Row
from rageval.runs.run import Run
from rageval.runs.shortfalls import ANSWER_COLUMNS, cut_systems, is_cut
from rageval.storage.places import Place, version
from rageval.systems.system import System

_USAGE: Final = ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens")
_WITHOUT_VALUE: Final[dict[str, Any]] = {
    "value": None,
    "label": None,
    "reason": None,
    "raw_reply": None,
    "thinking": None,
}
_REPLACED: Final = "the answer was asked for again"


def cut_again(run: Run, system: System, limit: float) -> bool:
    """Return whether the system's cut answers are asked for again: more than that share were cut.

    The embedded model's are not, see `rageval.runs.shortfalls`.

    What counts is how an earlier start ended, so it stays the same while this one goes on.
    """
    if system.model.is_local or not run.has("answers"):
        return False
    path = run.path / "answers.parquet"
    return system.name in _cut_systems(run, path, version(path), limit)


@lru_cache(maxsize=2)
def _cut_systems(run: Run, path: Place, changed: str, limit: float) -> frozenset[str]:
    del path, changed  # parts of the cache's key: a table that is written again is read again
    return cut_systems(run.read("answers", ANSWER_COLUMNS), limit)


def is_asked_again(row: Row | None, *, cut: bool, only_failed: bool) -> bool:
    """Return whether an answer has to be asked for.

    Args:
        row: What is stored of it.
        cut: Whether answers that were cut are asked for again, see `cut_again`.
        only_failed: Whether those that are missing are left alone.
    """
    if row is None:
        return not only_failed
    return row["status"] == "failed" or (cut and is_cut(row["status"], row["finish_reason"]))


def with_earlier(reply: ChatReply, before: Row | None) -> dict[str, Any]:
    """Return `attempts` and `cost_usd` of a row: those of the reply, and of what was paid for the row before."""
    attempts, cost_usd = reply.attempts, reply.cost_usd
    if before and before["attempts"]:
        attempts += before["attempts"]
        if has_reply(before):
            both = (cost_usd, before["cost_usd"])
            cost_usd = None if None in both else sum(cost for cost in both if cost is not None)
    return {"attempts": attempts, "cost_usd": cost_usd}


def has_reply(row: Row) -> bool:
    """Return whether a row that requests were sent for got a reply, which is what is paid for."""
    return row["status"] != "failed" or row["cost_usd"] is not None or row["prompt_tokens"] is not None


def score_of(row: Row, **changes: Any) -> Score:
    """Return a stored score with some of its columns changed."""
    own = {name: value for name, value in row.items() if name not in _USAGE}
    return Score(**(own | changes), usage=Usage(**{name: row[name] for name in _USAGE}))


@contextmanager
def forgetting_scores(
    run: Run, chunk: Chunk, system: System, question_ids: Collection[str]
) -> Iterator[Callable[[str], None]]:
    """Yield what takes their values from the scores of an answer that is about to be replaced; what they cost stays.

    Args:
        run: The run.
        chunk: The chunk of the answers; nobody else may be scoring it.
        system: The system that gave the answers.
        question_ids: Whose answers may be replaced; for none of them nothing is read or opened.
    """
    if not question_ids:
        yield lambda _: None
        return
    rows: dict[str, list[Row]] = {}
    for (question_id, *_), row in run.stored("scores", system.name, chunk).items():
        rows.setdefault(question_id, []).append(row)
    with (
        closing(run.journal("computed", system.name, chunk)) as computed,
        closing(run.journal("scores", system.name, chunk)) as asked,
    ):

        def forget(question_id: str) -> None:
            for row in rows.get(question_id, ()):
                changes = _WITHOUT_VALUE | {"status": "skipped", "error": _REPLACED}
                (computed if row["judge_model"] is None else asked).append(score_of(row, **changes))

        yield forget
