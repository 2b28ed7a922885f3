"""Compare two runs question by question, without asking any model."""

from typing import Annotated

from prefect import flow
from pydantic import Field

from rageval.comparison.pairing import Choice
from rageval.runs.run import Run
from tasks.compare import ComparedMetric, compare_runs
from tasks.ending import end_in_words


@flow(name="compare", flow_run_name="{run_b} against {run_a}")
def compare(
    run_a: str,
    run_b: str,
    metrics: tuple[str, ...] = (),
    common: bool = False,
    relevant: Annotated[float, Field(gt=0)] = 0.05,
    html: str = "",
) -> list[ComparedMetric]:
    """Compare a candidate with its baseline; the artifact `rageval-compare` holds what came out.

    Args:
        run_a: Folder of the baseline.
        run_b: Folder of the candidate.
        metrics: Names of metrics; empty for the leading ones.
        common: Compare the questions that both runs have, though one has others, too.
        relevant: A difference that would matter, in the metric's unit.
        html: Path of a page to write, too; empty for none.
    """
    choice = Choice(metrics=tuple(metrics))
    return end_in_words(
        lambda: compare_runs(Run(run_a), Run(run_b), choice, common=common, relevant=relevant, html=html)
    )
