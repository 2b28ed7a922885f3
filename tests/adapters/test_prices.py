"""Dollars of a reply: what is cached costs less where the table knows, what is thought costs as what is said."""

import pytest

from rageval.config.models import ModelConfig
from rageval.engine.prices import cost_usd
from rageval.errors import RunStoppedError
from rageval.records import Usage
from tests.adapters.asking import WAIT_S, Asker, script
from tests.fake_llm import FakeLLM, Reply


def test_cached_prompt_tokens_are_cheaper_where_the_table_knows() -> None:
    model = ModelConfig(name="gpt-4o-mini")
    fresh = cost_usd(model, Usage(prompt_tokens=1_000_000, completion_tokens=0))
    cached = cost_usd(model, Usage(prompt_tokens=1_000_000, completion_tokens=0, cached_tokens=800_000))
    # OpenAI's list: 0.15 dollars a million, cached 0.075; 200,000 fresh + 800,000 cached.
    assert fresh == pytest.approx(0.15)
    assert cached == pytest.approx(0.2 * 0.15 + 0.8 * 0.075)


def test_reasoning_tokens_are_part_of_the_completion_and_not_paid_twice() -> None:
    model = ModelConfig(name="gpt-5-mini")
    silent = cost_usd(model, Usage(prompt_tokens=10, completion_tokens=1000))
    thinking = cost_usd(model, Usage(prompt_tokens=10, completion_tokens=1000, reasoning_tokens=900))
    assert silent is not None
    assert silent == thinking


def test_what_is_not_known_is_not_zero() -> None:
    usage = Usage(prompt_tokens=10, completion_tokens=10)
    assert cost_usd(ModelConfig(name="nobody-knows"), usage) is None
    assert cost_usd(ModelConfig(name="gpt-4o-mini"), Usage()) is None
    assert cost_usd(ModelConfig(name="local"), Usage()) == 0.0


PRICE = {"input_usd_per_mtok": 0.0, "output_usd_per_mtok": 1_000.0, "max_concurrency": 1}


def test_a_reply_that_was_paid_and_could_not_be_used_counts(ask: Asker, llm: FakeLLM) -> None:
    # 40 characters are 10 tokens, a thousandth of a dollar each. The first reply holds no choices: asked again.
    script(llm, Reply(text="x" * 40, choices=False), "y" * 40)
    (reply,) = ask(1, **PRICE)
    assert reply.attempts == 2
    assert reply.cost_usd == pytest.approx(0.02)
    assert ask.engine.spending.spent_usd == pytest.approx(0.02)


def test_the_ceiling_holds_over_all_models_and_what_earlier_starts_spent_counts(ask: Asker, llm: FakeLLM) -> None:
    llm.reply = lambda _: "y" * 40
    ask.next_run(max_cost_usd=0.1, spent_usd=0.051)  # not 0.05: ten cents are no binary number
    replies: list[object] = []
    futures = [
        ask.start(10, lambda _, reply: replies.append(reply), label=name, model=name, **PRICE) for name in ("a", "b")
    ]
    for future in futures:
        with pytest.raises(RunStoppedError, match="ceiling"):
            future.result(WAIT_S)
    other = Asker(llm)
    with other.engine:
        assert other(1, model="a", **PRICE)[0].text  # what one run may spend is nothing to another one
    # Five more reach it, and of each model one may be in flight then.
    assert 5 <= len(replies) <= 6
    assert len(replies) == len(llm.requests) - 1
    ask.next_run(max_cost_usd=0.2, spent_usd=0.1)
    assert len(ask(1, **PRICE)) == 1
