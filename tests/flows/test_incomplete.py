"""What looks complete and is not: said wherever the run is looked at, and asked for again."""

from collections import Counter

import pytest

from tests.elasticsearch_proxy import ElasticsearchProxy
from tests.evaluations import AGAIN, ONE_VERDICT, THREE_VERDICTS, Outcome, Rageval
from tests.fake_llm import VERDICT, Body, FakeLLM, Reply, is_about_faithfulness, is_judgement, prompt

PAIRS = ("--model", "m1", "--model", "m2", "--judge", "judge", "--set", "judge.pairwise=true")
PRICE = "input_usd_per_mtok: 1, output_usd_per_mtok: 1"
PRICED = f"models=[{{{{name: m1, base_url: '{{url}}', max_concurrency: 2, {PRICE}}}}}]"
LIMIT = "models=[{{name: m1, base_url: '{url}', max_completion_tokens: {tokens}}}]"


def places(run: Outcome) -> list[str]:
    """Return all texts that say how the run ended: terminal, first lines of the page, run.json."""
    page = (run.folder / "report.html").read_text().partition("<nav")[0]
    return [" ".join((run.out + run.err).split()), page, " ".join(run.manifest["warnings"])]  # type: ignore[arg-type]


def verdicts(llm: FakeLLM) -> list[Body]:
    return [body for body in llm.requests if is_judgement(body)]


@pytest.mark.parametrize("again", [(), ("--retry-failed",)])
def test_verdicts_that_nobody_can_read_make_the_run_incomplete_and_are_asked_for_again(
    rageval: Rageval, llm: FakeLLM, again: tuple[str, ...]
) -> None:
    llm.reply = lambda body: "I like this one." if is_judgement(body) else "Fine."
    run = rageval()

    lost = "20 of 20 verdicts of correctness by m1 could not be read"
    assert run.status == 3
    assert lost in str(run.manifest["reason"])
    assert "more than run.max_failed_share = 0.05 allows (most often: not JSON at character 1)" in run.err
    assert all(lost in place for place in places(run))
    page = (run.folder / "report.html").read_text()
    assert f"No verdict could be read ({40 + 2 * AGAIN} of {40 + 2 * AGAIN})." in page
    assert "No answer was judged" not in page

    paid = run.manifest["totals"]["requests"]  # type: ignore[index]
    llm.requests.clear()
    llm.reply = lambda body: VERDICT if is_judgement(body) else "Fine."
    done = rageval(*again)

    assert done.status == 0, done.err
    assert len(verdicts(llm)) == len(llm.requests) == 40 + 2 * AGAIN
    assert done.manifest["warnings"] == []
    # What the first start has paid for is part of what the run took.
    assert done.manifest["totals"]["requests"] == paid + len(llm.requests)  # type: ignore[index]


def test_one_metric_of_one_model_is_not_hidden_by_all_the_others(rageval: Rageval, llm: FakeLLM) -> None:
    def reply(body: Body) -> str:
        if is_about_faithfulness(body):
            return "Hard to say."
        return VERDICT if is_judgement(body) else "Fine."

    llm.reply = reply
    options = ("--judge", "judge", *THREE_VERDICTS, "--set", "judge.again_share=0")
    run = rageval(*options, "--set", "run.max_failed_share=0.4")

    # A third of all verdicts, and all of this metric.
    assert run.status == 3
    assert "20 of 20 verdicts of faithfulness by judge could not be read" in run.err.replace("\n", " ")


def test_a_few_unreadable_verdicts_are_said_and_asked_for_again_by_the_next_start(
    rageval: Rageval, llm: FakeLLM
) -> None:
    llm.reply = lambda body: (
        "Hm." if is_judgement(body) and "explain: report" in prompt(body) else VERDICT if is_judgement(body) else "Fine"
    )
    run = rageval(*ONE_VERDICT)

    assert run.status == 0, run.err
    said = "1 of 20 verdicts of correctness by m1 could not be read (most often: not JSON at character 1)"
    assert all(said in place for place in places(run))
    llm.requests.clear()
    llm.reply = lambda body: VERDICT
    assert rageval(*ONE_VERDICT).status == 0
    assert len(llm.requests) == 1


