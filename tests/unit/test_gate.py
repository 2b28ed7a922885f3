"""The gate on runs made by hand: what passes, what fails, and how often it fails by accident."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from rageval.comparison.gate import gate
from rageval.comparison.gating import Gate, gate_runs
from rageval.comparison.markdown import render_gate
from rageval.comparison.measurements import RunTables
from rageval.comparison.pairing import Choice
from rageval.comparison.sentences import gate_rows, gate_sentence
from rageval.errors import ConfigError
from rageval.metrics.correctness import CORRECTNESS
from rageval.runs.manifest import read_manifest
from rageval.runs.run import Run
from rageval.tables import JUDGING
from tests.made_runs import Values, write_run

GOOD = [1.0] * 200
TEN_WORSE = [0.0] * 20 + [1.0] * 180
"""A drop of 0.1 in 20 of 200 questions."""


def gated(
    tmp_path: Path,
    baseline: Values,
    candidate: Values,
    *,
    metric: str = CORRECTNESS.name,
    max_drop: float = 0.02,
    allow_underpowered: bool = False,
    **changes: object,
) -> Gate:
    a = write_run(tmp_path / "a", scores={"m": {metric: baseline}})
    b = write_run(tmp_path / "b", scores={"m": {metric: candidate}}, **changes)  # type: ignore[arg-type]
    choice = Choice(metrics=(metric,))
    return gate(b, a, choice, max_drop=max_drop, allow_underpowered=allow_underpowered)


def outcomes(found: Gate) -> list[str]:
    return [row.outcome for row in found.rows]


def test_a_drop_beyond_the_noise_fails(tmp_path: Path) -> None:
    found = gated(tmp_path, GOOD, TEN_WORSE)

    assert not found.passed
    assert outcomes(found) == ["worse"]
    assert gate_sentence(found).startswith("Failed: correctness of m got worse by 0.100")
    assert "**Failed: " in render_gate(found)


def test_a_rise_passes_though_so_few_questions_could_not_show_a_drop(tmp_path: Path) -> None:
    found = gated(tmp_path, TEN_WORSE, GOOD)

    assert found.passed
    assert gate_sentence(found) == "Passed: b did not get worse than a by more than 0.02 beyond the noise."
    assert gate_rows(found)[0]["difference"].startswith("+0.100 [+")


def test_a_real_drop_that_is_smaller_than_allowed_passes(tmp_path: Path) -> None:
    assert outcomes(gated(tmp_path, GOOD, TEN_WORSE, max_drop=0.15)) == ["passed"]


def test_a_larger_drop_within_the_noise_does_not_count_as_worse(tmp_path: Path) -> None:
    # 9 of 20 questions lose 1 and 6 gain 1: a drop of 0.15, and nothing but noise.
    baseline = [1.0] * 9 + [0.0] * 6 + [1.0] * 5
    candidate = [0.0] * 9 + [1.0] * 6 + [1.0] * 5

    found = gated(tmp_path, baseline, candidate)
    assert outcomes(found) == ["too few questions"]
    assert "could hide a drop of 0.02" in found.reasons[0]
    assert "--allow-underpowered" in found.reasons[0]
    assert gated(tmp_path, baseline, candidate, allow_underpowered=True).passed


def test_where_nothing_has_changed_nothing_got_worse(tmp_path: Path) -> None:
    assert outcomes(gated(tmp_path, TEN_WORSE, TEN_WORSE)) == ["passed"]


def test_fewer_than_ten_documents_decide_nothing(tmp_path: Path) -> None:
    found = gated(tmp_path, [1.0] * 90, [0.0] * 90, per_document=1)
    assert outcomes(found) == ["worse"]

    a = write_run(tmp_path / "c", scores={"m": {"cosine": [1.0] * 90}}, per_document=10)
    b = write_run(tmp_path / "d", scores={"m": {"cosine": [0.0] * 90}}, per_document=10)
    assert outcomes(gate(b, a, Choice(metrics=("cosine",)), max_drop=0.02)) == ["too few questions"]


def test_less_is_better_for_cost(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    scores = {"m": {"cosine": GOOD}}
    a = write_run(tmp_path / "a", scores=scores, cost_usd=0.001)
    b = write_run(tmp_path / "b", scores=scores, cost_usd=0.002)
    choice = Choice(metrics=("cost_usd",))
    for run, cost in ((a, 0.001), (b, 0.002)):
        answers = run.read("answers")
        noisy = pa.array(cost + random.normal(0, 0.0001, 200))
        run.write("answers", answers.set_column(answers.column_names.index("cost_usd"), "cost_usd", noisy))

    assert outcomes(gate(b, a, choice, max_drop=0.0005)) == ["worse"]
    assert outcomes(gate(a, b, choice, max_drop=0.0005)) == ["passed"]


@pytest.mark.parametrize("which", ["candidate", "baseline"])
@pytest.mark.parametrize("status", ["incomplete", "running"])
def test_an_incomplete_run_cannot_pass_nor_be_a_baseline(tmp_path: Path, which: str, status: str) -> None:
    statuses = ("complete", status) if which == "candidate" else (status, "complete")
    runs = [
        write_run(tmp_path / name, scores={"m": {"cosine": GOOD}}, status=of_run)
        for name, of_run in zip("ab", statuses, strict=True)
    ]
    (runs[0].path / "answers.parquet").unlink()  # a run that has not got far has no tables either

    found = gate(runs[1], runs[0], Choice(metrics=("cosine",)), max_drop=0.02)

    assert not found.passed
    assert f"is {status} (it was interrupted)" in gate_sentence(found)


def test_a_missing_metric_cannot_pass(tmp_path: Path) -> None:
    scores = {"m": {"cosine": GOOD}}
    a, b = (write_run(tmp_path / name, scores=scores) for name in "ab")

    found = gate(b, a, Choice(), max_drop=0.02)

    assert outcomes(found) == ["not comparable"]
    assert "correctness: neither run has it; they have" in found.reasons[0]


def test_a_metric_that_only_the_baseline_has_cannot_pass(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", scores={"m": {"cosine": GOOD, CORRECTNESS.name: GOOD}})
    b = write_run(tmp_path / "b", scores={"m": {"cosine": GOOD}})

    found = gate(b, a, Choice(metrics=("cosine", CORRECTNESS.name)), max_drop=0.02)

    assert outcomes(found) == ["passed", "not comparable"]
    assert "b did not measure it" in found.reasons[0]


def test_other_questions_or_another_judge_cannot_pass(tmp_path: Path) -> None:
    other = gated(tmp_path, GOOD, GOOD, first_question=5)
    assert "their questions differ" in other.reasons[0]
    assert outcomes(gated(tmp_path, GOOD, GOOD, judge="judge-2")) == ["not comparable"]


def test_a_candidate_that_lacks_many_values_cannot_pass(tmp_path: Path) -> None:
    found = gated(tmp_path, GOOD, [None] * 20 + [1.0] * 180)

    assert outcomes(found) == ["values missing"]
    assert "no value for 20 of 200 questions, the baseline for 0" in found.reasons[0]
    assert outcomes(gated(tmp_path, GOOD, [None] * 4 + [1.0] * 196)) == ["passed"]
    assert outcomes(gated(tmp_path, [None] * 20 + [1.0] * 180, GOOD)) == ["passed"]


def test_an_unfit_judge_lets_nothing_pass(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", scores={"m": {CORRECTNESS.name: GOOD}})
    b = write_run(tmp_path / "b", scores={"m": {CORRECTNESS.name: GOOD}})
    unfit = {"judge": "judge-1", "metric": CORRECTNESS.name, "statistic": "verdict", "label": "unfit", "n": 40}
    b.write("judging", pa.Table.from_pylist([unfit], schema=JUDGING))

    found = gate(b, a, Choice(), max_drop=0.02)

    assert outcomes(found) == ["unfit judge"]
    assert "unfit in b" in found.reasons[0]


def test_the_intervals_of_several_metrics_hold_together(tmp_path: Path) -> None:
    # p = 0.031 for 6 of 6 differing documents: below 0.05 for one metric, not below 0.05 / 2 for two.
    six = [0.0] * 6 + [1.0] * 194
    scores = {"m": {"cosine": GOOD, CORRECTNESS.name: GOOD}}
    a = write_run(tmp_path / "a", scores=scores)
    b = write_run(tmp_path / "b", scores={"m": {"cosine": six, CORRECTNESS.name: GOOD}})

    alone = gate(b, a, Choice(metrics=("cosine",)), max_drop=0.01)
    together = gate(b, a, Choice(metrics=("cosine", CORRECTNESS.name)), max_drop=0.01)

    assert (alone.confidence, together.confidence) == (0.95, 0.975)
    assert outcomes(alone) == ["worse"]
    assert outcomes(together) == ["passed", "too few questions"]


def test_one_system_can_be_gated_against_another(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", scores={"old": {"cosine": GOOD}, "other": {"cosine": GOOD}})
    b = write_run(tmp_path / "b", scores={"new": {"cosine": TEN_WORSE}, "other": {"cosine": GOOD}})

    found = gate(b, a, Choice(metrics=("cosine",), baseline_system="old", candidate_system="new"), max_drop=0.02)

    assert [(row.pair.name, row.outcome) for row in found.rows if row.pair] == [("old → new", "worse")]


@pytest.mark.parametrize(
    ("choice", "max_drop", "message"),
    [
        (Choice(metrics=("answer_words",)), 0.02, "neither more nor less of it is better"),
        (Choice(metrics=("nonsense",)), 0.02, "not known"),
        (Choice(), 0.0, "above 0"),
        (Choice(), float("nan"), "above 0"),
    ],
)
def test_what_cannot_be_gated_by_is_an_error(tmp_path: Path, choice: Choice, max_drop: float, message: str) -> None:
    run = write_run(tmp_path / "a", scores={"m": {"cosine": GOOD}})

    with pytest.raises(ConfigError, match=message):
        gate(run, Run(run.folder), choice, max_drop=max_drop)


def _tables(name: str, verdicts: np.ndarray, model: RunTables) -> RunTables:
    """Return the run `model` with other verdicts."""
    scores = model.scores.set_column(model.scores.column_names.index("value"), "value", pa.array(verdicts))
    return RunTables(
        name=name,
        manifest=model.manifest,
        documents=model.documents,
        questions=model.questions,
        systems=model.systems,
        retrieval=model.retrieval,
        answers=model.answers,
        scores=scores,
    )


def test_false_alarms_are_rare_and_real_drops_are_found(tmp_path: Path) -> None:
    # 240 questions from 80 documents that differ in difficulty. The candidate is as good as the baseline (200 times),
    # or its chance of a good answer is 0.2 lower (25 times). 5 % of 200 are 10 alarms; the rule promises 2.5 %.
    run = write_run(tmp_path / "a", scores={"m": {CORRECTNESS.name: [1.0] * 240}}, per_document=3)
    names = ("documents", "questions", "systems", "retrieval", "answers", "scores")
    model = RunTables(name="a", manifest=read_manifest(run), **{name: run.read(name) for name in names})
    random = np.random.default_rng(4)

    def fails(drop: float) -> bool:
        easy = np.repeat(random.beta(4, 2, 80), 3)
        a, b = ((random.random(240) < np.clip(easy - lost, 0, 1)).astype(float) for lost in (0.0, drop))
        runs = (_tables("a", a, model), _tables("b", b, model))
        found = gate_runs(*runs, Choice(metrics=(CORRECTNESS.name,)), max_drop=0.02, allow_underpowered=True)
        return not found.passed

    assert sum(fails(0.0) for _ in range(200)) <= 10
    assert sum(fails(0.2) for _ in range(25)) >= 22
