"""Questions with and without an answer, several turns, and systems that say little: whole runs of Python functions."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import rageval
from rageval.cli.run_details import show_details
from rageval.pages.markdown import escape
from rageval.report.writing import write_report
from rageval.runs.run import Run
from tests.fake_llm import VERDICT, Body, FakeLLM, is_judgement, prompt

SYSTEMS = """
def always(question):
    return {"answer": f"It is {question}.", "contexts": [f"text of {question}"]}

def never(question):
    return {"answer": "I do not know.", "contexts": [f"text of {question}"]}

def behaves(question, history=None):
    answer = "I do not know." if "X" in question else f"It is {question}."
    return {"answer": answer, "contexts": ["other", f"text of {question}"]}

def text_only(question):
    return f"It is {question}."

def contexts_only(question):
    return {"contexts": [{"id": "c1", "text": f"text of {question}"}]}
"""
TURN = [{"role": "user", "content": "Earlier?"}, {"role": "assistant", "content": "Yes."}]
Evaluate = Callable[..., Run]


@pytest.fixture
def evaluate(tmp_path: Path, llm: FakeLLM, monkeypatch: pytest.MonkeyPatch) -> Evaluate:
    """Ask twelve questions, the last of every three without an answer, in four conversations of three turns."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    (tmp_path / "mine.py").write_text(SYSTEMS)
    rows = []
    for number in range(12):
        has_answer = number % 3 != 2
        row = {"question": f"{'Q' if has_answer else 'X'}{number}", "answerable": "yes" if has_answer else "no"}
        row |= {"conversation": f"c{number // 3}", "history": TURN * (number % 3)}
        known = {"references": [f"It is Q{number}."], "relevant_texts": [f"text of Q{number}"]}
        rows.append(json.dumps(row | (known if has_answer else {})))
    (tmp_path / "questions.jsonl").write_text("\n".join(rows))
    llm.reply = grade

    def call(*names: str, **settings: object) -> Run:
        own = {"kind": "python", "function_folder": str(tmp_path)}
        return rageval.evaluate(
            {
                "data": {"ground_truth": str(tmp_path / "questions.jsonl")},
                "models": [],
                "systems": [own | {"name": name, "function": f"mine.py:{name}"} for name in names],
                "judge": {"model": {"name": "j", "base_url": llm.url}, "enabled": True, "again_share": 0},
                "metrics": ["correctness", "relevance", "faithfulness", "rouge_l", "refusal"],
                "run": {"output": str(tmp_path / "runs"), "run_id": "r1"},
                **settings,
            }
        )

    return call


def grade(body: Body) -> str:
    """A refusal is relevant only where the judge is told that nothing holds an answer."""
    if "UNFAITHFUL" in prompt(body):
        return json.dumps({"reason": "So.", "label": "FAITHFUL"})
    if is_judgement(body):
        refused, hopeless = "I do not know." in prompt(body), "nothing holds an answer" in prompt(body)
        return VERDICT if refused == hopeless else json.dumps({"reason": "So.", "label": "NON_RELEVANT"})
    return "ok"


def means(run: Run, system: str) -> dict[str, float]:
    rows = run.summary().query("system == @system").set_index("metric")["mean"]
    return {str(name): round(float(mean), 3) for name, mean in rows.dropna().items() if "_words" not in str(name)}


