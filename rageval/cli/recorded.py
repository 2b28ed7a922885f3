"""Files of recorded answers and settings -> a scored run, shown in the terminal."""

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import orjson

from rageval.cli.resuming import show_resume_command
from rageval.config.columns import ColumnConfig
from rageval.config.evaluation import EvaluationConfig
from rageval.config.overrides import Settings, put, validate
from rageval.corpus.files import load_ahead
from rageval.corpus.recorded import systems_in
from rageval.corpus.trec import read_qrels, read_trec_run
from rageval.errors import RunStoppedError
from rageval.runs.folders import open_run
from rageval.runs.run import Run
from rageval.telemetry.tracing import about
from rageval.text.terminal import console, plain

_TREC_CUTOFFS = [1, 3, 5, 10, 100, 1000]


def score_recorded(path: str, columns: Sequence[dict[str, Any]], settings: Settings) -> None:
    """Score the answers of every system in a file.

    Raises:
        RagevalError: Whatever ended the run; what is finished is saved.
    """
    known = systems_in(path, [validate(ColumnConfig, column) for column in columns])
    settings["systems"] = [_system(path, columns, name) for name in known.systems]
    settings.setdefault("models", [])
    put(settings, "run.repeats", known.repeats)
    if known.further:
        console.print(
            f"{known.further:,} of {known.rows:,} answers are further ones to questions that have {known.repeats} "
            "already; they are not scored. Give them a column `repeat`, and every question as many",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
    _score(settings)


def score_trec(path: str, qrels: str, settings: Settings) -> None:
    """Score a run of TREC by qrels.

    Raises:
        RagevalError: Whatever ended the run.
    """
    settings.setdefault("models", [])
    run = open_run(validate(EvaluationConfig, settings).run)
    put(settings, "run.run_id", run.run_id)
    questions = ({"question_id": item.question_id, "relevant_ids": item.relevant_ids} | {
        "relevant_grades": item.relevant_grades
    } for item in read_qrels(qrels))  # fmt: skip
    results = [
        {"question_id": item.question_id, "system": item.system}
        | {"context_ids": [context.id for context in item.contexts or ()]}
        | {"context_scores": [context.score for context in item.contexts or ()]}
        for item in read_trec_run(path)
    ]
    put(settings, "data.ground_truth", _written(run, "qrels", questions))
    retrieval = settings.setdefault("retrieval", {})
    retrieval.setdefault("cutoffs", _TREC_CUTOFFS)
    score_recorded(_written(run, "results", iter(results)), [], settings)


def _written(run: Run, name: str, rows: Iterator[dict[str, Any]]) -> str:
    """Write rows as JSON Lines into the run's folder, from where it is resumed."""
    run.write_text(f"inputs/{name}.jsonl", "".join(orjson.dumps(row).decode() + "\n" for row in rows))
    return str(run.path / "inputs" / f"{name}.jsonl")


def _system(path: str, columns: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    named = {"name": name, "recorded_system": name} if name else {"name": PurePosixPath(path).name.partition(".")[0]}
    return {"kind": "recorded", "file": path, "columns": list(columns), **named}


def _score(settings: Settings) -> None:
    config = validate(EvaluationConfig, settings)
    load_ahead(config.data)
    from rageval.cli.run_summary import show_run
    from rageval.engine.served_models import check_cache
    from rageval.pipeline.evaluation import evaluate_run
    from rageval.pipeline.steps import ThreadSteps

    run = open_run(config.run)
    config = config.model_copy(update={"run": config.run.model_copy(update={"run_id": run.run_id})})
    check_cache(config.judges)
    with about(run_id=run.run_id):
        try:
            manifest = evaluate_run(run, config, ThreadSteps())
        except RunStoppedError:
            show_run(run)
            show_resume_command(run.run_id)
            raise
    show_run(run)
    for note in manifest.notes:
        console.print(plain(note), highlight=False, soft_wrap=True)
