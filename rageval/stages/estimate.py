"""What a run would take: calls, tokens, dollars and minutes per model, before anything is sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from rageval.adapters.corpus import load_corpus
from rageval.adapters.prices import cost_usd
from rageval.config import EvaluationConfig, ModelConfig
from rageval.prompts import (
    Message,
    answer_messages,
    judge_with_reference_messages,
    judge_without_reference_messages,
)
from rageval.records import Document, Usage
from rageval.stages.scores import WITH_REFERENCE, judge_metrics

_CHARS_PER_TOKEN = 4.0
_ANSWER_TOKENS = 200
_VERDICT_TOKENS = 80
_LATENCY_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One model's share of a run in one role. Tokens are characters / 4, dollars None where unpriced."""

    model: str
    role: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    minutes: float
    """Under the configured limits and concurrency, at two seconds a call."""


def estimate_run(config: EvaluationConfig) -> list[Estimate]:
    """Return what each model would be asked. Contexts count as documents of the mean length.

    Raises:
        DataError: If documents or ground truth cannot be used.
    """
    corpus = load_corpus(config.data)
    typical = _typical(corpus.documents)
    question = max((q.question for q in corpus.questions), key=len, default="")
    calls = len(corpus.questions) * len(config.answer_search)
    answer = answer_messages(question, [typical] * config.retrieval.top_k)
    rows = [_estimate(model, "answers", calls, [answer], _ANSWER_TOKENS) for model in config.answers.models]
    judge, metrics = config.judge_model, judge_metrics(config.judge)
    if judge:
        text = "x" * int(_ANSWER_TOKENS * _CHARS_PER_TOKEN)
        prompts = [
            judge_with_reference_messages(question, typical.text, text)
            if metric == WITH_REFERENCE
            else judge_without_reference_messages(question, text)
            for metric in metrics
        ]
        rows.append(_estimate(judge, "verdicts", calls * len(config.answers.models), prompts, _VERDICT_TOKENS))
    return rows


def _typical(documents: Sequence[Document]) -> Document:
    def mean(column: str) -> str:
        return "x" * round(fmean(len(getattr(document, column)) for document in documents))

    return Document(
        document_id="", course="", content_hash="",
        section=mean("section"), question=mean("question"), text=mean("text"),
    )  # fmt: skip


def _estimate(
    model: ModelConfig, role: str, subjects: int, prompts: Sequence[Sequence[Message]], completion: int
) -> Estimate:
    """Estimate one call per subject and prompt."""
    completion = min(completion, model.max_completion_tokens or completion)
    characters = sum(len(message["content"]) for prompt in prompts for message in prompt)
    calls = subjects * len(prompts)
    prompt_tokens = round(subjects * characters / _CHARS_PER_TOKEN)
    usage = Usage(prompt_tokens=prompt_tokens, completion_tokens=calls * completion)
    seconds = [calls * _LATENCY_S / min(model.max_concurrency, 2 if model.is_local else model.max_concurrency)]
    if model.rpm:
        seconds.append(calls * 60 / model.rpm)
    if model.tpm:
        seconds.append((prompt_tokens + calls * completion) * 60 / model.tpm)
    return Estimate(
        model=model.name,
        role=role,
        calls=calls,
        prompt_tokens=prompt_tokens,
        completion_tokens=calls * completion,
        cost_usd=cost_usd(model, usage),
        minutes=max(seconds) / 60,
    )
