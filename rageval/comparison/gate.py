"""A candidate and its baseline -> whether the candidate may pass."""

from rageval.comparison.folders import names_apart, read_run
from rageval.comparison.gating import Gate, check_choice, gate_runs, refused_gate, unfinished
from rageval.comparison.pairing import Choice
from rageval.runs.manifest import read_manifest
from rageval.runs.run import Run


def gate(
    candidate: Run,
    baseline: Run,
    choice: Choice,
    *,
    max_drop: float,
    allow_underpowered: bool = False,
    common: bool = False,
) -> Gate:
    """Compare a candidate with its baseline, and say whether it passes; see `gate_runs` for the rule.

    Args:
        candidate: The run that is to pass.
        baseline: The run it is measured against.
        choice: Which metrics, systems and retrievers.
        max_drop: The largest drop of a mean that may pass, in the metric's unit, above 0.
        allow_underpowered: Let pass what so few questions could not have shown.
        common: Compare the questions that both runs have, though one has others, too.

    Raises:
        ConfigError: If `max_drop` or a metric cannot be gated by, or a named system or retriever is not in its run.
        DataError: If a folder holds no run, or a table of a complete run is missing or damaged.
    """
    choice = check_choice(choice, max_drop)
    names = names_apart(baseline, candidate)
    runs = (baseline, candidate)
    manifests = {name: read_manifest(run) for name, run in zip(names, runs, strict=True)}
    if reasons := unfinished(manifests):
        return refused_gate(*names, max_drop, reasons)
    a, b = (read_run(run, name) for name, run in zip(names, runs, strict=True))
    return gate_runs(a, b, choice, max_drop=max_drop, allow_underpowered=allow_underpowered, common=common)
