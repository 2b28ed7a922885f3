"""The whole command on 1,830 questions with a warm index: time to the first request, total, and the resume."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.engine import reset
from benchmarks.model_server import Behaviour

_DOCUMENTS, _QUESTIONS = 366, 1830


@dataclass(frozen=True, kw_only=True)
class Command:
    """Seconds of the whole command, seen from outside."""

    first_request_s: float
    wall_s: float
    answering_s: float
    without_prefect_s: float
    """The same steps on the same questions by the same functions, called from a plain thread pool."""
    resume_s: float
    requests: int
    resume_requests: int


def measure_command(server: str) -> Command:
    """Run `rageval evaluate` twice with the same run id, after `rageval index`."""
    with TemporaryDirectory() as folder:
        _write_corpus(Path(folder))
        rageval = [sys.executable, "-m", "rageval.cli.main"]
        data = ["--documents", f"{folder}/documents.json", "--output", f"{folder}/runs"]
        environment = os.environ | {"PREFECT_HOME": f"{folder}/prefect"}
        subprocess.run([*rageval, "index", *data], check=True, env=environment, stdout=subprocess.DEVNULL)
        evaluate = [
            *rageval, "evaluate", *data, "--ground-truth", f"{folder}/questions.jsonl", "--model", "bench",
            "--base-url", f"{server}/v1", "--run-id", "bench",
        ]  # fmt: skip
        reset(server, Behaviour(latency_ms=200))
        times, counts, first = [], [], []
        for _ in range(2):
            started = time.monotonic()
            subprocess.run(evaluate, check=True, env=environment, stdout=subprocess.DEVNULL)
            times.append(time.monotonic() - started)
            with urllib.request.urlopen(f"{server}/stats") as reply:
                stats = json.load(reply)
            counts.append(stats["accepted"])
            first.append(stats["first"] - started)
        reset(server, Behaviour(latency_ms=200))
        started = time.monotonic()
        plain = ["--documents", f"{folder}/documents.json", "--ground-truth", f"{folder}/questions.jsonl"]
        command = [sys.executable, "-m", "benchmarks.without_prefect", *plain, "--output", f"{folder}/runs"]
        subprocess.run([*command, "--base-url", f"{server}/v1"], check=True)
        without = time.monotonic() - started
        manifest = json.loads(Path(f"{folder}/runs/bench/run.json").read_text())
        return Command(
            first_request_s=first[0],
            wall_s=times[0],
            answering_s=manifest["starts"][0]["seconds"]["answers_and_scores"],
            without_prefect_s=without,
            resume_s=times[1],
            requests=counts[0],
            resume_requests=counts[1] - counts[0],
        )


def _write_corpus(folder: Path) -> None:
    documents = [
        {"id": f"d{n}", "course": "c", "section": "s", "question": f"What is subject {n}?",
         "text": f"Subject {n} is one of many, and this text says a little about number {n}. " * 5}
        for n in range(_DOCUMENTS)
    ]  # fmt: skip
    (folder / "documents.json").write_text(json.dumps(documents))
    with (folder / "questions.jsonl").open("w") as file:
        for n in range(_QUESTIONS):
            subject = n % _DOCUMENTS
            row = {"question": f"Question {n} about subject {subject}", "course": "c", "document": f"d{subject}"}
            file.write(json.dumps(row) + "\n")
