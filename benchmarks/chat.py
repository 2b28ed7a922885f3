"""People at the chat app, over HTTP, against a model of 200 ms: errors, the app's own time, what the database has at
the end. `python -m benchmarks.chat --database postgresql://... [--kill COMMAND --start COMMAND]` runs it.

The app, the model server, the people and the database share one machine. Each of the people asks, reads for some
seconds, and asks again. The app's own time is what a person waits beyond the model's 200 ms: sending, searching,
prompting, and coming back, measured by the person.
"""

import argparse
import asyncio
import json
import os
import random
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import numpy as np
import psutil
import sqlalchemy as sa

from benchmarks.__main__ import model_server
from benchmarks.model_server import Behaviour, behaviour_fields
from rageval.config.evaluation import DataConfig
from rageval.corpus.files import load_corpus
from rageval.monitoring.store.database import VARIABLE, open_database
from rageval.monitoring.store.schema import CONVERSATIONS

MODEL_S = 0.2
_READY = "Ask at "
_SETTLE_S = 60


@dataclass(kw_only=True)
class ChatMeasurement:
    """What the people met."""

    asked: list[str] = field(default_factory=list)
    own_s: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)


@contextmanager
def chat_app(folder: Path, model_url: str, database: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run `rageval chat` as a process of its own; yields its address."""
    command = [
        str(Path(sys.executable).parent / "rageval"), "chat", "--model", "m", "--base-url", model_url, "--port", "0",
        "--per-minute", "100000", "--max-concurrency", "400", "--output", str(folder),
    ]  # fmt: skip
    environment = os.environ | {VARIABLE: database, "OPENAI_API_KEY": "none"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        try:
            for line in process.stderr:
                if line.startswith(_READY):
                    yield line.removeprefix(_READY).split()[0], process
                    break
                print(line, end="", file=sys.stderr)
        finally:
            process.send_signal(signal.SIGTERM)
            for line in process.stderr:
                print(line, end="", file=sys.stderr)


async def person(
    number: int, session: aiohttp.ClientSession, url: str, questions: list[str], reads_s: float, until: float,
    measured: ChatMeasurement,
) -> None:  # fmt: skip
    """Ask and read until the time is over."""
    draws = random.Random(number)
    await asyncio.sleep(draws.uniform(0, reads_s or 0.2))
    while time.monotonic() < until:
        conversation_id = str(uuid.uuid4())
        question = f"{draws.choice(questions)} #{len(measured.asked)}"  # so that no vector of it is known yet
        body = {"question": question, "conversation_id": conversation_id}
        started = time.monotonic()
        try:
            async with session.post(f"{url}/api/ask", json=body) as response:
                await response.read()
                measured.statuses[str(response.status)] += 1
        except aiohttp.ClientError as error:
            measured.statuses[type(error).__name__] += 1
        measured.own_s.append(time.monotonic() - started - MODEL_S)
        measured.asked.append(conversation_id)
        await asyncio.sleep(draws.uniform(0.5, 1.5) * reads_s)


async def ask_all(
    url: str, questions: list[str], people: int, seconds: float, reads_s: float, faults: list[tuple[float, str]]
) -> ChatMeasurement:
    """Let the people ask, and run each command at its time."""
    measured, until = ChatMeasurement(), time.monotonic() + seconds
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session, asyncio.TaskGroup() as group:
        for number in range(people):
            group.create_task(person(number, session, url, questions, reads_s, until, measured))
        for after_s, command in faults:
            group.create_task(_later(after_s, command))
    return measured


async def _later(after_s: float, command: str) -> None:
    await asyncio.sleep(after_s)
    process = await asyncio.create_subprocess_exec(*shlex.split(command))
    await process.wait()


def stored(database: str, wanted: set[str]) -> tuple[int, int]:
    """Return how many of the conversations are in the database, and how many rows they have there."""
    column = CONVERSATIONS.c.conversation_id
    with open_database(database).reading() as connection:
        rows = [row for row in connection.execute(sa.select(column)).scalars() if row in wanted]
    return len(set(rows)), len(rows)


def main() -> None:
    """Measure, and print one row."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chat")
    parser.add_argument("--database", required=True)
    parser.add_argument("--people", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--reads-s", type=float, default=10, help="seconds that a person reads an answer")
    parser.add_argument("--kill", default="", help="command that ends the database after a third of the time")
    parser.add_argument("--start", default="", help="command that starts it again after half of it")
    options = parser.parse_args()
    questions = [question.question for question in load_corpus(DataConfig()).questions]
    faults = [(options.seconds / 3, options.kill), (options.seconds / 2, options.start)]
    with tempfile.TemporaryDirectory() as folder, model_server() as model:
        behaviour = behaviour_fields(Behaviour(latency_ms=1000 * MODEL_S, sigma=0.0))
        body = json.dumps(behaviour).encode()
        urllib.request.urlopen(
            urllib.request.Request(f"{model}/reset", body, {"Content-Type": "application/json"})
        ).close()
        with chat_app(Path(folder), f"{model}/v1", options.database) as (url, process):
            before_s = _processor_s(process.pid)
            measured = asyncio.run(
                ask_all(
                    url, questions, options.people, options.seconds, options.reads_s,
                    [(after_s, command) for after_s, command in faults if command],
                )
            )  # fmt: skip
            metrics = urllib.request.urlopen(f"{url}/metrics").read().decode()
            mib, used_s = _memory_mib(process.pid), _processor_s(process.pid) - before_s
    found, rows = stored(options.database, set(measured.asked))
    p50, p95, p99 = np.percentile(measured.own_s, [50, 95, 99]) * 1000
    print(
        "| people | reading s | answers a second | statuses | own ms p50 / p95 / p99 | of it, search "
        "| CPU ms an answer | lost | doubled | spooled | MiB |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    print(
        f"| {options.people} | {options.reads_s:g} | {len(measured.asked) / options.seconds:.1f} "
        f"| {dict(measured.statuses)} | {p50:.0f} / {p95:.0f} / {p99:.0f} | {_mean_ms(metrics, 'search'):.0f} "
        f"| {1000 * used_s / len(measured.asked):.0f} | {len(measured.asked) - found} | {rows - found} "
        f"| {_value(metrics, 'rageval_chat_records_spooled')} | {mib:.0f} |"
    )


def _value(metrics: str, name: str) -> str:
    return next(line.split()[1] for line in metrics.splitlines() if line.startswith(f"{name} "))


def _mean_ms(metrics: str, stage: str) -> float:
    total, count = (
        float(_value(metrics, f'rageval_chat_stage_seconds_{what}{{stage="{stage}"}}')) for what in ("sum", "count")
    )
    return 1000 * total / count


def _processes(pid: int) -> list[psutil.Process]:
    app = psutil.Process(pid)
    return [app, *app.children(recursive=True)]


def _processor_s(pid: int) -> float:
    return sum(sum(one.cpu_times()[:2]) for one in _processes(pid))


def _memory_mib(pid: int) -> float:
    return sum(one.memory_info().rss for one in _processes(pid)) / 2**20


if __name__ == "__main__":
    main()
