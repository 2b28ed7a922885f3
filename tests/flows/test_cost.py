"""Dollars: a ceiling that stops a run, an estimate before it, what it took beside what was expected, and retries."""

from collections import Counter
from pathlib import Path

import pytest

from tests.evaluations import AGAIN, ONE_VERDICT, Outcome, Rageval
from tests.fake_llm import VERDICT, Body, FakeLLM, Reply, is_judgement, prompt

PRICES = (
    "--set", "models=[{name: m1, max_concurrency: 4, input_usd_per_mtok: 1000, output_usd_per_mtok: 1000}]",
)  # fmt: skip


def spent(run: Outcome) -> float:
    return sum(
        cost or 0.0
        for table in ("answers", "scores")
        for cost in run.table(table)["cost_usd"].to_pylist()
    )  # fmt: skip


@pytest.fixture
def priced(rageval: Rageval, llm: FakeLLM) -> Rageval:
    """A call of the command line with one model that costs a dollar for a thousand tokens."""

    def call(*options: str, run_id: str = "r1") -> Outcome:
        url = f"models.0.base_url={llm.url}"
        return rageval("--model", "m1", *PRICES, "--set", url, *options, run_id=run_id)

    return call


def test_a_run_stops_at_its_ceiling_and_goes_on_with_a_higher_one(priced: Rageval, llm: FakeLLM) -> None:
    llm.reply = lambda body: Reply(text=VERDICT if is_judgement(body) else "One of the things.", delay_s=0.02)
    stopped = priced("--max-cost-usd", "4")

    assert stopped.status == 3
    assert "reaches its ceiling run.max_cost_usd = 4" in stopped.err.replace("\n", " ")
    assert "Go on with:" in stopped.out
    # Every reply that was paid for is stored, and only those in flight at the ceiling, four at most, lie above it.
    stored = stopped.table("answers").num_rows + sum(stopped.table("scores")["attempts"].to_pylist())
    assert stored == len(llm.requests)
    dearest = max(
        cost or 0.0 for table in ("answers", "scores") for cost in stopped.table(table)["cost_usd"].to_pylist()
    )
    assert 4 <= spent(stopped) <= 4 + 4 * dearest

    before = len(llm.requests)
    again = priced("--max-cost-usd", "4")
    assert again.status == 3
    assert len(llm.requests) == before

    done = priced("--max-cost-usd", "1000")
    assert done.status == 0, done.err
    # 20 answers and 40 verdicts, each asked for once in all three starts, but for the slice that is judged again.
    assert len(llm.requests) == 60 + 2 * AGAIN
    assert Counter(Counter(prompt(body) for body in llm.requests).values()) == {1: 60 - 2 * AGAIN, 2: 2 * AGAIN}
    assert done.manifest["totals"]["cost_usd"] == pytest.approx(spent(done))  # type: ignore[index]


def test_failed_requests_that_were_paid_count_towards_the_ceiling(priced: Rageval, llm: FakeLLM) -> None:
    llm.reply = lambda _: Reply(text="", finish_reason="length")
    run = priced("--max-cost-usd", "1", "--no-judge")

    assert run.status == 3
    assert "ceiling" in run.err
    assert len(llm.requests) < 20


def test_a_ceiling_needs_every_price_before_anything_is_sent(rageval: Rageval, llm: FakeLLM) -> None:
    run = rageval("--model", "gpt-4o-mini", "--judge", "nobody-knows", "--max-cost-usd", "1")

    assert run.status == 2
    for words in ("'nobody-knows'", "input_usd_per_mtok", "output_usd_per_mtok"):
        assert words in run.err.replace("\n", " ")
    assert llm.requests == []
    assert not run.folder.exists()


def cells(out: str) -> dict[tuple[str, str], list[str]]:
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if "│" in line]
    return {(row[0], row[1]): row[2:] for row in rows}


def test_a_dry_run_prices_live_flex_and_batch_and_sums_up(rageval: Rageval) -> None:
    out = rageval("--dry-run", "--model", "gpt-4o-mini", "--model", "gpt-4o").out

    table = cells(out)
    assert max(len(line) for line in out.splitlines() if "│" in line) <= 100
    for key in (("gpt-4o-mini", "answers"), ("gpt-4o", "answers"), ("gpt-4o-mini", "verdicts"), ("total", "")):
        live, flex, batch = (float(price) for price in table[key][3:6])
        assert flex == batch == pytest.approx(live / 2, abs=1e-4)
    # 20 answers of each model, 80 verdicts, and those that are asked for again.
    assert table["total", ""][0] == str(120 + 4 * AGAIN)
    total = sum(float(row[3]) for key, row in table.items() if key[1])
    assert float(table["total", ""][3]) == pytest.approx(total, abs=2e-4)

    unknown = cells(rageval("--dry-run", "--model", "gpt-4o-mini", "--judge", "nobody-knows").out)
    assert unknown["nobody-knows", "verdicts"][3:6] == unknown["total", ""][3:6] == ["unknown"] * 3


def test_a_dry_run_of_a_started_run_counts_only_what_is_missing(rageval: Rageval, llm: FakeLLM) -> None:
    llm.reply = lambda body: (
        Reply(status=400) if "explain: judge" in prompt(body) else VERDICT if is_judgement(body) else "Fine."
    )
    rageval()
    sent = len(llm.requests)

    table = cells(rageval("--dry-run").out)

    # 1 of 20 answers failed, and its two verdicts are missing.
    assert table["m1", "answers"][0] == "1"
    assert table["m1", "verdicts"][0] == "2"
    assert len(llm.requests) == sent


