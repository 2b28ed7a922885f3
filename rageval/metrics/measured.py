"""What a run measures by the way: seconds, tokens and dollars, which are columns of its tables."""

from typing import Final

from rageval.metrics.metric import MeasuredMetric

SEARCH_LATENCY: Final = MeasuredMetric(
    name="search_latency_s",
    title="Latency of a search",
    description="seconds of one search",
    bounds=None,
    higher_is_better=False,
    table="retrieval",
    column="latency_s",
)
ANSWER_LATENCY: Final = MeasuredMetric(
    name="answer_latency_s",
    title="Latency of an answer",
    description="seconds of one answer",
    bounds=None,
    higher_is_better=False,
    table="answers",
    column="latency_s",
)
PROMPT_TOKENS: Final = MeasuredMetric(
    name="prompt_tokens",
    title="Tokens of the prompt",
    description="tokens of the prompt, as the server counts them",
    bounds=None,
    higher_is_better=None,
    table="answers",
    column="prompt_tokens",
)
CACHED_TOKENS: Final = MeasuredMetric(
    name="cached_tokens",
    title="Cached tokens of the prompt",
    description="tokens of the prompt that the provider read from its cache, where it says so",
    bounds=None,
    higher_is_better=None,
    table="answers",
    column="cached_tokens",
)
COMPLETION_TOKENS: Final = MeasuredMetric(
    name="completion_tokens",
    title="Tokens of the answer",
    description="tokens of the answer, as the server counts them",
    bounds=None,
    higher_is_better=None,
    table="answers",
    column="completion_tokens",
)
COST: Final = MeasuredMetric(
    name="cost_usd",
    title="Cost of an answer",
    description="US dollars of one answer",
    bounds=None,
    higher_is_better=False,
    table="answers",
    column="cost_usd",
)
