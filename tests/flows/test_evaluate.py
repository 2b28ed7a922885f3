"""The whole evaluation through the command line: real Prefect, real HTTP, real search, real embeddings."""

from collections import Counter
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from tests.evaluations import AGAIN, Rageval
from tests.fake_llm import Body, FakeLLM, Reply, is_judgement, prompt

TEXT_METRICS = ["rouge_l", "exact_match", "fuzzy_match", "refusal", "answer_words"]
JUDGE_METRICS = ["correctness", "relevance"]
METRICS = ["cosine", *TEXT_METRICS, *JUDGE_METRICS]


def test_a_run_writes_every_answer_and_every_score_exactly_once(rageval: Rageval, llm: FakeLLM) -> None:
    run = rageval(
        "--model", "m1", "--model", "m2", "--retriever", "vector", "--retriever", "text", "--retriever", "hybrid"
    )

    assert run.status == 0, run.err
    # 20 questions x 2 models, each answered once and judged twice; a slice of them twice more.
    assert len(llm.requests) == 40 + 80 + 4 * AGAIN
    answers, scores = run.table("answers").to_pandas(), run.table("scores").to_pandas()
    assert Counter(answers["system"]) == {"m1": 20, "m2": 20}
    assert not answers.duplicated(["question_id", "system"]).any()
    again = {f"{metric}[again]": 2 * AGAIN for metric in JUDGE_METRICS}
    assert Counter(scores["metric"]) == dict.fromkeys(METRICS, 40) | again
    assert not scores.duplicated(["question_id", "system", "metric"]).any()
    assert set(scores["status"]) == {"ok"}
    # 20 questions x 3 retrievers.
    assert Counter(run.table("retrieval")["retriever"].to_pylist()) == {"vector": 20, "text": 20, "hybrid": 20}
    # The first retriever supplies the contexts, five of the ten that are kept.
    found = {
        row["question_id"]: row["document_ids"][:5]
        for row in run.table("retrieval").to_pylist()
        if row["retriever"] == "vector"
    }
    assert all(row["context_ids"] == found[row["question_id"]] for row in run.table("answers").to_pylist())
    made_of = [(row["system"], row["kind"], row["retriever"], row["model"]) for row in run.table("systems").to_pylist()]
    assert made_of == [("m1", "pipeline", "vector", "m1"), ("m2", "pipeline", "vector", "m2")]
    assert run.manifest["status"] == "complete"
    assert run.manifest["totals"]["requests"] == 120 + 4 * AGAIN  # type: ignore[index]
    assert not (run.folder / "parts").exists()
    assert not (run.folder / "journal").exists()


def test_every_figure_of_the_summary_can_be_recomputed_from_the_tables(rageval: Rageval) -> None:
    run = rageval("--retriever", "vector", "--retriever", "text")

    summary = run.table("summary").to_pandas()
    of_answers = summary[summary["system"] == "m1"].set_index("metric")
    scores = run.table("scores").to_pandas()
    retrieval = run.table("retrieval").to_pandas()
    for metric in METRICS:
        values = scores.loc[scores["metric"] == metric, "value"]
        assert of_answers.loc[metric, "mean"] == pytest.approx(values.mean(), abs=1e-12)
        assert of_answers.loc[metric, "n_scored"] == 20
    for name in ("vector", "text"):
        ranks = retrieval.loc[retrieval["retriever"] == name, "first_relevant_rank"]
        found = summary[summary["retriever"] == name].set_index("metric")["mean"]
        assert found["hit_rate@5"] == pytest.approx((ranks <= 5).mean())
        assert found["mrr@5"] == pytest.approx((1 / ranks.where(ranks <= 5)).fillna(0).mean())


def test_pandas_and_duckdb_read_the_same_tables(rageval: Rageval) -> None:
    run = rageval("--no-judge", "--sample", "6")

    path = run.folder / "answers.parquet"
    by_duckdb = duckdb.sql(f"SELECT question_id, answer FROM '{path}' ORDER BY question_id").fetchall()
    by_pandas = pd.read_parquet(path).sort_values("question_id")[["question_id", "answer"]]
    assert by_duckdb == list(by_pandas.itertuples(index=False, name=None))
    assert len(by_duckdb) == 6