def test_choices_that_cannot_be_read_count_by_pair(rageval: Rageval, llm: FakeLLM) -> None:
    llm.reply = lambda body: "Both." if "FIRST" in prompt(body) else VERDICT if is_judgement(body) else "Fine."
    run = rageval(*PAIRS)

    assert run.status == 3
    assert "20 of 20 verdicts of pairwise[m2] by judge could not be read" in run.err.replace("\n", " ")
    llm.requests.clear()
    rageval(*PAIRS, "--retry-failed")
    assert len(llm.requests) == 40


def test_answers_that_were_cut_are_kept_said_and_replaced_with_all_their_scores_under_a_higher_limit(
    rageval: Rageval, llm: FakeLLM
) -> None:
    def reply(body: Body) -> Reply:
        if is_judgement(body):
            return Reply(
                text=VERDICT.replace("RELEVANT", "NON_RELEVANT" if "in the mid" in prompt(body) else "RELEVANT")
            )
        cut = body["model"] == "m1" and body["max_completion_tokens"] < 100
        return Reply(text="It stops in the mid", finish_reason="length") if cut else Reply(text="It is whole.")

    llm.reply = reply
    few, many = (("--set", LIMIT.format(url=llm.url, tokens=tokens)) for tokens in (5, 500))
    run = rageval("--judge", "judge", *few)

    assert run.status == 3
    assert all("20 of 20 answers were cut for their length" in place for place in places(run))
    assert "raise max_completion_tokens of the model of m1" in run.err.replace("\n", " ")
    assert set(run.table("answers")["answer"].to_pylist()) == {"It stops in the mid"}
    assert set(run.table("scores")["status"].to_pylist()) == {"ok"}

    lower = rageval("--judge", "judge", "--set", LIMIT.format(url=llm.url, tokens=4))
    assert lower.status == 2
    assert "models" in lower.err

    llm.requests.clear()
    done = rageval("--judge", "judge", *many)

    assert done.status == 0, done.err
    assert len(llm.requests) == 20 + 40 + 2 * AGAIN
    assert set(done.table("answers")["answer"].to_pylist()) == {"It is whole."}
    rows = done.table("scores").to_pandas()
    assert set(rows["label"].dropna()) == {"RELEVANT"}
    assert set(rows["status"]) == {"ok"}
    llm.requests.clear()
    assert rageval("--judge", "judge", *many).status == 0
    assert llm.requests == []


def test_a_cut_answer_stays_where_asking_again_brings_none(rageval: Rageval, llm: FakeLLM) -> None:
    llm.reply = lambda body: Reply(text="It stops in the mid", finish_reason="length")
    first = rageval("--no-judge")
    llm.reply = lambda body: Reply(status=400, error="too long")
    second = rageval("--no-judge")

    assert (first.status, second.status) == (3, 3)
    assert len(llm.requests) == 40
    assert Counter(second.table("answers")["status"].to_pylist()) == {"ok": 20}
    assert second.table("scores").equals(first.table("scores"))


def test_pairs_are_judged_anew_whose_other_answer_was_replaced(rageval: Rageval, llm: FakeLLM) -> None:
    cut = {"m2"}

    def reply(body: Body) -> str | Reply:
        if "FIRST" in prompt(body):
            return '{"reason": "", "label": "TIE"}'
        if is_judgement(body):
            return VERDICT
        name = body["model"]
        return Reply(text=f"{name} is cut", finish_reason="length") if name in cut else f"{name} is whole"

    llm.reply = reply
    assert rageval(*PAIRS, "--set", "judge.again_share=0").status == 3
    cut.clear()
    llm.requests.clear()
    done = rageval(*PAIRS, "--set", "judge.again_share=0")

    assert done.status == 0, done.err
    # Twenty answers of m2, their two verdicts, and both orders of the twenty pairs that stand under m1.
    assert len(llm.requests) == 20 + 40 + 40
    assert all("m2 is whole" in prompt(body) for body in llm.requests if "FIRST" in prompt(body))


