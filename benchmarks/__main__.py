"""Run the benchmarks and print their tables: `python -m benchmarks [commands engine ...]`."""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.commands import HEADER, measure_commands
from benchmarks.engine import SCENARIOS, measure
from benchmarks.evidence import measure_evidence
from benchmarks.indexing import measure_indexing, measure_passages
from benchmarks.scale import measure_scale


@contextmanager
def model_server() -> Iterator[str]:
    """Run the model server beside this process."""
    command = [sys.executable, "-m", "benchmarks.model_server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin
        assert server.stdout
        try:
            yield server.stdout.readline().strip()
        finally:
            server.stdin.close()


def main() -> None:
    """Measure and print; every row is printed as it is measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("parts", nargs="*", choices=[*_PARTS, []], help="what is measured; all if none is named")
    parser.add_argument("--documents", default="examples/faq/documents.json")
    parser.add_argument("--ground-truth", default="examples/faq/ground-truth.csv")
    parser.add_argument("--questions", type=int, default=10_000, help="questions of the memory benchmark")
    parser.add_argument("--passages", type=int, default=1_000_000, help="passages of the larger search benchmark")
    options = parser.parse_args()
    with model_server() as server:
        for part in options.parts or _PARTS:
            _PARTS[part](server, options)
            print(flush=True)


def _commands(server: str, options: argparse.Namespace) -> None:
    print(HEADER)
    for measured in measure_commands(server, options.documents, options.ground_truth):
        print(measured.row, flush=True)


def _engine(server: str, _: argparse.Namespace) -> None:
    print("| scenario | bar | wall / ideal | 429s | lost | CPU ms a request | wall s |")
    print("|---|---|---|---|---|---|---|")
    for scenario in SCENARIOS:
        m = measure(scenario, server)
        print(
            f"| {scenario.name}, {scenario.requests:,} requests | {scenario.bar} | {m.ratio:.2f} | {m.refused} "
            f"| {m.lost} | {m.cpu_ms:.1f} | {m.wall_s:.1f} |",
            flush=True,
        )


def _scale(server: str, options: argparse.Namespace) -> None:
    scale = measure_scale(options.questions, server)
    print(
        f"{scale.questions:,} questions, one model: {scale.memory_mib:.0f} MiB above the start; tenths of the "
        f"questions took {', '.join(f'{seconds:.1f}' for seconds in scale.deciles_s)} s."
    )


def _indexing(_: str, options: argparse.Namespace) -> None:
    i = measure_indexing(options.documents, options.ground_truth)
    print(
        f"{i.documents} documents: plain encode {i.encode_s:.1f} s, embed and index {i.index_s:.1f} s "
        f"({i.index_s / i.encode_s:.2f} of it), index again unchanged {i.again_s:.2f} s."
    )


def _search(_: str, options: argparse.Namespace) -> None:
    print(
        "| embedded index | built a second (of CPU) | memory MiB | text search: median, 95 % (CPU) ms "
        "| 1,000 vector searches (CPU) s | memory MiB |\n|---|---|---|---|---|---|"
    )
    for count, words in ((2_364, 200), (options.passages, 20)):
        b, s = measure_passages(count, words)
        print(
            f"| {count:,} passages of {words} words | {count / b.wall_s:,.0f} ({count / b.cpu_s:,.0f}) "
            f"| {b.memory_mib:.0f} | {s.text_ms.median:.2f}, {s.text_ms.p95:.2f} "
            f"({s.text_cpu_ms.median:.2f}, {s.text_cpu_ms.p95:.2f}) "
            f"| {s.vector_s:.1f} ({s.vector_cpu_s:.1f}) | {s.memory_mib:.0f} |",
            flush=True,
        )


def _evidence(_: str, __: argparse.Namespace) -> None:
    e = measure_evidence(100_000)
    print(
        f"{e.answers:,} answers with three metrics: summarised, compared and reported in {e.report_s:.1f} s and "
        f"{e.report_mib:.0f} MiB, compared with another such run in {e.compare_s:.1f} s and {e.compare_mib:.0f} MiB."
    )


_PARTS = {
    "commands": _commands,
    "engine": _engine,
    "scale": _scale,
    "indexing": _indexing,
    "search": _search,
    "evidence": _evidence,
}


if __name__ == "__main__":
    main()
