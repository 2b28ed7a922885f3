"""Many answers with three metrics: how long a summary, a comparison and the report take, and in how much memory."""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa

from rageval.config.evaluation import EvaluationConfig
from rageval.config.models import ModelConfig
from rageval.metrics.correctness import CORRECTNESS
from rageval.metrics.cosine import COSINE
from rageval.metrics.metric import JudgeMetric
from rageval.metrics.relevance import RELEVANCE
from rageval.runs import life
from rageval.runs.manifest import Dataset
from rageval.runs.run import Run
from rageval.systems.kinds import describe_systems, make_systems
from rageval.tables import ANSWERS, DOCUMENTS, QUESTIONS, RETRIEVAL, SCORES

_LABELS = np.array(["NON_RELEVANT", "PARTLY_RELEVANT", "RELEVANT"])
_PER_DOCUMENT = 5


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Seconds and MiB of one process that summarises, compares and reports, imports included."""

    answers: int
    report_s: float
    report_mib: float
    compare_s: float
    compare_mib: float


def measure_evidence(questions: int) -> Evidence:
    """Write two runs of so many questions with one system each, report the one, and compare both."""
    with TemporaryDirectory() as folder:
        runs = [_write_run(Path(folder) / name, questions, seed) for seed, name in enumerate(("a", "b"))]
        report_s, report_mib = _timed("report", runs[0])
        compare_s, compare_mib = _timed("compare", *runs)
    return Evidence(
        answers=questions, report_s=report_s, report_mib=report_mib, compare_s=compare_s, compare_mib=compare_mib
    )


def _timed(*arguments: str) -> tuple[float, float]:
    """Return seconds and peak resident MiB of `rageval` with these arguments, in a process of its own."""
    code = (
        "import resource, sys; from rageval.cli.main import main\n"
        "try: main()\n"
        "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, file=sys.stderr)"
    )
    started = time.monotonic()
    ended = subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True)
    return time.monotonic() - started, float(ended.stderr.split()[-1])


def _write_run(folder: Path, questions: int, seed: int) -> str:
    random = np.random.default_rng(seed)
    run = Run(str(folder))
    config = EvaluationConfig(models=(ModelConfig(name="bench"),))
    life.begin(run, config, [])
    documents = questions // _PER_DOCUMENT
    ids = pa.array([f"q{n:09d}" for n in range(questions)])
    owners = pa.array([f"d{n // _PER_DOCUMENT}" for n in range(questions)])
    _write(run, "documents", DOCUMENTS, documents, {"document_id": pa.array([f"d{n}" for n in range(documents)])})
    of_each = pa.ListArray.from_arrays(pa.array(np.arange(questions + 1), pa.int32()), owners)
    asked = {"question_id": ids, "relevant_ids": of_each, "relevant_grades": pa.array([[1]] * questions)}
    _write(run, "questions", QUESTIONS, questions, {**asked, "conversation": _repeat("", questions)})
    ranks = random.integers(1, 8, questions)
    found = [
        [f"d{(n // _PER_DOCUMENT + step - rank) % documents}" for step in range(1, 11)] for n, rank in enumerate(ranks)
    ]
    _write(run, "retrieval", RETRIEVAL, questions, {
        "question_id": ids, "retriever": _repeat("vector", questions), "document_ids": pa.array(found),
        "first_relevant_rank": pa.array(ranks),
    })  # fmt: skip
    describe_systems(run, make_systems(config))
    keys = {"question_id": ids, "system": _repeat("bench", questions)}
    _write(run, "answers", ANSWERS, questions, {
        **keys, "context_ids": pa.array([of_one[: config.retrieval.top_k] for of_one in found]),
        "status": _repeat("ok", questions), "answer": _repeat("An answer of a few words.", questions),
    })  # fmt: skip
    labels = random.integers(0, 3, questions)
    parts = []
    for metric in (COSINE, CORRECTNESS, RELEVANCE):
        judged = isinstance(metric, JudgeMetric)
        parts.append({
            **keys, "metric": _repeat(metric.name, questions), "status": _repeat("ok", questions),
            "value": pa.array(labels / 2 if judged else random.random(questions)),
            "label": pa.array(_LABELS[labels]) if judged else pa.nulls(questions, pa.string()),
            "judge_model": _repeat("bench", questions) if judged else pa.nulls(questions, pa.string()),
        })  # fmt: skip
    scores = {name: pa.chunked_array([part[name] for part in parts]) for name in parts[0]}
    _write(run, "scores", SCORES, 3 * questions, scores)
    life.describe_data(
        run,
        Dataset(documents=documents, questions=questions, documents_fingerprint="d", questions_fingerprint="q"),
    )
    life.finish(run, reason=None, timings={})
    return run.folder


def _repeat(value: str, n: int) -> pa.Array:
    return pa.array([value]).take(pa.array(np.zeros(n, np.int64)))


def _write(run: Run, table: str, schema: pa.Schema, n: int, columns: dict[str, pa.Array]) -> None:
    """Write a table whose other columns hold a text, nothing, or ones."""
    filled = []
    for field in schema:
        if field.name in columns:
            column = columns[field.name].cast(field.type)
        elif field.nullable:
            column = pa.nulls(n, field.type)
        elif pa.types.is_list(field.type):
            column = pa.array([[]] * n, field.type)
        elif pa.types.is_string(field.type):
            column = _repeat("A text of about as many words as an entry of a FAQ may have.", n)
        else:
            column = pa.array(np.ones(n, np.int64)).cast(field.type)
        filled.append(column)
    run.write(table, pa.table(filled, schema=schema))
