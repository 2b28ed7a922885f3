"""What a run would take: calls, tokens, dollars and minutes per model, before anything is sent."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TypeAlias

from rageval.config.evaluation import EvaluationConfig
from rageval.config.models import ModelConfig
from rageval.corpus.files import load_corpus
from rageval.engine.chunks import plan_chunks
from rageval.engine.prices import Tier, cost_usd
from rageval.errors import ConfigError
from rageval.judging.plan import PlannedScore, choices_see_reference, pairwise_rows, score_plan
from rageval.judging.prompts import Judged, choice_messages, verdict_messages
from rageval.metrics.names import split_detail
from rageval.metrics.pairwise import PAIRWISE
from rageval.records import Document, Message, Question, Usage
from rageval.runs.inputs import read_documents, read_questions
from rageval.runs.manifest import ModelUsage
from rageval.runs.run import Run
from rageval.storage.places import place
from rageval.systems.asked_again import cut_again, is_asked_again
from rageval.systems.kinds import make_systems, stored_systems
from rageval.systems.system import System
from rageval.systems.templates import messages

ANSWERS, VERDICTS = "answers", "verdicts"
_CHARS_PER_TOKEN = 4.0
_ANSWER_TOKENS = 200
_VERDICT_TOKENS = 80
_LATENCY_S = 2.0
_NOTHING = Usage(prompt_tokens=0, completion_tokens=0)
_Asked: TypeAlias = tuple[str, tuple[str, ...]]
"""A system or a judge, and what it is asked for: answers, or the metrics of one call."""


@dataclass(frozen=True, kw_only=True)
class ExpectedCalls:
    """Calls with prompts and replies of one length."""

    calls: int
    prompt: Sequence[Message]
    completion_tokens: int
    """Of one reply, unless the model may not write as many."""

    def usage(self, model: ModelConfig) -> Usage:
        """Return the tokens of one of them."""
        characters = sum(len(message["content"]) for message in self.prompt)
        completion = min(self.completion_tokens, model.max_completion_tokens or self.completion_tokens)
        return Usage(prompt_tokens=round(characters / _CHARS_PER_TOKEN), completion_tokens=completion)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One model's share of a run in one role. Tokens are characters / 4, dollars None where unpriced."""

    model: str
    role: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    """As the run is configured: live, flex or batch."""
    live_usd: float | None
    flex_usd: float | None
    batch_usd: float | None
    minutes: float
    """Under the configured limits and concurrency, at two seconds a call; a batch takes as long as it takes."""


@dataclass(frozen=True, kw_only=True)
class _AskedQuestions:
    """What an estimate has to know of the questions."""

    ids: Sequence[str]
    mean_chars: int
    """Of a question with its earlier turns, which stand in every prompt beside it."""

    @classmethod
    def of(cls, questions: Iterable[Question]) -> "_AskedQuestions":
        ids: list[str] = []
        chars = 0
        for question in questions:
            ids.append(question.question_id)
            chars += len(question.question) + sum(len(turn["content"]) for turn in question.history)
        return cls(ids=ids, mean_chars=round(chars / len(ids)) if ids else 0)


def estimate_run(config: EvaluationConfig) -> list[Estimate]:
    """Return what each model would be asked; of a run that was started before, what is missing or failed.

    Raises:
        DataError: If documents or ground truth cannot be used.
    """
    corpus = load_corpus(config.data)
    stored: Counter[_Asked] = Counter()
    if config.run.run_id:
        run = Run(str(place(config.run.output) / config.run.run_id))
        stored = _stored(run, config)
    return _estimates(config, corpus.documents, _AskedQuestions.of(corpus.questions), stored)


def estimate_whole(run: Run, config: EvaluationConfig) -> list[ModelUsage]:
    """Return what each model is to be asked in the whole run, whose documents and questions are stored."""
    asked = _AskedQuestions.of(read_questions(run))
    estimates = _estimates(config, list(read_documents(run).values()), asked, Counter())
    kept = ("model", "role", "calls", "prompt_tokens", "completion_tokens", "cost_usd")
    return [ModelUsage(**{name: getattr(row, name) for name in kept}) for row in estimates]


