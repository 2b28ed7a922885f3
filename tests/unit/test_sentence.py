"""The sentence that a run ends with."""

from pathlib import Path

from rageval.report.writing import sentence, write_report
from tests.made_runs import write_run


def test_one_model_stands_with_its_interval_and_several_with_their_names(tmp_path: Path) -> None:
    good, bad = [1.0] * 12, [0.0] * 12
    ended = {"finished_at": "2026-01-01T00:01:00+00:00"}
    one = write_run(tmp_path / "one", scores={"m1": {"correctness": good, "cosine": [0.5] * 12}}, manifest=ended)
    four = write_run(tmp_path / "four", scores={f"m{i}": {"correctness": bad} for i in range(1, 5)}, manifest=ended)
    for run in (one, four):
        write_report(run)

    # The judge is what a reader looks at first; every right document was found at rank 1.
    assert sentence(one).startswith("complete: 12 questions, correctness 1.000 [")
    assert sentence(one).endswith(f"], hit_rate@5 1.000; report: {one.folder}/report.html")
    assert "correctness m1 0.000 [" in sentence(four)
    assert "and 1 more, hit_rate@5 1.000" in sentence(four)
