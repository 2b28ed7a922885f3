"""The tables of a run -> table `judging`: what is known about each judge, and whether it is fit to rank by."""

from collections.abc import Iterator, Sequence
from typing import Final, Literal, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from rageval.judging.agreement import agreement_of
from rageval.judging.effects import effects_of
from rageval.judging.judge_statistics import HUMANS, ITSELF, JudgeStatistic, to_judging
from rageval.judging.verdicts import JudgeVerdicts, read_verdicts
from rageval.metrics import catalogue
from rageval.metrics.metric import DerivedMetric
from rageval.metrics.truthfulness import VERDICTS
from rageval.pages.formats import number

Fitness: TypeAlias = Literal["fit", "unfit", "not enough checked", "not checked"]

MINIMUM_PAIRS: Final = 20
"""Verdicts that a kappa must come from before a judge is called fit or unfit by it."""
VERDICT, MEMBER_VERDICT, REMARK = "verdict", "member_verdict", "remark"


def judging_table(
    questions: pa.Table,
    answers: pa.Table,
    scores: pa.Table,
    labels: pa.Table,
    minimum_kappa: float,
    remarks: Sequence[str] = (),
) -> pa.Table:
    """Return every statistic about the judges of a run.

    Args:
        questions: Table `tables.QUESTIONS`.
        answers: Table `tables.ANSWERS`.
        scores: Table `tables.SCORES`.
        labels: Table `tables.HUMAN_LABELS`; empty if there are none.
        minimum_kappa: What a judge's kappa with itself and with the human labels must reach, in [0, 1].
        remarks: What has to be said about the labels.

    Returns:
        Table `tables.JUDGING`: for each metric's own judge a row `verdict`, for each judge of a panel a row
        `member_verdict`, then all other statistics; without a judge only the remarks.
    """
    said = [JudgeStatistic(judge="", metric="", statistic=REMARK, note=remark) for remark in remarks]
    if scores["label"].null_count == len(scores) and not len(labels):
        return to_judging(said)
    verdicts = read_verdicts(questions, answers, scores, labels)
    statistics = [*agreement_of(verdicts), *effects_of(verdicts)]
    return to_judging([*_fitness(verdicts, statistics, minimum_kappa), *statistics, *said])


def unfit_metrics(judging: pa.Table) -> frozenset[str]:
    """Return the metrics that nothing may be ranked by: their judge, or that of what they follow from, is unfit.

    Args:
        judging: Table `tables.JUDGING`.
    """
    verdicts = judging.filter(pc.equal(judging["statistic"], VERDICT))
    unfit = frozenset(verdicts.filter(pc.equal(verdicts["label"], "unfit"))["metric"].to_pylist())
    judged = verdicts["metric"].to_pylist()
    if next((name for name in VERDICTS if name in judged), None) not in unfit:
        return unfit
    return unfit | {metric.name for metric in catalogue.of_kind(DerivedMetric) if metric.needs_verdict}


def _fitness(verdicts: JudgeVerdicts, statistics: Sequence[JudgeStatistic], minimum: float) -> Iterator[JudgeStatistic]:
    checks: dict[tuple[str, str], list[JudgeStatistic]] = {}
    for statistic in statistics:
        if statistic.statistic == "kappa" and statistic.against in (ITSELF, HUMANS):
            checks.setdefault((statistic.judge, statistic.metric), []).append(statistic)
    for judge, metric in verdicts.metric_judges:
        own, members = checks.get((judge, metric), []), verdicts.members(judge, metric)
        found = {name: _fit(checks.get((name, metric), []), minimum) for name in members}
        fitness = _fit(own, minimum)
        if members and fitness in ("not checked", "not enough checked"):
            fitness = _of_panel(list(found.values()))
        inherited = [check for name in members for check in checks.get((name, metric), []) if check.against == ITSELF]
        yield _verdict(judge, metric, VERDICT, fitness, [*own, *inherited], minimum)
        for name in members:
            yield _verdict(name, metric, MEMBER_VERDICT, found[name], checks.get((name, metric), []), minimum)


def _fit(checks: Sequence[JudgeStatistic], minimum: float) -> Fitness:
    decisive = [check.value for check in checks if check.value is not None and check.n >= MINIMUM_PAIRS]
    if any(value < minimum for value in decisive):
        return "unfit"
    if decisive:
        return "fit"
    return "not enough checked" if any(check.n for check in checks) else "not checked"


def _of_panel(members: Sequence[Fitness]) -> Fitness:
    """Return what the judges of a panel that was not checked itself say about it."""
    unfit, fit = members.count("unfit"), members.count("fit")
    if unfit or fit:
        return "unfit" if unfit >= fit else "fit"
    return "not enough checked" if "not enough checked" in members else "not checked"


def _verdict(
    judge: str, metric: str, kind: str, fitness: Fitness, checks: Sequence[JudgeStatistic], minimum: float
) -> JudgeStatistic:
    value = {"fit": 1.0, "unfit": 0.0}.get(fitness)
    n = max((check.n for check in checks), default=0)
    conclusion = _OF_MEMBER if kind == MEMBER_VERDICT and fitness == "unfit" else _CONCLUSION[fitness]
    words = "; ".join(_words(check, judge) for check in checks if check.n) or _NOTHING
    note = f"{words[0].upper()}{words[1:]}. {conclusion.format(bar=number(minimum), least=MINIMUM_PAIRS)}"
    if fitness == "fit" and not any(check.against == HUMANS and check.n >= MINIMUM_PAIRS for check in checks):
        note += " Whether people would agree with it is not checked."
    return JudgeStatistic(judge=judge, metric=metric, statistic=kind, label=fitness, value=value, n=n, note=note)


_NOTHING: Final = "no answer was judged twice, and there are no human labels"
_CONCLUSION: Final = {
    "fit": "That is at least {bar}, so it may be ranked by.",
    "unfit": "At least {bar} is wanted, so nothing is ranked by it.",
    "not enough checked": "A kappa that has a value, over at least {least} answers, is needed to tell.",
    "not checked": "So nothing says whether it can be trusted.",
}
_OF_MEMBER: Final = "At least {bar} is wanted: the panel may be better without it."


def _words(check: JudgeStatistic, judge: str) -> str:
    whose = "" if check.judge == judge else f" of {check.judge}"
    with_whom = "itself" if check.against == ITSELF else "the human labels"
    if check.value is None:
        return (
            f"kappa{whose} with {with_whom} has no value over {check.n:,} answers, for all have one and the same label"
        )
    ends = f" [{number(check.ci_low)}, {number(check.ci_high)}]" if check.ci_low is not None else ""
    return f"kappa{whose} with {with_whom} is {number(check.value)}{ends} over {check.n:,} answers"
