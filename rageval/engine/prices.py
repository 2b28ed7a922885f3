"""Model and tokens -> US dollars, from the configured price or genai-prices' offline table."""

from functools import lru_cache
from typing import Literal, TypeAlias

import genai_prices

from rageval.config.models import ModelConfig
from rageval.records import Usage

Tier: TypeAlias = Literal["standard", "flex", "batch"]
_SHARE_OF_PRICE: dict[Tier, float] = {"standard": 1.0, "flex": 0.5, "batch": 0.5}


def cost_usd(model: ModelConfig, usage: Usage, *, tier: Tier | None = None) -> float | None:
    """Return the price of one reply in US dollars, or None where the price or a token count is unknown.

    The embedded model costs 0. A configured price counts every prompt token at the full price; the table
    also knows the price of cached ones. Both are prices of the standard tier: flex and batch cost half of them.

    Args:
        model: Who replied.
        usage: The tokens of the reply.
        tier: How it was asked; None for what its `service_tier` says. What `priority` costs on top is in no table,
            so only a configured price is a price for it.
    """
    if model.is_local:
        return 0.0
    if model.usd_per_call is not None:
        return model.usd_per_call
    if usage.prompt_tokens is None or usage.completion_tokens is None:
        return None
    share = _SHARE_OF_PRICE[tier or ("flex" if model.service_tier == "flex" else "standard")]
    if model.input_usd_per_mtok is not None and model.output_usd_per_mtok is not None:
        prompt_usd = usage.prompt_tokens * model.input_usd_per_mtok / 1e6
        return share * (prompt_usd + usage.completion_tokens * model.output_usd_per_mtok / 1e6)
    if model.service_tier == "priority" and tier is None:
        return None
    cached = usage.cached_tokens or 0
    price = _listed_price(model.served_name, usage.prompt_tokens, usage.completion_tokens, cached)
    return None if price is None else share * price


@lru_cache(maxsize=4096)
def _listed_price(model: str, prompt: int, completion: int, cached: int) -> float | None:
    usage = genai_prices.Usage(input_tokens=prompt, output_tokens=completion, cache_read_tokens=min(cached, prompt))
    try:
        return float(genai_prices.calc_price(usage, model).total_price)
    except LookupError:
        return None