def test_the_estimate_stands_beside_what_it_took(priced: Rageval) -> None:
    run = priced()

    (answers, verdicts), actual = run.manifest["estimate"], run.manifest["actual"]  # type: ignore[misc]
    assert (answers["model"], answers["role"], answers["calls"]) == ("m1", "answers", 20)
    assert (verdicts["role"], verdicts["calls"]) == ("verdicts", 40 + 2 * AGAIN)
    assert [row["calls"] for row in actual] == [20, 40 + 2 * AGAIN]  # type: ignore[attr-defined]
    assert sum(row["cost_usd"] for row in actual) == pytest.approx(spent(run))  # type: ignore[attr-defined]
    for role, row in zip((answers, verdicts), actual, strict=True):  # type: ignore[call-overload]
        # A token is a quarter of a character to both, so the prompts can only differ by what is in them.
        assert row["prompt_tokens"] == pytest.approx(role["prompt_tokens"], rel=0.8)
    page = (run.folder / "report.html").read_text()
    assert "Actual of estimated" in page
    assert "20 of 20" in page
    assert "Actual of estimated" in run.out


def test_retry_failed_asks_for_failures_and_leaves_what_is_missing(rageval: Rageval, llm: FakeLLM) -> None:
    def refuse_two(body: Body) -> str | Reply:
        if "explain: judge" in prompt(body) and not is_judgement(body):
            return Reply(status=400, error="too long")
        return VERDICT if is_judgement(body) else "Fine."

    llm.reply = refuse_two
    first = rageval()
    # A chunk of four answers that were never asked for, with its scores.
    _drop(first.folder / "answers.parquet", 4)
    _drop(first.folder / "scores.parquet", 4 * 8)
    failed = first.table("answers")["status"].to_pylist().count("failed")
    assert failed == 1
    llm.requests.clear()
    llm.reply = lambda body: VERDICT if is_judgement(body) else "Fine."

    retried = rageval("--retry-failed")

    # The failed answer and the two verdicts on it.
    assert len(llm.requests) == 3
    assert retried.status == 3
    assert "4 of 20 answers are missing" in retried.err.replace("\n", " ")
    assert set(retried.table("scores")["status"].to_pylist()) == {"ok"}
    assert retried.table("answers").num_rows == 16

    llm.requests.clear()
    assert rageval().status == 0
    assert len(llm.requests) == 4 + 8


def test_retry_failed_of_no_run_says_so(rageval: Rageval, llm: FakeLLM) -> None:
    run = rageval("--retry-failed", run_id="never")

    assert run.status == 2
    assert "there is no run 'never'" in run.err
    assert llm.requests == []


def _drop(path: Path, rows: int) -> None:
    """Take the scores of the last questions, or the last answers, out of a table."""
    from rageval.storage.files import read_parquet, write_parquet

    table = read_parquet(path)
    questions = table["question_id"].unique().to_pylist()[-4:]
    kept = [row for row in table.to_pylist() if row["question_id"] not in questions]
    assert table.num_rows - len(kept) == rows
    write_parquet(path, [table.from_pylist(kept, schema=table.schema)], table.schema)


def test_tokens_that_a_provider_read_from_its_cache_are_stored_priced_as_such_and_shown(
    rageval: Rageval, llm: FakeLLM
) -> None:
    def reply(body: Body) -> Reply:
        text = VERDICT if is_judgement(body) else "Fine."
        return Reply(text=text, cached_tokens=100 if is_judgement(body) else None)

    llm.reply = reply
    run = rageval("--model", "gpt-4o-mini", *ONE_VERDICT)

    verdicts = [row for row in run.table("scores").to_pylist() if row["attempts"]]
    assert {row["cached_tokens"] for row in verdicts} == {100}
    row = verdicts[0]
    # OpenAI's list, dollars a million: 0.15 of the prompt, half of that from the cache, 0.60 of the completion.
    usd = (row["prompt_tokens"] - 50) * 0.15 + row["completion_tokens"] * 0.60
    assert row["cost_usd"] == pytest.approx(usd / 1e6)
    cached = 100 * (20 + AGAIN)
    assert run.manifest["totals"]["cached_tokens"] == cached  # type: ignore[index]
    answers, judged = run.manifest["actual"]  # type: ignore[misc]
    assert (answers["cached_tokens"], judged["cached_tokens"]) == (None, cached)
    page = (run.folder / "report.html").read_text()
    judging = page[page.index("<h3>Judging</h3>") :][:1000]
    assert "of these cached" in judging
    assert f"{cached:,}" in judging
    assert "prompt tokens from a cache" in page

    # What answers have read from a cache is a metric of the run.
    llm.reply = lambda body: Reply(text=VERDICT if is_judgement(body) else "Fine.", cached_tokens=7)
    other = rageval("--model", "gpt-4o-mini", "--no-judge", run_id="r2")
    summary = other.table("summary").to_pandas().set_index("metric").loc["cached_tokens"]
    assert (summary["total"], summary["mean"], summary["n_scored"]) == (20 * 7, 7, 20)