def test_a_failed_request_stays_a_row_and_is_asked_again_on_resume(rageval: Rageval, llm: FakeLLM) -> None:
    def refuse_one(body: Body) -> str | Reply:
        return Reply(status=400, error="too long") if "explain: judge" in prompt(body) else "A judge grades."

    llm.reply = refuse_one
    run = rageval("--no-judge")

    # 1 of 20 answers failed, which is exactly the share of 0.05 that may fail.
    assert run.status == 0, run.err
    answers = run.table("answers").to_pandas()
    failed = answers[answers["status"] == "failed"]
    assert list(failed["error"]) == ["HTTP 400: too long"]
    assert failed["answer"].isna().all()
    scores = run.table("scores").to_pandas()
    skipped = scores[scores["status"] == "skipped"]
    assert list(skipped["metric"]) == ["cosine", *TEXT_METRICS]
    assert set(skipped["error"]) == {"there is no answer to score"}
    summary = run.table("summary").to_pandas().set_index("metric")
    assert tuple(summary.loc["cosine", ["n", "n_scored", "n_failed"]]) == (20, 19, 1)

    llm.requests.clear()
    llm.reply = lambda body: "Now it answers."
    again = rageval("--no-judge")
    assert len(llm.requests) == 1
    assert again.table("scores").to_pandas()["status"].eq("ok").all()


def test_too_many_failures_end_a_run_with_status_3_and_everything_saved(rageval: Rageval, llm: FakeLLM) -> None:
    llm.reply = lambda body: Reply(status=400, error="no") if "Why would" in prompt(body) else "Because."

    run = rageval("--no-judge")

    assert run.status == 3
    assert "10 of 20 answers failed" in run.err
    assert "--run-id r1" in run.err
    assert run.manifest["status"] == "incomplete"
    assert Counter(run.table("answers")["status"].to_pylist()) == {"ok": 10, "failed": 10}
    assert "incomplete" in (run.folder / "report.html").read_text().lower()


def test_an_unreadable_verdict_is_unscored_with_its_words_kept(rageval: Rageval, llm: FakeLLM) -> None:
    llm.reply = lambda body: "I would say RELEVANT" if is_judgement(body) else "An answer."

    run = rageval()

    verdicts = run.table("scores").to_pandas().query("metric.isin(@JUDGE_METRICS)")
    assert set(verdicts["status"]) == {"unscored"}
    assert set(verdicts["raw_reply"]) == {"I would say RELEVANT"}
    assert verdicts["value"].isna().all()
    summary = run.table("summary").to_pandas().set_index("metric")
    assert tuple(summary.loc["correctness", ["n_scored", "n_failed"]]) == (0, 20)
    assert summary["mean"].isna()["correctness"]


def test_a_finished_run_is_resumed_without_a_single_request(rageval: Rageval, llm: FakeLLM) -> None:
    first = rageval()
    llm.requests.clear()

    second = rageval()

    assert second.status == 0
    assert llm.requests == []
    for table in ("answers", "scores", "retrieval", "summary"):
        assert second.table(table).equals(first.table(table))


def test_a_run_is_not_resumed_with_other_settings_or_other_documents(rageval: Rageval, corpus: Path) -> None:
    rageval("--no-judge", "--sample", "5")

    other = rageval("--no-judge", "--sample", "6")
    assert other.status == 2
    assert "data.sample" in other.err

    documents = corpus / "documents.json"
    documents.write_text(documents.read_text().replace("number 3", "number three"))
    changed = rageval("--no-judge", "--sample", "5")
    assert changed.status == 2
    assert "the documents have changed" in changed.err


def test_limits_may_change_between_starts(rageval: Rageval) -> None:
    assert rageval("--no-judge", "--sample", "5").status == 0
    assert rageval("--no-judge", "--sample", "5", "--rpm", "6000", "--max-concurrency", "3").status == 0


def test_the_key_is_sent_and_stands_nowhere_else(
    rageval: Rageval, llm: FakeLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret-0123456789")
    llm.reply = lambda body: (
        Reply(status=400, error="bad key sk-very-secret-0123456789") if "explain: task" in prompt(body) else "Fine."
    )

    run = rageval("--no-judge")

    assert set(llm.keys) == {"sk-very-secret-0123456789"}
    assert "[key]" in str(run.table("answers")["error"].to_pylist())
    for path in run.folder.rglob("*"):
        assert path.is_dir() or b"very-secret" not in path.read_bytes(), path
    assert "very-secret" not in run.out + run.err