def check_prices(config: EvaluationConfig, models: Sequence[ModelConfig] | None = None) -> None:
    """Make sure that what a run with a ceiling spends can be known.

    Args:
        config: The run's configuration.
        models: Who is asked; None for all answering models and judges.

    Raises:
        ConfigError: If it has a ceiling, and the price of any of its models is unknown.
    """
    if config.run.max_cost_usd is None:
        return
    for model in (*config.answering_models, *config.own_limits, *config.judges) if models is None else models:
        if cost_usd(model, Usage(prompt_tokens=1, completion_tokens=1), tier=_tier(config)) is None:
            raise ConfigError(
                f"run.max_cost_usd needs the price of every model, and that of {model.name!r} is unknown; give its "
                "input_usd_per_mtok and output_usd_per_mtok, or of a system of yours its usd_per_call, or leave "
                "--max-cost-usd out"
            )


def _tier(config: EvaluationConfig) -> Tier | None:
    return "batch" if config.run.batch else None


def _stored(run: Run, config: EvaluationConfig) -> "Counter[_Asked]":
    """Return how many answers, and calls of judges, need not be asked for, by system or judge and what for."""
    counts: Counter[_Asked] = Counter()
    if not run.has("questions"):
        return counts
    plan = score_plan(config)
    chunks = plan_chunks(run.count("questions"), config.chunk_size, config.run.repeats)
    for system in stored_systems(run, config) if run.has("systems") else ():
        cut = cut_again(run, system, config.run.max_failed_share)
        for chunk in chunks:
            answers = run.stored("answers", system.name, chunk).values()
            again = (is_asked_again(row, cut=cut, only_failed=False) for row in answers)
            counts[system.name, (ANSWERS,)] += sum(not asked for asked in again)
            verdicts: dict[str, set[str]] = {}
            for (question_id, name), row in run.stored("scores", system.name, chunk).items():
                if row["status"] != "ok":
                    continue
                if split_detail(name)[0] == PAIRWISE.name:
                    counts[row["judge_model"], (PAIRWISE.name,)] += 1
                verdicts.setdefault(question_id, set()).add(name)
            for question_id, names in verdicts.items():
                counts.update(_calls_done(plan.scores(question_id), names))
    return counts


