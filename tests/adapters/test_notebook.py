"""The notebook of the examples runs as it stands, from the first cell to the last."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from rageval.runs.run import Run
from tests.fake_llm import VERDICT, Body, FakeLLM, prompt
from tests.processes import ROOT

NOTEBOOK = ROOT / "examples" / "library.ipynb"


def test_the_notebook_runs_and_shows_what_it_says(
    llm: FakeLLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reply(body: Body) -> str:
        if "response_format" not in body:
            return "B-R-I-E-F" if "one sentence" in body["messages"][0]["content"] else "from the course"
        return VERDICT if "B-R-I-E-F" in prompt(body) else VERDICT.replace("RELEVANT", "NON_RELEVANT")

    llm.reply = reply
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    names: dict[str, Any] = {}
    first, *cells = _cells()
    _run("".join(first).replace("BASE_URL = None", f"BASE_URL = {llm.url!r}"), names)
    shown = [_run("".join(source), names) for source in cells]

    run, summary, comparisons, failures, scored = shown
    assert isinstance(run, Run)
    assert "<table" in run._repr_html_()
    assert set(summary["n"]) == {20}
    row = comparisons[comparisons["metric"] == "correctness"].iloc[0]
    assert (row["baseline"], row["candidate"], row["difference"]) == ("gpt-5-mini + course", "gpt-5-mini + brief", 1)
    assert len(failures) == 0
    assert scored.loc["refusal", "count"] == 40


def _cells() -> list[list[str]]:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return [cell["source"] for cell in cells if cell["cell_type"] == "code"]


def _run(source: str, names: dict[str, Any]) -> Any:
    """Run a cell and return the value of its last line, if that is an expression."""
    body = ast.parse(source).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    exec(compile(ast.Module(body=body, type_ignores=[]), str(NOTEBOOK), "exec"), names)
    return eval(compile(ast.Expression(body=last.value), str(NOTEBOOK), "eval"), names) if last else None
