"""Model and tokens -> US dollars, from the configured price or genai-prices' offline table."""

from functools import lru_cache

import genai_prices

from rageval.config import ModelConfig
from rageval.records import Usage


def cost_usd(model: ModelConfig, usage: Usage) -> float | None:
    """Return the price of one reply in US dollars, or None where the price or a token count is unknown.

    The embedded model costs 0. A configured price counts every prompt token at the full price; the table
    also knows the price of cached ones.
    """
    if model.is_local:
        return 0.0
    if usage.prompt_tokens is None or usage.completion_tokens is None:
        return None
    if model.input_usd_per_mtok is not None and model.output_usd_per_mtok is not None:
        return (
            usage.prompt_tokens * model.input_usd_per_mtok + usage.completion_tokens * model.output_usd_per_mtok
        ) / 1e6
    return _listed_price(model.served_name, usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens or 0)


@lru_cache(maxsize=4096)
def _listed_price(model: str, prompt: int, completion: int, cached: int) -> float | None:
    usage = genai_prices.Usage(input_tokens=prompt, output_tokens=completion, cache_read_tokens=min(cached, prompt))
    try:
        return float(genai_prices.calc_price(usage, model).total_price)
    except LookupError:
        return None
