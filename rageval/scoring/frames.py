"""A table of questions and answers -> its scores, without a run: what `rageval.score` does."""

import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from rageval.config.evaluation import IndexConfig
from rageval.config.models import ModelConfig
from rageval.engine.request_engine import RequestEngine
from rageval.engine.requests import ChatReply
from rageval.engine.served_models import check_models, serve_models
from rageval.errors import ConfigError, DataError
from rageval.judging.requests import NO_ANSWER, ScorableAnswer, read_reply, verdict_request
from rageval.metrics import catalogue
from rageval.metrics.metric import EmbeddingMetric, JudgeMetric, ScoreMetric, TextMetric
from rageval.records import Document, Question
from rageval.scoring.computed import computed

_COLUMNS: Final = ("row", "metric", "metric_version", "status", "value", "label", "reason", "error", "judge_model")


def metrics_of(names: Sequence[str], columns: Sequence[str], *, has_judge: bool) -> tuple[ScoreMetric, ...]:
    """Return the metrics that answers with these columns are scored by.

    Args:
        names: Names of metrics; empty for those of the default that the columns, and whether there is a judge, allow.
        columns: Columns of the table.
        has_judge: Whether anybody can be asked for verdicts.

    Raises:
        ConfigError: If a metric is not known, or lacks a column or a judge; the message says which.
    """
    try:
        chosen = catalogue.chosen(names)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    found: list[ScoreMetric] = []
    for metric in (*catalogue.judged(chosen), *catalogue.computed(chosen)):
        missing = [needed for needed in metric.evidence if needed not in columns]
        is_judged = isinstance(metric, JudgeMetric)
        if not missing and (has_judge or not is_judged):
            found.append(metric)
        elif names:
            lacks = f"the column {missing[0]}" if missing else "a judge; name one with judge="
            raise ConfigError(f"{metric.name} needs {lacks}")
    return tuple(found)


def score_frame(
    frame: pd.DataFrame, metrics: Sequence[ScoreMetric], judge: ModelConfig | None, engine: RequestEngine
) -> pd.DataFrame:
    """Return a row for each answer and metric; what cannot be scored is a row with a reason.

    Args:
        frame: `question` and `answer`, and whatever the metrics need of `reference` and `contexts`, a list of texts.
        metrics: As from `metrics_of`.
        judge: Who is asked; None where no metric asks anybody.
        engine: Asks it.

    Returns:
        Columns `row` (of the frame's index), `metric`, `metric_version`, `status` (ok, unscored, failed or skipped),
        `value`, `label`, `reason`, `error` and `judge_model`; one metric after the other, in the order of the frame.

    Raises:
        DataError: If a value of the frame is of no use; the message names its row.
        ConfigError: If a model that is needed is not installed.
        CredentialsError, ServiceError: If the judge cannot be reached.
        RunStoppedError: If the engine's ceiling is reached.
    """
    candidates = [_candidate(row, values) for row, values in zip(frame.index, frame.to_dict("records"), strict=True)]
    verdicts: dict[str, dict[int, dict[str, Any]]] = {}
    asked = [metric for metric in metrics if isinstance(metric, JudgeMetric)]
    if judge and asked:
        check_models([judge], engine)
        with serve_models([], [judge]) as served:
            verdicts = _verdicts(candidates, asked, served.judges[0], engine)
    rows: list[dict[str, Any]] = []
    for metric in metrics:
        values = verdicts[metric.name] if metric.name in verdicts else _computed(candidates, metric)
        name = judge.name if judge and isinstance(metric, JudgeMetric) else None
        about = {"metric": metric.name, "metric_version": metric.version, "judge_model": name}
        for position, row in enumerate(frame.index):
            skipped = {"status": "skipped", "value": None, "error": NO_ANSWER}
            rows.append({"row": row, **about, **values.get(position, skipped)})
    found = pd.DataFrame(rows, columns=list(_COLUMNS)).astype({"value": float})
    texts = [name for name in _COLUMNS if name not in ("row", "value")]
    found[texts] = found[texts].astype(object).where(found[texts].notna(), None)
    return found


def _candidate(row: Any, values: Mapping[str, Any]) -> ScorableAnswer:
    contexts = values.get("contexts", ())
    if isinstance(contexts, str) or not isinstance(contexts, Sequence | np.ndarray):
        raise DataError(f"row {row}: contexts has to be a list of texts, and is {type(contexts).__name__}")
    for name in ("question", "answer", "reference"):
        value = values.get(name, "")
        if not isinstance(value, str) and not (name == "answer" and pd.isna(value)):
            raise DataError(f"row {row}: {name} has to be a text, and is {type(value).__name__}")
    answer = values["answer"]
    return ScorableAnswer(
        question=Question(question_id=str(row), question=values["question"], references=(values.get("reference", ""),)),
        answer=answer if isinstance(answer, str) else None,
        contexts=[Document(document_id=str(i), text=str(text), content_hash="") for i, text in enumerate(contexts, 1)],
    )


def _verdicts(
    candidates: Sequence[ScorableAnswer], metrics: Sequence[JudgeMetric], judge: ModelConfig, engine: RequestEngine
) -> dict[str, dict[int, dict[str, Any]]]:
    """Return the columns of each verdict, by metric and position of the answer."""
    found: dict[str, dict[int, dict[str, Any]]] = {metric.name: {} for metric in metrics}
    positions = [position for position, candidate in enumerate(candidates) if candidate.answer is not None]

    def ask(metric: JudgeMetric) -> Future[None]:
        def keep(number: int, reply: ChatReply) -> None:
            found[metric.name][positions[number]] = read_reply(reply, metric.labels)

        requests = [verdict_request(candidates[position], metric, judge) for position in positions]
        return engine.submit(requests, judge, keep, label=judge.name)

    for future in [ask(metric) for metric in metrics]:
        future.result()
    return found


def _computed(candidates: Sequence[ScorableAnswer], metric: ScoreMetric) -> dict[int, dict[str, Any]]:
    """Return the columns of each value of a metric that asks no model, by position of the answer."""
    if not isinstance(metric, TextMetric | EmbeddingMetric):
        raise TypeError(f"{metric.name} asks a judge")
    answered = {position: c for position, c in enumerate(candidates) if c.answer is not None}
    if not answered:
        return {}
    with tempfile.TemporaryDirectory() as cache:
        columns = computed(metric, list(answered.values()), IndexConfig(), Path(cache))
    return dict(zip(answered, columns, strict=True))
