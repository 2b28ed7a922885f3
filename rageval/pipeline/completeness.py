"""Which folder a run has, and whether everything in it is done."""

from collections import Counter
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from rageval.config.evaluation import EvaluationConfig, RunOptions
from rageval.errors import ConfigError, RunStoppedError
from rageval.judging.plan import pairwise_rows, score_plan
from rageval.metrics.names import split_detail
from rageval.metrics.pairwise import PAIRWISE
from rageval.records import Chunk
from rageval.runs.inputs import question_ids
from rageval.runs.run import Run
from rageval.runs.shortfalls import ANSWER_COLUMNS, VERDICT_COLUMNS, cut_systems, in_words, too_many
from rageval.systems.system import System


def check_retry(run: Run, options: RunOptions) -> None:
    """Make sure that there is something to ask again for.

    Raises:
        ConfigError: If only failed requests are wanted, of a run that has not been started.
    """
    if options.retry_failed and not run.has("questions"):
        raise ConfigError(
            f"there is no run {run.run_id!r} in {run.path.parent} whose failed requests could be asked again; name "
            "one with --run-id, or leave --retry-failed out"
        )


def is_finished(run: Run, config: EvaluationConfig, questions: int) -> bool:
    """Return whether every answer and every score that is wanted is stored and none is to be asked for again.

    Scores beyond those, such as metrics that `rescore` has added, do not matter.
    """
    groups = len(config.plans) * questions * config.run.repeats
    if any(run.has_unmerged(table) or not run.has(table) for table in ("answers", "scores")):
        return False
    answers, scores = run.read("answers", ANSWER_COLUMNS), run.read("scores", ["metric", "status", "judge_model"])
    answered = pc.sum(pc.equal(answers["status"], "ok")).as_py() or 0
    if answered != groups or cut_systems(answers, config.run.max_failed_share, rambling=_rambling(config)):
        return False
    unreadable = pc.and_(pc.equal(scores["status"], "unscored"), pc.is_null(scores["judge_model"]))  # for this metric
    done = pc.is_in(scores["status"], pa.array(["ok", "not_measured"]))
    return not _missing_scores(run, config, scores.filter(pc.or_(done, unreadable)))


def merge(run: Run, systems: Iterable[System], chunks: Iterable[Chunk]) -> None:
    """Write the parts of all chunks into the run's tables."""
    order = [(system.name, chunk) for system in systems for chunk in chunks]
    run.merge_chunks("answers", order)
    run.merge_chunks("scores", order)


def too_many_failures(run: Run, config: EvaluationConfig) -> str | None:
    """Return why the run counts as incomplete, or None: a group of answers or verdicts has lost too many."""
    limit = config.run.max_failed_share
    answers, scores = run.read("answers", ANSWER_COLUMNS), run.read("scores", VERDICT_COLUMNS)
    found = too_many(answers, scores, limit, rambling=_rambling(config))
    if not found:
        return None
    return f"{in_words(found)}, more than run.max_failed_share = {limit:g} allows ({found[0].advice})"


def _rambling(config: EvaluationConfig) -> list[str]:
    return [plan.name for plan in config.plans if plan.model.is_local]


def what_is_missing(run: Run, config: EvaluationConfig, questions: int) -> str | None:
    """Return why a run that asked only for what had failed is incomplete, or None."""
    answers = len(config.plans) * questions * config.run.repeats
    scores = sum(_wanted_scores(run, config).values())
    missing_scores = sum(_missing_scores(run, config, run.read("scores", ["metric"])).values())
    for name, expected, missing in (
        ("answers", answers, answers - run.count("answers")),
        ("scores", scores, missing_scores),
    ):
        if missing > 0:
            return f"{missing} of {expected} {name} are missing, and run.retry_failed asks only for what has failed"
    return None


def raise_if_incomplete(run: Run, reason: str | None) -> None:
    """End a run that is not complete, saying how to go on.

    Raises:
        RunStoppedError: If there is a reason.
    """
    if reason:
        raise RunStoppedError(
            f"the run {run.run_id!r} is incomplete: {reason}. Everything finished is saved in {run.folder}; start it "
            f"again with --run-id {run.run_id}, and it asks only for what is missing, has failed or could not be read"
        )


def _wanted_scores(run: Run, config: EvaluationConfig) -> "Counter[str]":
    """Return how many rows of each score the run is to have; choices between two systems count together."""
    ids = question_ids(run)
    times = config.run.repeats
    wanted = Counter({name: times * len(config.plans) * n for name, n in score_plan(config).rows(ids).items()})
    return wanted + Counter({PAIRWISE.name: times * pairwise_rows(config, len(ids))})


def _missing_scores(run: Run, config: EvaluationConfig, scores: pa.Table) -> "Counter[str]":
    """Return how many rows of each wanted score are not in the table."""
    found: Counter[str] = Counter()
    for row in pc.value_counts(scores["metric"]).to_pylist():
        is_pairwise = split_detail(row["values"])[0] == PAIRWISE.name
        found[PAIRWISE.name if is_pairwise else row["values"]] += row["counts"]
    return _wanted_scores(run, config) - found
