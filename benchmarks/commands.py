"""Whole commands as a user runs them: time, traffic and memory of each beside its bar.

A command is a process of its own. The model server says when its first request came and its last reply went, so what
lies before, between and after is told apart. Prefect's server counts neither for memory nor for CPU.
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.corpus import write_corpus
from benchmarks.engine import reset
from benchmarks.model_server import Behaviour
from benchmarks.processes import Watch
from rageval.config.evaluation import DataConfig
from rageval.corpus.files import load_corpus

_SLOTS = 64
_CORPUS = {"documents": "documents.json", "ground_truth": "questions.jsonl"}

HEADER = (
    "| command | bar | wall s | first request s | first request to last reply s | of the ideal | after it s | requests "
    "| CPU s | memory MiB |\n|---|---|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True, kw_only=True)
class CommandMeasurement:
    """One command, seen from outside."""

    name: str
    bar: str
    wall_s: float
    cpu_s: float
    requests: int
    first_request_s: float | None = None
    """From the start of the command; None without a request, as the others."""
    traffic_s: float | None = None
    """From the first request to the last reply."""
    ideal_s: float | None = None
    """What the replies took, 64 at once, if nothing else took any time."""
    memory_mib: float
    """The most of all its processes at once; what they share counts once."""

    @property
    def row(self) -> str:
        """Its row under `HEADER`."""
        cells = [self.name, self.bar, f"{self.wall_s:.1f}"]
        if self.first_request_s is None or self.traffic_s is None:
            cells += ["-"] * 4
        else:
            after_s = self.wall_s - self.first_request_s - self.traffic_s
            ratio = f"{self.traffic_s / self.ideal_s:.2f}" if self.ideal_s else "-"
            cells += [f"{self.first_request_s:.1f}", f"{self.traffic_s:.1f}", ratio, f"{after_s:.1f}"]
        cells += [f"{self.requests:,}", f"{self.cpu_s:.1f}", f"{self.memory_mib:.0f}"]
        return f"| {' | '.join(cells)} |"


@dataclass(frozen=True, kw_only=True)
class _Folder:
    """A user's folder, with a home of its own and a model server."""

    path: Path
    server: str

    def configure(self, name: str, *, models: int = 1, judge: bool = False, **settings: Any) -> None:
        """Write a configuration whose models the server answers for."""
        asked = [{"name": f"bench-{n}", "base_url": f"{self.server}/v1"} for n in range(models)]
        judged = {"judge": {"model": {"name": "judge", "base_url": f"{self.server}/v1"}}} if judge else {}
        config = {"data": _CORPUS, "retrievers": ["text"], "models": asked, **judged, **settings}
        (self.path / name).write_text(json.dumps(config))

    def measure(
        self, name: str, bar: str, *arguments: str, latency_ms: float = 0.0, status: int = 0
    ) -> CommandMeasurement:
        """Run a command, which has to end with this status."""
        reset(self.server, Behaviour(latency_ms=latency_ms))
        started = time.monotonic()
        with Watch(self._start(*arguments)) as watch:
            ended = watch.process.wait()
        wall_s = time.monotonic() - started
        if ended != status:
            raise SystemExit(f"{name}: status {ended}. {(self.path / 'output.log').read_text()[-2_000:]}")
        with urllib.request.urlopen(f"{self.server}/stats") as reply:
            stats = json.load(reply)
        measured = {"name": name, "bar": bar, "wall_s": wall_s, "cpu_s": watch.cpu_s, "memory_mib": watch.peak_mib}
        if not stats["accepted"]:
            return CommandMeasurement(requests=0, **measured)
        return CommandMeasurement(
            requests=stats["accepted"],
            first_request_s=stats["first"] - started,
            traffic_s=stats["last_reply"] - stats["first"],
            ideal_s=stats["sum_latency_s"] / _SLOTS or None,
            **measured,
        )

    def run(self, *arguments: str) -> None:
        """Run a command that nobody measures."""
        self._start(*arguments).wait()

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        home = str(self.path / "home")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        environment |= {"HOME": home, "XDG_CACHE_HOME": f"{home}/.cache", "PREFECT_HOME": f"{home}/.prefect"}
        environment |= {"RAGEVAL_KEEP_SERVER": "yes"}  # also in CI, and in a container
        command = [sys.executable, "-m", "rageval.cli.main", *arguments]
        with (self.path / "output.log").open("ab") as output:
            return subprocess.Popen(command, cwd=self.path, env=environment, stdout=output, stderr=output)


def measure_commands(server: str, documents: str, ground_truth: str) -> Iterator[CommandMeasurement]:
    """Measure every command, each in the state that those before it have left.

    Args:
        server: Address of the model server.
        documents: A FAQ.
        ground_truth: Its questions; at most a thousand of them are asked.
    """
    with TemporaryDirectory() as path:
        folder = _Folder(path=Path(path), server=server)
        (folder.path / "home").mkdir()
        try:
            yield from _small(folder)
            yield from _large(folder)
            yield _faq(folder, documents, ground_truth)
        finally:
            folder.run("server", "stop")


def _small(folder: _Folder) -> Iterator[CommandMeasurement]:
    write_corpus(folder.path, documents=100, questions=25)
    folder.configure("inner.yaml", models=2, metrics=["cosine", "rouge_l", "exact_match"])
    folder.configure("wrong.yaml", modles=[])
    yield folder.measure("`--help`", "", "--help")
    yield folder.measure("a file that is missing", "1 s", "evaluate", "missing.yaml", status=2)
    yield folder.measure("an unknown setting", "1 s", "evaluate", "wrong.yaml", status=2)
    evaluate = ("evaluate", "inner.yaml", "--run-id")
    yield folder.measure("25 questions, two models: a fresh home", "never fails", *evaluate, "a")
    folder.run("server", "stop")
    yield folder.measure("the same, no server running", "12 s", *evaluate, "b")
    yield folder.measure("the same, server running", "6 s", *evaluate, "c")
    yield folder.measure("a finished run again", "3 s, no request", *evaluate, "c")


def _large(folder: _Folder) -> Iterator[CommandMeasurement]:
    write_corpus(folder.path, documents=2_000, questions=1_000)
    folder.configure("large.yaml", judge=True, metrics=["relevance", "cosine"])
    name, evaluate = "1,000 answers and verdicts, 2,000 documents", ("evaluate", "large.yaml", "--run-id")
    yield folder.measure(name, "", *evaluate, "large", latency_ms=200)
    yield folder.measure("the same, vectors kept", "1.15; 700 MiB", *evaluate, "larger", latency_ms=200)


def _faq(folder: _Folder, documents: str, ground_truth: str) -> CommandMeasurement:
    data = {"documents": str(Path(documents).resolve()), "ground_truth": str(Path(ground_truth).resolve())}
    metrics = ["relevance", "correctness", "cosine"]
    questions = len(load_corpus(DataConfig(**data, filter_by="course")).questions)
    sampled = {**data, "filter_by": "course", "sample": min(questions, 1_000)}
    folder.configure("faq.yaml", judge=True, metrics=metrics, data=sampled, retrievers=["vector"])
    folder.run("index", "faq.yaml")
    name = f"a FAQ, {sampled['sample']:,} questions, two verdicts an answer"
    return folder.measure(name, "1.15", "evaluate", "faq.yaml", latency_ms=200)
