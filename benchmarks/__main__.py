"""Run the benchmarks and print their tables: `python -m benchmarks [--documents F --ground-truth F]`."""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.engine import SCENARIOS, measure
from benchmarks.indexing import measure_indexing


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
    i = measure_indexing(options.documents, options.ground_truth)
    print(f"\n{i.documents} documents: plain encode {i.encode_s:.1f} s, embed and index {i.index_s:.1f} s ", end="")
    print(f"({i.index_s / i.encode_s:.2f} of it), index again unchanged {i.again_s:.2f} s")


if __name__ == "__main__":
    main()