def test_what_servers_do_not_say_is_unknown_everywhere(rageval: Rageval, llm: FakeLLM) -> None:
    llm.reply = lambda body: Reply(text=VERDICT if is_judgement(body) else "Fine.", usage=is_judgement(body))
    run = rageval("--set", PRICED.format(url=llm.url), "--set", "judge.again_share=0")

    assert run.status == 0, run.err
    totals = run.manifest["totals"]
    assert [totals[name] for name in ("prompt_tokens", "completion_tokens", "cost_usd")] == [None] * 3  # type: ignore[index]
    assert (totals["replies_without_usage"], totals["replies"]) == (20, 60)  # type: ignore[index]
    used = run.table("scores")["cost_usd"].drop_null().to_pylist()
    assert len(used) == 40
    assert totals["at_least"]["cost_usd"] == pytest.approx(sum(used))  # type: ignore[index]
    said = "20 of 60 replies of m1 carried no usage, so their tokens and cost are unknown"
    assert all(said in place for place in places(run))
    table = [line for line in run.out.splitlines() if "│" in line]
    answers = next(line for line in table if "answers" in line and " of 20" in line)
    assert "unknown of" in answers
    assert "$0.000 " not in answers
    assert "at least" in next(line for line in table if "total" in line)


def test_a_ceiling_that_cannot_hold_ends_the_run_at_once_and_is_refused_from_then_on(
    rageval: Rageval, llm: FakeLLM
) -> None:
    llm.reply = lambda body: Reply(text="Fine.", usage=False)
    options = ("--no-judge", "--set", PRICED.format(url=llm.url))
    stopped = rageval(*options, "--max-cost-usd", "5")

    assert stopped.status == 3
    assert "a reply of 'm1' does not say how many tokens it took" in stopped.err.replace("\n", " ")
    # What was in flight when the first reply came.
    assert len(llm.requests) <= 3
    assert stopped.table("answers").num_rows == len(llm.requests)

    sent = len(llm.requests)
    again = rageval(*options, "--max-cost-usd", "5")
    assert again.status == 3
    assert "the cost of some replies to earlier starts is unknown" in again.err.replace("\n", " ")
    assert len(llm.requests) == sent
    assert rageval(*options).status == 0
    assert len(llm.requests) == 20


def test_a_search_server_that_is_lost_after_the_answers_costs_none_of_them(
    rageval: Rageval, llm: FakeLLM, elasticsearch_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ElasticsearchProxy(upstream=elasticsearch_url) as proxy:

        def judge_and_lose_the_server(body: Body) -> str:
            if is_judgement(body):
                proxy.drops = 1_000_000
            return VERDICT if is_judgement(body) else "Fine."

        monkeypatch.setenv("ELASTICSEARCH_URL", proxy.url)
        llm.reply = judge_and_lose_the_server
        run = rageval("--retriever", "vector", "--retriever", "text")
        assert run.status == 3, run.err
        assert "not every retriever could be evaluated" in run.err
        assert "cannot be reached" in run.err
        assert "--run-id r1" in run.err
        assert run.table("answers").num_rows == 20
        assert (run.folder / "report.html").exists()

        asked, proxy.drops = len(llm.requests), 0
        llm.reply = lambda body: VERDICT if is_judgement(body) else "Fine."
        done = rageval("--retriever", "vector", "--retriever", "text")
        assert done.status == 0, done.err
        assert len(llm.requests) == asked, "what is answered and judged is not asked again"
        assert set(done.table("retrieval")["retriever"].to_pylist()) == {"vector", "text"}
