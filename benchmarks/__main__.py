"""Run the benchmarks and print their tables: `python -m benchmarks [--documents F --ground-truth F]`."""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.command import measure_command
from benchmarks.engine import SCENARIOS, measure
from benchmarks.evidence import measure_evidence
from benchmarks.indexing import measure_indexing
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
    parser.add_argument("--documents", default="examples/faq/documents.json")
    parser.add_argument("--ground-truth", default="examples/faq/ground-truth.csv")
    parser.add_argument("--questions", type=int, default=10_000, help="questions of the memory benchmark")
    options = parser.parse_args()
    print("| scenario | bar | wall / ideal | 429s | lost | CPU ms a request | wall s |")
    print("|---|---|---|---|---|---|---|")
    with model_server() as server:
        for scenario in SCENARIOS:
            m = measure(scenario, server)
            print(
                f"| {scenario.name}, {scenario.requests:,} requests | {scenario.bar} | {m.ratio:.2f} | {m.refused} "
                f"| {m.lost} | {m.cpu_ms:.1f} | {m.wall_s:.1f} |",
                flush=True,
            )
        c = measure_command(server)
        scale = measure_scale(options.questions, server)
    i = measure_indexing(options.documents, options.ground_truth)
    e = measure_evidence(100_000)
    print(
        f"""
Whole command, 1,830 questions, warm index: first request after {c.first_request_s:.1f} s, {c.requests:,} requests in
{c.answering_s:.1f} s, all in all {c.wall_s:.1f} s; without Prefect {c.without_prefect_s:.1f} s, so Prefect's share is
{1 - c.without_prefect_s / c.wall_s:.0%}. Resumed when finished: {c.resume_s:.1f} s,
{c.resume_requests} requests.

{scale.questions:,} questions, one model: {scale.memory_mib:.0f} MiB above the start; tenths of the questions took
{", ".join(f"{seconds:.1f}" for seconds in scale.deciles_s)} s.

{i.documents} documents: plain encode {i.encode_s:.1f} s, embed and index {i.index_s:.1f} s \
({i.index_s / i.encode_s:.2f} of it), index again unchanged {i.again_s:.2f} s.

{e.answers:,} answers with three metrics: summarised, compared and reported in {e.report_s:.1f} s and \
{e.report_mib:.0f} MiB, compared with another such run in {e.compare_s:.1f} s and {e.compare_mib:.0f} MiB."""
    )


if __name__ == "__main__":
    main()
