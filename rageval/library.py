"""The front door: an evaluation, runs and comparisons from Python, without Prefect."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from rageval.comparison.folders import compare as compare_stored
from rageval.comparison.pairing import Choice
from rageval.comparison.sentences import sentences
from rageval.config.evaluation import EvaluationConfig
from rageval.config.file import read_settings
from rageval.config.models import ModelConfig
from rageval.config.overrides import choose_judge, choose_models, put, set_for_remote_models, validate
from rageval.engine.request_engine import RequestEngine
from rageval.errors import DataError
from rageval.pipeline.evaluation import evaluate_run
from rageval.pipeline.given import choose_systems, with_questions
from rageval.pipeline.steps import ThreadSteps
from rageval.runs import folders
from rageval.runs.manifest import read_manifest
from rageval.runs.run import Run
from rageval.scoring.frames import metrics_of, score_frame

_NO_SYSTEMS: Final[Mapping[str, Callable[..., Any] | Mapping[str, Any]]] = {}
_LATER: Final = "questions.jsonl"
"""Stands for the file of a frame until there is a folder for it."""


def evaluate(
    config: EvaluationConfig | Mapping[str, Any] | str | Path | None = None,
    *,
    questions: pd.DataFrame | str | Path | None = None,
    systems: Mapping[str, Callable[..., Any] | Mapping[str, Any]] = _NO_SYSTEMS,
    metrics: Sequence[str] = (),
    sample: int | None = None,
    models: Sequence[str] = (),
    judge: str | None = None,
    base_url: str | None = None,
    output: str | None = None,
    run_id: str | None = None,
) -> Run:
    """Evaluate, and return the run: answers, scores and a report in one folder.

    With nothing given, the sample corpus is evaluated with the embedded model, which needs the extra `local`.

    Args:
        config: A YAML file, its content, or a configuration; None for the defaults.
        questions: What is asked: a file, or a frame with a column `question` and whatever is known of the answers, in
            the columns that a file may have; it is kept in the run's folder.
        systems: What answers, by name, in place of the configuration's systems: functions of a question, sync or
            async, that are called in threads of this process and return a text, a mapping or a `rageval.Answer`; or
            settings such as `{"kind": "http", "url": ...}`.
        metrics: Names of metrics; empty for the configuration's.
        sample: Ask only so many questions, at least 1, drawn at random with `data.seed`.
        models: Names of the models that answer, in place of the configuration's.
        judge: Name of the model that judges, in place of the configuration's; an empty text for none.
        base_url: Endpoint of all models but the embedded one.
        output: Folder, or URL, that holds one folder per run.
        run_id: Name of the run; that of an earlier one resumes it.

    Raises:
        ConfigError: If settings or prompts cannot be used.
        DataError: If documents or questions cannot be used.
        CredentialsError, ServiceError: If a model or a search engine cannot be reached.
        RunStoppedError: If the run is not complete; what is finished is saved, and `run_id` resumes it.
    """
    settings = _settings(config)
    functions = choose_systems(settings, systems)
    if isinstance(questions, (str, Path)):
        put(settings, "data.ground_truth", str(questions))
    if metrics:
        put(settings, "metrics", list(metrics))
    for path, value in (("data.sample", sample), ("run.output", output), ("run.run_id", run_id)):
        if value is not None:
            put(settings, path, value)
    choose_models(settings, models)
    choose_judge(settings, judge or None, disabled=judge == "")
    set_for_remote_models(settings, {"base_url": base_url})
    if isinstance(questions, pd.DataFrame):
        put(settings, "data.ground_truth", _LATER)
    checked = validate(EvaluationConfig, settings)
    run = folders.open_run(checked.run)
    if isinstance(questions, pd.DataFrame):
        checked = with_questions(run, questions, checked)
    evaluate_run(run, checked, ThreadSteps(), functions)
    return run


def score(
    frame: pd.DataFrame, *, metrics: Sequence[str] = (), judge: str | Mapping[str, Any] | None = None,
    base_url: str | None = None, max_cost_usd: float | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Score answers that are there already, whoever gave them, without a run.

    Args:
        frame: A row for each answer: `question` and `answer`, and whatever the metrics need of `reference` and
            `contexts`, a list of texts. An answer that is None is no answer.
        metrics: Names of metrics; empty for those of the default that the columns, and whether there is a judge, allow.
        judge: The model that judges: its name, or the settings of a model such as `{"name": "gpt-5-mini", "rpm": 500}`.
        base_url: Its endpoint, in place of OpenAI's.
        max_cost_usd: US dollars that the judge may cost.

    Returns:
        A row for each answer and metric, with columns `row` (of the frame's index), `metric`, `metric_version`,
        `status` (ok, unscored, failed or skipped), `value`, `label`, `reason`, `error` and `judge_model`. What the
        judge cost in US dollars is in `attrs["cost_usd"]`, None if that is unknown.

    Raises:
        ConfigError: If a metric is not known, or lacks a column or a judge.
        DataError: If a column is missing, or a value of no use.
        CredentialsError, ServiceError: If the judge cannot be reached.
        RunStoppedError: If the ceiling is reached.
    """
    for column in ("question", "answer"):
        if column not in frame.columns:
            raise DataError(f"the frame has no column {column}; it has {', '.join(map(str, frame.columns))}")
    settings = {"name": judge} if isinstance(judge, str) else dict(judge or {})
    model = validate(ModelConfig, settings | ({"base_url": base_url} if base_url else {})) if settings else None
    chosen = metrics_of(metrics, list(frame.columns), has_judge=model is not None)
    with RequestEngine(max_cost_usd=max_cost_usd) as engine:
        scores = score_frame(frame, chosen, model, engine)
        scores.attrs["cost_usd"] = engine.spending.known_usd
    return scores