def _calls_done(planned: Sequence[PlannedScore], stored: Collection[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield judge and metrics of each call about an answer that has brought all its verdicts."""
    brought: dict[tuple[str, tuple[str, ...], bool], bool] = {}
    for score in planned:
        if score.call:
            brought[score.call] = brought.get(score.call, True) and score.name in stored
    yield from ((judge, asked_for) for (judge, asked_for, _), whole in brought.items() if whole)


def _estimates(
    config: EvaluationConfig,
    documents: Sequence[Document],
    questions: _AskedQuestions,
    stored: "Counter[_Asked]",
) -> list[Estimate]:
    """Estimate from texts of the mean length."""
    typical = _typical(documents)
    question = "x" * questions.mean_chars
    systems = make_systems(config)
    rows = []
    for model in config.answering_models:
        prompts = [
            ExpectedCalls(
                calls=config.run.repeats * len(questions.ids) - stored[system.name, (ANSWERS,)],
                prompt=messages(system.prompt, question, [typical] * _contexts(system, config)),
                completion_tokens=_ANSWER_TOKENS,
            )
            for system in systems
            if system.prompt and system.model == model
        ]
        rows.append(estimate_calls(config, model, ANSWERS, prompts))
    for system in systems:
        if system.caller:
            calls = config.run.repeats * len(questions.ids) - stored[system.name, (ANSWERS,)]
            rows.append(_estimate_own(system, calls))
    verdicts = _verdicts(config, typical, question, questions.ids)
    for judge in config.judges:
        left = [
            replace(wanted, calls=wanted.calls - stored[name, asked_for])
            for (name, asked_for), wanted in verdicts.items()
            if name == judge.name
        ]
        rows.append(estimate_calls(config, judge, VERDICTS, left))
    return rows


def _estimate_own(system: System, calls: int) -> Estimate:
    """Return what a system of its user's own is asked; nobody knows its tokens."""
    usd = None if system.model.usd_per_call is None else calls * system.model.usd_per_call
    return Estimate(
        model=system.name, role=ANSWERS, calls=calls, prompt_tokens=0, completion_tokens=0, cost_usd=usd,
        live_usd=usd, flex_usd=usd, batch_usd=usd, minutes=_minutes(system.model, calls, 0),
    )  # fmt: skip


def _contexts(system: System, config: EvaluationConfig) -> int:
    """Return how many documents a system is shown; an oracle's questions mostly have one that is relevant."""
    return {"pipeline": config.retrieval.top_k, "oracle": 1, "closed_book": 0}[system.kind]


def _verdicts(
    config: EvaluationConfig, typical: Document, question: str, ids: Sequence[str]
) -> dict[_Asked, ExpectedCalls]:
    """Return what is asked in the whole run by judge and metrics that one call is for, with prompts of mean length."""
    text = "x" * int(_ANSWER_TOKENS * _CHARS_PER_TOKEN)
    contexts = [typical] * config.retrieval.top_k
    judged = Judged(question=question, answer=text, references=(typical.text,), contexts=contexts)
    plan = score_plan(config)
    metrics = {metric.name: metric for metric in plan.judged}
    times = config.run.repeats * len(config.plans)
    verdicts = {
        (name, asked_for): expected_verdicts(
            times * n, verdict_messages([metrics[one] for one in asked_for], judged), len(asked_for)
        )
        for (name, asked_for), n in plan.calls(ids).items()
    }
    if choices := pairwise_rows(config, len(ids)):
        references = (typical.text,) if choices_see_reference(config) else ()
        two_answers = choice_messages(PAIRWISE, question, references, text, text)
        verdicts[config.judges[0].name, (PAIRWISE.name,)] = expected_verdicts(config.run.repeats * choices, two_answers)
    return verdicts


def _typical(documents: Sequence[Document]) -> Document:
    def mean(texts: Iterable[str]) -> str:
        lengths = [*map(len, texts)]
        return "x" * round(fmean(lengths)) if lengths else ""

    names = {name for document in documents for name in document.metadata}
    return Document(
        document_id="",
        title=mean(document.title for document in documents),
        text=mean(document.text for document in documents),
        metadata={name: mean(document.metadata.get(name, "") for document in documents) for name in names},
        content_hash="",
    )


def expected_verdicts(calls: int, prompt: Sequence[Message], verdicts: int = 1) -> ExpectedCalls:
    """Return what calls of a judge are expected to take that bring so many verdicts each."""
    return ExpectedCalls(calls=calls, prompt=prompt, completion_tokens=verdicts * _VERDICT_TOKENS)


def estimate_calls(
    config: EvaluationConfig,
    model: ModelConfig,
    role: str,
    expected: Sequence[ExpectedCalls],
) -> Estimate:
    """Estimate what one model is asked in one role."""
    usages = [(one.calls, one.usage(model)) for one in expected]
    calls = sum(n for n, _ in usages)
    prompt_tokens = sum(n * (usage.prompt_tokens or 0) for n, usage in usages)
    completion_tokens = sum(n * (usage.completion_tokens or 0) for n, usage in usages)

    def dollars(tier: Tier | None) -> float | None:
        # Call by call: some models cost more where a prompt is long.
        prices = [(n, cost_usd(model, usage, tier=tier)) for n, usage in usages or [(0, _NOTHING)]]
        known = [n * price for n, price in prices if price is not None]
        return sum(known) if len(known) == len(prices) else None

    return Estimate(
        model=model.name,
        role=role,
        calls=calls,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        cost_usd=dollars(_tier(config)),
        live_usd=dollars("standard"),
        flex_usd=dollars("flex"),
        batch_usd=dollars("batch"),
        minutes=_minutes(model, calls, prompt_tokens + completion_tokens),
    )


def _minutes(model: ModelConfig, calls: int, tokens: int) -> float:
    seconds = [calls * _LATENCY_S / min(model.max_concurrency, 2 if model.is_local else model.max_concurrency)]
    if model.rpm:
        seconds.append(calls * 60 / model.rpm)
    if model.tpm:
        seconds.append(tokens * 60 / model.tpm)
    return max(seconds) / 60
