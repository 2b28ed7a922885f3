"""What a generation of questions would take: calls, tokens and dollars, before anything is sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rageval.config.models import ModelConfig
from rageval.engine.prices import cost_usd
from rageval.engine.requests import ChatRequest
from rageval.ground_truth.config import GenerationConfig
from rageval.ground_truth.drafts import check_request, questions_request
from rageval.ground_truth.filters import Draft
from rageval.ground_truth.generation import choose_documents
from rageval.ground_truth.reply_log import read_replies
from rageval.records import Usage
from rageval.storage.places import place

_CHARS_PER_TOKEN: Final = 4.0
QUESTION_TOKENS: Final = 20
VERDICT_TOKENS: Final = 60
_TYPICAL_QUESTION: Final = "x" * 80


@dataclass(frozen=True, kw_only=True)
class GenerationEstimate:
    """One step's calls. Tokens are characters / 4, dollars None where unpriced."""

    role: str
    model: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None


def estimate_generation(config: GenerationConfig) -> list[GenerationEstimate]:
    """Return what the models would be asked; replies that a named run has are not counted.

    Checks are counted for every question, as if no filter dropped any.

    Raises:
        DataError: If the documents cannot be used.
        ConfigError: If no document has the filter value, or the sample is larger than the set.
    """
    documents = choose_documents(config)
    requests = [questions_request(document, config) for document in documents]
    checks = [
        check_request(Draft(document=document, number=1, question=_TYPICAL_QUESTION), config) for document in documents
    ]
    if config.run_id:
        replied = {reply.fingerprint for reply in read_replies(place(config.output) / config.run_id) if not reply.error}
        requests = [request for request in requests if request.fingerprint(config.model) not in replied]
    rows = [_estimate("questions", config.model, requests, 1, QUESTION_TOKENS * config.per_document)]
    if config.check:
        rows.append(_estimate("checks", config.checker or config.model, checks, config.per_document, VERDICT_TOKENS))
    return rows


def _estimate(
    role: str, model: ModelConfig, requests: Sequence[ChatRequest], times: int, completion: int
) -> GenerationEstimate:
    prompts = [
        round(sum(len(message["content"]) for message in request.messages) / _CHARS_PER_TOKEN) for request in requests
    ]
    prices = [cost_usd(model, Usage(prompt_tokens=tokens, completion_tokens=completion)) for tokens in prompts]
    known = [price for price in prices if price is not None]
    return GenerationEstimate(
        role=role,
        model=model.name,
        calls=times * len(requests),
        prompt_tokens=times * sum(prompts),
        completion_tokens=times * completion * len(requests),
        cost_usd=times * sum(known) if len(known) == len(prices) else None,
    )