def test_always_answering_and_never_answering_both_lose_to_a_system_that_behaves(evaluate: Evaluate) -> None:
    run = evaluate("always", "never", "behaves")

    quality = ("correctness", "relevance", "refusal", "truthfulness", "refused_answerable", "refused_unanswerable")
    found = {name: [means(run, name)[metric] for metric in quality] for name in ("always", "never", "behaves")}
    # 8 questions have an answer and 4 have none: (8 - 4) / 12 and (0 + 4) / 12.
    assert found == {
        "always": [1.0, 0.667, 0.0, 0.333, 0.0, 0.0],
        "never": [0.0, 0.333, 1.0, 0.333, 1.0, 1.0],
        "behaves": [1.0, 1.0, 0.333, 1.0, 0.0, 1.0],
    }
    blame = run.read("blame").to_pandas().groupby(["system", "cell"]).size().to_dict()
    assert blame == {
        ("always", "right"): 8, ("always", "answered anyway"): 4,
        ("never", "refused with the context"): 8, ("never", "rightly refused"): 4,
        ("behaves", "right"): 8, ("behaves", "rightly refused"): 4,
    }  # fmt: skip
    refused = run.read("abstention").to_pandas().set_index(["system", "answerable"])["refused"].to_dict()
    assert refused == {
        ("always", True): 0, ("always", False): 0, ("never", True): 8, ("never", False): 4,
        ("behaves", True): 0, ("behaves", False): 4,
    }  # fmt: skip
    page = (run.path / "report.html").read_text()
    for heading in ("Questions that can and cannot be answered", "Conversations", "By turn of the conversation"):
        assert heading in page
        assert heading in write_report(run).markdown or heading.startswith("By turn")


def test_a_judge_sees_the_earlier_turns_of_a_follow_up_question_and_of_no_other(
    evaluate: Evaluate, llm: FakeLLM
) -> None:
    evaluate("behaves")

    for body in filter(is_judgement, llm.requests):
        turns = next(n for n in range(12) if f"\nQ{n}\n" in prompt(body) or f"\nX{n}\n" in prompt(body)) % 3
        assert prompt(body).count("user: Earlier?") == turns


def test_what_a_system_does_not_say_is_not_measured_and_that_is_said_everywhere(
    evaluate: Evaluate, capfd: pytest.CaptureFixture[str]
) -> None:
    run = evaluate("text_only", "contexts_only")

    sentences = (
        "correctness and rouge_l were not measured of 4 of 12 answers of text_only: no reference.",
        "faithfulness was not measured of 12 of 12 answers of text_only: no contexts.",
        "correctness, relevance, faithfulness, rouge_l, refusal and truthfulness were not measured of 12 of 12 answers "
        "of contexts_only: no answer: the system retrieves only.",
        "Retrieval was not measured of 12 of 12 answers of text_only: the system does not say what it was shown.",
        "Retrieval was not measured of 4 of 12 questions: nothing is known to be relevant.",
    )
    show_details(run, None)
    page, markdown, out = (run.path / "report.html").read_text(), write_report(run).markdown, capfd.readouterr().out
    for sentence in sentences:
        assert sentence in page
        assert escape(sentence) in markdown
        assert sentence in out
    assert "(no answer: the system retrieves only)" in out
    # What was shown, nobody knows: the search is not to blame. What was found is measured without an answer.
    cells = run.read("blame").to_pandas().query("system == 'text_only'").groupby("cell").size().to_dict()
    assert cells == {"search not known": 8, "answered anyway": 4}
    found = run.summary().query("retriever == 'contexts_only' and metric == 'hit_rate@5'")
    assert found[["n", "n_scored", "mean"]].to_numpy().tolist() == [[8, 8, 1.0]]
    assert "correctness" not in means(run, "contexts_only")
    assert "contexts_only" not in set(run.comparisons().query("metric == 'correctness'")["candidate"])


def test_of_a_panel_nothing_is_measured_where_none_of_its_judges_can_measure_it(
    evaluate: Evaluate, llm: FakeLLM
) -> None:
    judges = [{"name": name, "base_url": llm.url} for name in ("j1", "j2", "j3")]
    run = evaluate("behaves", judge={"model": judges[0], "panel": judges[1:], "enabled": True, "again_share": 0})

    rows = run.scores().query("metric == 'correctness'")
    counts = rows.groupby(["status", rows["error"].fillna("")]).size().to_dict()
    assert counts == {("ok", ""): 8, ("not_measured", "no reference"): 4}
