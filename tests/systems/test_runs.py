"""Systems of one's own in a run: a service with faults and a limit, and the same as a function."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.evaluations import Outcome, Rageval
from tests.fake_llm import Bucket, FakeLLM, is_judgement
from tests.toy_rag import ToyRag

FUNCTION = """
import json
from pathlib import Path

documents = json.loads((Path(__file__).parent / "documents.json").read_text())


def ask(question):
    word = question.rstrip("?").split()[-1]
    best = [one for one in documents if f"a {word}?" in one["question"]]
    return {"answer": best[0]["text"], "contexts": [{"id": one["id"], "text": one["text"]} for one in best]}
"""
FREE = ("--no-judge", "--set", "metrics=[cosine, exact_match]")


def systems(*made: dict[str, object]) -> tuple[str, str]:
    return "--set", f"systems={json.dumps(made)}"


def version(rag: ToyRag, number: int, **settings: object) -> dict[str, object]:
    body = json.dumps({"question": "{{ question }}", "version": number})
    return {"kind": "http", "name": f"v{number}", "url": f"{rag.url}/ask", "body": body, **settings}


def function(corpus: Path, **settings: object) -> dict[str, object]:
    (corpus / "mine.py").write_text(FUNCTION)
    return {"kind": "python", "name": "mine", "function": "mine.py:ask", "function_folder": str(corpus), **settings}


def means(run: Outcome, metric: str) -> dict[str, float]:
    rows = [row for row in run.table("summary").to_pylist() if row["metric"] == metric]
    return {row["system"] or row["retriever"]: row["mean"] for row in rows}


def test_two_versions_of_a_service_with_faults_and_a_limit_are_compared_by_answers_and_contexts(
    rageval: Rageval, rag: ToyRag, llm: FakeLLM
) -> None:
    rag.faults, rag.limit = 0.05, Bucket(per_minute=600)
    both = systems(version(rag, 1, rpm=600, max_attempts=8), version(rag, 2, rpm=600, max_attempts=8))
    run = rageval(*both, "--judge", "m1", "--set", "metrics=[correctness, exact_match, refusal]")

    assert run.status == 0, run.err
    answers = run.table("answers").to_pylist()
    assert Counter(row["status"] for row in answers) == {"ok": 40}
    assert Counter(rag.answered) == dict.fromkeys(rag.answered, 2)
    assert len(rag.answered) == 40
    assert rag.refused <= 4, "of forty; both share the limit of the one service"
    assert all(is_judgement(body) for body in llm.requests), "no model of ours answers"
    # Titles name their subjects, and answers are the texts of the references; version 1 knows half of them.
    assert means(run, "exact_match") == {"v1": 0.5, "v2": 1.0}
    assert means(run, "hit_rate@1") == {"v1": 0.5, "v2": 1.0}
    assert {row["kind"] for row in run.table("systems").to_pylist()} == {"http"}
    blamed = Counter((row["system"], row["shown"]) for row in run.table("blame").to_pylist())
    assert blamed == {("v1", True): 10, ("v1", False): 10, ("v2", True): 20}, "whether the right document was shown"
    (compared,) = [row for row in run.table("comparisons").to_pylist() if row["metric"] == "exact_match"]
    assert (compared["baseline"], compared["candidate"]) == ("v1", "v2")


def test_a_function_gives_the_same_rows_and_is_asked_again_for_nothing(
    rageval: Rageval, rag: ToyRag, corpus: Path
) -> None:
    run = rageval(*FREE, *systems(version(rag, 2), function(corpus)))

    assert run.status == 0, run.err
    by_system: dict[str, dict[str, tuple[object, ...]]] = {}
    for row in run.table("answers").to_pylist():
        found = (row["answer"], row["context_ids"][0], row["status"])
        by_system.setdefault(row["system"], {})[row["question_id"]] = found
    assert by_system["v2"] == by_system["mine"]
    asked = len(rag.requests)
    again = rageval(*FREE, *systems(version(rag, 2), function(corpus)))
    assert (again.status, len(rag.requests)) == (0, asked)


def test_contexts_that_match_no_document_keep_their_text_and_a_system_may_only_retrieve(
    rageval: Rageval, rag: ToyRag
) -> None:
    own = {"kind": "http", "name": "own", "url": f"{rag.url}/ask"}
    from fastapi.responses import JSONResponse

    texts = [rag.documents[3]["text"].replace(" ", "  "), "From elsewhere.", "d1"]
    rag.reply = lambda _: JSONResponse({"contexts": texts})
    run = rageval(*FREE, *systems(own))

    assert run.status == 0, run.err
    row = run.table("answers").to_pylist()[0]
    assert (row["status"], row["answer"]) == ("ok", None)
    assert [row["context_ids"][0], row["context_ids"][2]] == ["d3", "d1"], "by text, and by id"
    assert row["context_texts"] == [None, "From elsewhere.", None]
    # Two of twenty questions are about d3, two about d1.
    assert means(run, "hit_rate@1")["own"] == pytest.approx(2 / 20)
    assert means(run, "hit_rate@5")["own"] == pytest.approx(4 / 20)
    measured = [row for row in run.table("summary").to_pylist() if row["metric"] == "exact_match"]
    assert all(row["n_scored"] == 0 for row in measured)


def test_a_ceiling_holds_by_the_price_of_a_call_and_needs_one(rageval: Rageval, rag: ToyRag) -> None:
    unpriced = rageval(*FREE, *systems(version(rag, 2)), "--max-cost-usd", "5")
    assert unpriced.status == 2
    assert "or of a system of yours its usd_per_call" in " ".join(unpriced.err.split())
    priced = systems(version(rag, 2, usd_per_call=1, max_concurrency=2))
    stopped = rageval(*FREE, *priced, "--max-cost-usd", "5", run_id="r2")
    assert stopped.status == 3
    assert 5 <= len(rag.requests) <= 6
    finished = rageval(*FREE, *priced, "--max-cost-usd", "50", run_id="r2")
    assert (finished.status, len(rag.requests)) == (0, 20), "what was paid for is kept"
    assert sum(finished.table("answers")["cost_usd"].to_pylist()) == 20.0


def test_a_dry_run_asks_nothing_and_nothing_is_reused_or_sent_as_a_batch(
    rageval: Rageval, rag: ToyRag, llm: FakeLLM
) -> None:
    own = systems(version(rag, 2, usd_per_call=0.5))
    dry = rageval(*FREE, *own, "--dry-run")
    assert dry.status == 0, dry.err
    assert "10.00" in dry.out, "twenty calls at half a dollar"
    assert rag.requests == []
    assert rageval(*FREE, *own, run_id="r1").status == 0
    assert rageval(*FREE, *own, "--reuse", run_id="r2").status == 0
    assert len(rag.requests) == 40, "what stands behind it may have changed"
    batch = rageval(*own, "--judge", "m1", "--set", "metrics=[faithfulness]", "--batch",
                    "--set", "run.batch_poll_s=1", run_id="r3")  # fmt: skip
    assert batch.status == 0, batch.err
    assert len(rag.requests) == 60
    assert llm.requests == [], "the judge's requests are a batch"
    assert set(batch.table("scores")["status"].to_pylist()) == {"ok"}


def test_only_what_failed_is_asked_again(rageval: Rageval, rag: ToyRag, corpus: Path) -> None:
    from fastapi.responses import JSONResponse

    rag.reply = lambda body: JSONResponse({"detail": "too long"}, 400) if "judge" in body["question"] else None
    options = (*FREE, *systems(version(rag, 2)), "--set", "run.max_failed_share=0.5")
    first = rageval(*options)
    assert Counter(first.table("answers")["status"].to_pylist()) == {"ok": 18, "failed": 2}
    rag.reply = None
    again = rageval(*options, "--retry-failed")
    assert again.status == 0, again.err
    assert len(rag.requests) == 22
    assert set(again.table("answers")["status"].to_pylist()) == {"ok"}


def test_systems_behind_one_address_share_its_limits(rageval: Rageval, rag: ToyRag) -> None:
    run = rageval(*FREE, *systems(version(rag, 1, rpm=600), version(rag, 2, rpm=60)))
    assert run.status == 2
    assert "but they share one budget; give both the same rpm" in " ".join(run.err.split())
