"""What a run would take: calls, tokens, dollars and minutes per model, before anything is sent."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from rageval.config.evaluation import EvaluationConfig
from rageval.config.models import ModelConfig
from rageval.corpus.files import load_corpus
from rageval.engine.chunks import plan_chunks
from rageval.engine.prices import Tier, cost_usd
from rageval.errors import ConfigError
from rageval.judging.plan import choices_see_reference, pairwise_rows, score_plan
from rageval.judging.prompts import Judged, choice_messages, judge_messages
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


def estimate_run(config: EvaluationConfig) -> list[Estimate]:
    """Return what each model would be asked; of a run that was started before, what is missing or failed.

    Raises:
        DataError: If documents or ground truth cannot be used.
    """
    corpus = load_corpus(config.data)
    stored: Mapping[tuple[str, str], int] = {}
    if config.run.run_id:
        run = Run(str(place(config.run.output) / config.run.run_id))
        stored = _stored(run, config)
    return _estimates(config, corpus.documents, corpus.questions, stored)


def estimate_whole(run: Run, config: EvaluationConfig) -> list[ModelUsage]:
    """Return what each model is to be asked in the whole run, whose documents and questions are stored."""
    estimates = _estimates(config, list(read_documents(run).values()), read_questions(run), {})
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


def _stored(run: Run, config: EvaluationConfig) -> Mapping[tuple[str, str], int]:
    """Return how many answers and verdicts need not be asked for, by system or judge and what for."""
    if not run.has("questions"):
        return {}
    counts: Counter[tuple[str, str]] = Counter()
    plan = score_plan(config)
    chunks = plan_chunks(run.read("questions").num_rows, config.chunk_size, config.run.repeats)
    for system in stored_systems(run, config) if run.has("systems") else ():
        cut = cut_again(run, system, config.run.max_failed_share)
        for chunk in chunks:
            answers = run.stored("answers", system.name, chunk).values()
            again = (is_asked_again(row, cut=cut, only_failed=False) for row in answers)
            counts[system.name, ANSWERS] += sum(not asked for asked in again)
            for (question_id, name), row in run.stored("scores", system.name, chunk).items():
                if row["status"] != "ok":
                    continue
                if split_detail(name)[0] == PAIRWISE.name:
                    counts[row["judge_model"], PAIRWISE.name] += 1
                for score in plan.scores(question_id):
                    if score.name == name and score.judge:
                        counts[score.judge.name, score.metric.name] += 1
    return counts


def _estimates(
    config: EvaluationConfig,
    documents: Sequence[Document],
    questions: Sequence[Question],
    stored: Mapping[tuple[str, str], int],
) -> list[Estimate]:
    """Estimate from texts of the mean length."""
    typical = _typical(documents)
    question = "x" * round(fmean(_chars(row) for row in questions)) if questions else ""
    systems = make_systems(config)
    rows = []
    for model in config.answering_models:
        prompts = [
            (
                config.run.repeats * len(questions) - stored.get((system.name, ANSWERS), 0),
                messages(system.prompt, question, [typical] * _contexts(system, config)),
            )
            for system in systems
            if system.prompt and system.model == model
        ]
        rows.append(estimate_calls(config, model, ANSWERS, prompts, _ANSWER_TOKENS))
    for system in systems:
        if system.caller:
            calls = config.run.repeats * len(questions) - stored.get((system.name, ANSWERS), 0)
            rows.append(_estimate_own(system, calls))
    by_judge = _verdicts(config, typical, question, [row.question_id for row in questions])
    for judge in config.judges:
        left = [(n - stored.get((judge.name, metric), 0), prompt) for metric, n, prompt in by_judge[judge.name]]
        rows.append(estimate_calls(config, judge, VERDICTS, left, _VERDICT_TOKENS))
    return rows


def _chars(question: Question) -> int:
    """Return how long a question is with its earlier turns, which stand in every prompt beside it."""
    return len(question.question) + sum(len(turn["content"]) for turn in question.history)


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
) -> dict[str, list[tuple[str, int, list[Message]]]]:
    """Return what each judge is asked in the whole run: metric, how often, and a prompt of the mean length."""
    text = "x" * int(_ANSWER_TOKENS * _CHARS_PER_TOKEN)
    contexts = [typical] * config.retrieval.top_k
    judged = Judged(question=question, answer=text, references=(typical.text,), contexts=contexts)
    plan = score_plan(config)
    prompts = {metric.name: judge_messages(metric, judged) for metric in plan.judged}
    verdicts: dict[str, list[tuple[str, int, list[Message]]]] = {judge.name: [] for judge in config.judges}
    for (name, metric), n in plan.calls(ids).items():
        verdicts[name].append((metric, config.run.repeats * len(config.plans) * n, prompts[metric]))
    if choices := pairwise_rows(config, len(ids)):
        references = (typical.text,) if choices_see_reference(config) else ()
        two_answers = choice_messages(PAIRWISE, question, references, text, text)
        verdicts[config.judges[0].name].append((PAIRWISE.name, config.run.repeats * choices, two_answers))
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


def estimate_calls(
    config: EvaluationConfig,
    model: ModelConfig,
    role: str,
    prompts: Sequence[tuple[int, Sequence[Message]]],
    completion: int,
) -> Estimate:
    """Estimate the calls that these prompts are for, so many of each."""
    completion = min(completion, model.max_completion_tokens or completion)
    calls = sum(n for n, _ in prompts)
    characters = sum(n * sum(len(message["content"]) for message in prompt) for n, prompt in prompts)
    usage = Usage(prompt_tokens=round(characters / max(1, calls) / _CHARS_PER_TOKEN), completion_tokens=completion)
    prompt_tokens = calls * (usage.prompt_tokens or 0)

    def dollars(tier: Tier | None) -> float | None:
        price = cost_usd(model, usage, tier=tier)  # of one call: some models cost more where a prompt is long
        return None if price is None else calls * price

    return Estimate(
        model=model.name,
        role=role,
        calls=calls,
        prompt_tokens=prompt_tokens,
        completion_tokens=calls * completion,
        cost_usd=dollars(_tier(config)),
        live_usd=dollars("standard"),
        flex_usd=dollars("flex"),
        batch_usd=dollars("batch"),
        minutes=_minutes(model, calls, prompt_tokens + calls * completion),
    )


def _minutes(model: ModelConfig, calls: int, tokens: int) -> float:
    seconds = [calls * _LATENCY_S / min(model.max_concurrency, 2 if model.is_local else model.max_concurrency)]
    if model.rpm:
        seconds.append(calls * 60 / model.rpm)
    if model.tpm:
        seconds.append(tokens * 60 / model.tpm)
    return max(seconds) / 60