def open_run(folder: str | Path) -> Run:
    """Return a run that is there.

    Args:
        folder: Its folder, or URL.

    Raises:
        DataError: If the folder holds no run.
    """
    run = Run(str(folder))
    read_manifest(run)
    return run


def compare(
    baseline: Run | str | Path, candidate: Run | str | Path, *, metrics: Sequence[str] = (),
    common: bool = False,
) -> pd.DataFrame:  # fmt: skip
    """Compare a candidate with its baseline, question by question.

    Args:
        baseline: A run, or its folder.
        candidate: Another one.
        metrics: Names of metrics; empty for the leading ones.
        common: Compare the questions that both runs have, though one has others, too.

    Returns:
        A row per metric and system or retriever: `metric`, `of`, `baseline` and `candidate` (means over the questions
        that both have a value for), `difference` (candidate - baseline) with its 95 % interval `ci_low` and `ci_high`,
        clustered by document, `p_value` (adjusted for all rows), `min_detectable`, `n`, `verdict`. Sentences on all of
        it are in `attrs["sentences"]`, what a reader has to know before in `attrs["warnings"]`.

    Raises:
        DataError: If nothing of the runs can be compared; the message says why.
    """
    a, b = (run if isinstance(run, Run) else open_run(run) for run in (baseline, candidate))
    found = compare_stored(a, b, Choice(metrics=tuple(metrics)), common=common)
    rows = [
        {
            "metric": row.metric,
            "of": row.pair.name,
            "baseline": row.mean_a,
            "candidate": row.mean_b,
            "difference": row.difference.mean if row.difference else None,
            "ci_low": row.difference.low if row.difference else None,
            "ci_high": row.difference.high if row.difference else None,
            "p_value": row.p_value,
            "min_detectable": row.difference.smallest_detectable if row.difference else None,
            "n": row.n,
            "verdict": row.verdict,
        }
        for row in found.compared
    ]
    frame = pd.DataFrame(rows)
    frame.attrs = {"sentences": sentences(found), "warnings": list(found.warnings)}
    return frame


def _settings(config: EvaluationConfig | Mapping[str, Any] | str | Path | None) -> dict[str, Any]:
    if config is None:
        return {}
    if isinstance(config, EvaluationConfig):
        return config.model_dump(mode="json")
    if isinstance(config, Mapping):
        return dict(config)
    return read_settings(Path(config))
