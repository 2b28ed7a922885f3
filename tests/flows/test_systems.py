"""Prompts, models and kinds of system as axes of one run: what is asked, what is stored, what the report says."""

import json
from pathlib import Path

import pytest

from tests.evaluations import Rageval
from tests.fake_llm import Body, FakeLLM, is_judgement, prompt

STRICT = "system:\nBe strict.\n\nuser:\n{% for c in contexts %}{{ c.number }}. {{ c.text }}\n{% endfor %}{{ question }}"
PLAIN = "{% for c in contexts %}{{ c.text }}\n{% endfor %}{{ question }}"


@pytest.fixture
def config(corpus: Path, llm: FakeLLM) -> Path:
    """Two prompts and two models, and one model without contexts and with the right ones."""
    (corpus / "strict.md").write_text(STRICT)
    models = [{"name": name, "base_url": llm.url} for name in ("m1", "m2")]
    systems = ["pipeline", {"kind": "closed_book", "models": ["m1"]}]
    systems.append({"kind": "oracle", "models": ["m1"], "prompts": ["strict"]})
    prompts = [{"name": "plain", "user": PLAIN}, {"name": "strict", "file": str(corpus / "strict.md")}]
    path = corpus / "systems.yaml"
    path.write_text(json.dumps({"models": models, "prompts": prompts, "systems": systems, "metrics": ["correctness"]}))
    return path


def grade(body: Body) -> str:
    """Answers are right with the strict prompt, and with the right document alone."""
    if is_judgement(body):
        label = "RELEVANT" if "Right:" in prompt(body) else "NON_RELEVANT"
        return json.dumps({"reason": "It says so.", "label": label})
    return f"{'Right' if 'Be strict' in str(body['messages']) else 'Wrong'}: {body['model']}"


def test_prompts_and_models_are_compared_with_each_other_and_pooled(
    rageval: Rageval, llm: FakeLLM, config: Path
) -> None:
    llm.reply = grade

    run = rageval(str(config), "--model", "m1", "--model", "m2", "--judge", "m1")

    assert run.status == 0, run.err
    systems = {row["system"]: row for row in run.table("systems").to_pylist()}
    assert list(systems) == [
        "m1 + plain", "m2 + plain", "m1 + strict", "m2 + strict", "m1 + closed_book", "m1 + oracle + strict",
    ]  # fmt: skip
    assert systems["m1 + strict"]["prompt_user"] in STRICT
    assert len({row["prompt_hash"] for row in systems.values()}) == 3
    answers = run.table("answers").to_pandas()
    assert answers.groupby("system").size().to_dict() == dict.fromkeys(systems, 20)
    assert set(answers[answers["system"] == "m1 + closed_book"]["context_ids"].map(len)) == {0}
    relevant = dict(
        zip(*(run.table("questions")[name].to_pylist() for name in ("question_id", "relevant_ids")), strict=True)
    )
    oracle = answers[answers["system"] == "m1 + oracle + strict"]
    assert [ids.tolist() for ids in oracle["context_ids"]] == [relevant[id_] for id_ in oracle["question_id"]]
    comparisons = run.table("comparisons").to_pandas()
    prompts = comparisons.query("of == 'pooled' and differ_in == 'prompt' and metric == 'correctness'")
    (pooled,) = prompts.to_dict("records")
    # Every answer is right with the strict prompt and wrong with the plain one, by both models.
    assert (pooled["baseline"], pooled["candidate"], pooled["difference"]) == ("plain", "strict", 1.0)
    assert set(comparisons[comparisons["of"] == "systems"]["differ_in"]) == {"prompt", "model", "kind"}
    page = (run.folder / "report.html").read_text()
    assert "Prompt strict against plain, over all systems that differ in it alone: better, correctness +1.000" in page
    assert "+ Be strict." in page


def test_another_text_of_a_prompt_is_another_run(rageval: Rageval, llm: FakeLLM, config: Path, corpus: Path) -> None:
    assert rageval(str(config), "--no-judge", "--model", "m1", "--model", "m2").status == 0
    (corpus / "strict.md").write_text(STRICT + " Please.")

    again = rageval(str(config), "--no-judge", "--model", "m1", "--model", "m2")

    assert again.status == 2
    assert "the prompt 'strict' has changed since the run 'r1' was started" in again.err


@pytest.mark.parametrize(("text", "words"), [("{{ oops }}", "unknown variable 'oops'"), ("Hi", "prints no question")])
def test_a_prompt_that_cannot_be_used_ends_the_run_before_anything_is_sent(
    rageval: Rageval, llm: FakeLLM, config: Path, corpus: Path, text: str, words: str
) -> None:
    (corpus / "strict.md").write_text(text)

    run = rageval(str(config), "--no-judge", "--model", "m1", "--model", "m2")

    assert (run.status, llm.requests) == (2, [])
    assert words in run.err
