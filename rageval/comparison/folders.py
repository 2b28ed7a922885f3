"""Two folders of runs -> their comparison, question by question."""

from rageval.comparison.derived import with_derived
from rageval.comparison.measurements import RunTables
from rageval.comparison.pairing import Choice
from rageval.comparison.repeats import once
from rageval.comparison.run_comparison import RunComparison, compare_runs
from rageval.judging.table import unfit_metrics
from rageval.runs.manifest import read_manifest
from rageval.runs.measured_tables import measured_tables
from rageval.runs.run import Run
from rageval.statistics.verdicts import RELEVANT


def compare(a: Run, b: Run, choice: Choice, *, common: bool = False, relevant: float = RELEVANT) -> RunComparison:
    """Compare run B, the candidate, with run A, the baseline.

    Args:
        a: The baseline.
        b: The candidate.
        choice: Which metrics, systems and retrievers.
        common: Compare the questions that both runs have, though one has others, too.
        relevant: A difference that would matter, in the metric's unit, above 0.

    Raises:
        DataError: If a folder holds no run, a table is missing or damaged, or nothing of the runs can be compared.
        ConfigError: If a named system or retriever is not in its run.
    """
    name_a, name_b = names_apart(a, b)
    return compare_runs(read_run(a, name_a), read_run(b, name_b), choice, common=common, relevant=relevant)


def names_apart(a: Run, b: Run) -> tuple[str, str]:
    """Return names that tell two runs apart: their ids, or their folders where the ids are the same."""
    return (a.run_id, b.run_id) if a.run_id != b.run_id else (a.folder, b.folder)


def read_run(run: Run, name: str) -> RunTables:
    """Return what a run holds.

    Raises:
        DataError: If the folder holds no run, or a table is missing or damaged.
    """
    tables = measured_tables(run)
    tables["scores"] = with_derived(tables["questions"], tables["scores"])
    tables["answers"], tables["scores"] = once(tables["answers"], tables["scores"])
    return RunTables(
        name=name,
        manifest=read_manifest(run),
        **tables,
        unfit=unfit_metrics(run.read("judging")) if run.has("judging") else frozenset(),
    )
