"""Two runs -> whether their questions and their metrics may be compared, and if not, why and what to do."""

from collections.abc import Mapping
from typing import Any

from rageval.comparison.measurements import Measurement, RunTables
from rageval.config.effects import SENT
from rageval.config.evaluation import EvaluationConfig
from rageval.metrics.catalogue import find
from rageval.metrics.metric import EmbeddingMetric

_JUDGE_SETTINGS = tuple(name for name in SENT if name not in ("model", "service_tier"))
"""What can change a verdict, besides the model; a tier says how soon it comes, and for how much."""


def other_questions(a: RunTables, b: RunTables) -> str | None:
    """Return how the questions of two runs differ, in words, or None if they are the same in any order."""
    mine, theirs = _question_ids(a), _question_ids(b)
    if mine == theirs:
        return None
    return (
        f"their questions differ: {len(mine & theirs):,} in both, {len(mine - theirs):,} only in {a.name}, "
        f"{len(theirs - mine):,} only in {b.name}"
    )


def not_comparable(a: RunTables, b: RunTables, of_a: Measurement, of_b: Measurement) -> str | None:
    """Return why one metric of two runs may not be compared and what to do, or None if it may.

    Retrieval must count the same documents as right. For answers, the documents must be the same, since they are
    references and contexts; cosine needs the same embedding model; a judge's verdicts the same judge with the same
    settings; and every score the same version of its metric.
    """
    if of_a.subject.is_retriever:
        return _other_right_documents(a, b)
    return (
        _other_documents(a, b)
        or _other_embedding(a, b, of_a)
        or _other_judge(a, b, of_a, of_b)
        or _other_version(a, b, of_a, of_b)
    )


def other_corpus(a: RunTables, b: RunTables) -> bool:
    """Return whether the documents of two runs differ in any way."""
    return bool(_documents(a) != _documents(b))


def judge_settings(config: EvaluationConfig) -> dict[str, dict[str, Any]]:
    """Return what can change a verdict of each judge in the configuration, by the judge's name."""
    first = config.judge.model or next(iter(config.answering_models), None)
    stored = {one.name: one.model_dump(mode="json") for one in (first, *config.judge.panel) if one}
    return {
        name: {"model": model["model"] or name} | {key: model[key] for key in _JUDGE_SETTINGS if model[key]}
        for name, model in stored.items()
    }


def _question_ids(run: RunTables) -> set[str]:
    return set(run.questions["question_id"].to_pylist())


def _documents(run: RunTables) -> str | None:
    return run.manifest.dataset.documents_fingerprint if run.manifest.dataset else None


def _other_right_documents(a: RunTables, b: RunTables) -> str | None:
    accepted = [run.depth.accept_alternates for run in (a, b)]
    if accepted[0] == accepted[1]:
        return None
    return (
        f"only {(a if accepted[0] else b).name} counts alternate documents as right; evaluate both runs with the same "
        "retrieval.accept_alternates"
    )


def _other_documents(a: RunTables, b: RunTables) -> str | None:
    if not other_corpus(a, b):
        return None
    return "the documents differ, and with them references and contexts; evaluate both runs on the same data.documents"


def _other_embedding(a: RunTables, b: RunTables, of_a: Measurement) -> str | None:
    mine, theirs = a.manifest.embedding_model, b.manifest.embedding_model
    if not isinstance(find(of_a.metric), EmbeddingMetric) or mine == theirs:
        return None
    return (
        f"the embedding models differ: {mine} in {a.name}, {theirs} in {b.name}; a cosine means something only within "
        "one of them, so compare the judge's verdicts instead"
    )


def _other_judge(a: RunTables, b: RunTables, of_a: Measurement, of_b: Measurement) -> str | None:
    if of_a.judges != of_b.judges and of_a.judges and of_b.judges:
        return (
            f"the judges differ: {', '.join(of_a.judges)} in {a.name}, {', '.join(of_b.judges)} in {b.name}; judge "
            "both runs with the same one (--judge)"
        )
    names = {name for judges in of_a.judges for name in judges.split(" + ")}
    mine, theirs = judge_settings(a.manifest.config), judge_settings(b.manifest.config)
    for name in sorted(names & mine.keys() & theirs.keys()):
        if mine[name] != theirs[name]:
            return (
                f"the judge {name} was asked with other settings ({_words(mine[name])} in {a.name}, "
                f"{_words(theirs[name])} in {b.name}); judge both runs with the same ones"
            )
    return None


def _other_version(a: RunTables, b: RunTables, of_a: Measurement, of_b: Measurement) -> str | None:
    versions = {*of_a.versions, *of_b.versions}
    if len(versions) < 2 or not (of_a.versions and of_b.versions):
        return None
    return (
        f"the metric was defined otherwise: version {' and '.join(of_a.versions)} in {a.name}, "
        f"{' and '.join(of_b.versions)} in {b.name}; score the older run again with `rageval rescore`"
    )


def _words(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())
