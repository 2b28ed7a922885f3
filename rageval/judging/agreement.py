"""Verdicts -> how well a judge agrees with itself, its other prompts, the cosine, its panel, and people."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd

from rageval.judging.judge_statistics import (
    HUMANS,
    ITSELF,
    MAJORITY,
    SINGLY,
    JudgeStatistic,
    agreement_statistics,
    share_statistic,
)
from rageval.judging.verdicts import JudgeVerdicts, labels_of
from rageval.metrics.correctness import CORRECTNESS
from rageval.metrics.cosine import COSINE
from rageval.metrics.relevance import RELEVANCE
from rageval.statistics.agreement import auc
from rageval.statistics.corrected import prediction_powered_share

HUMAN_SCALE = CORRECTNESS.scale
"""What people label answers by."""
RIGHT = CORRECTNESS.good


def agreement_of(verdicts: JudgeVerdicts) -> Iterator[JudgeStatistic]:
    """Yield every statistic on the agreement of each judge of a run with something else."""
    yield from _with_itself(verdicts)
    yield from _with_single(verdicts)
    yield from _with_and_without(verdicts)
    yield from _with_cosine(verdicts)
    yield from _within_panels(verdicts)
    yield from _with_humans(verdicts)


def _with_itself(verdicts: JudgeVerdicts) -> Iterator[JudgeStatistic]:
    for (judge, metric), second in verdicts.again.items():
        if (judge, metric) not in verdicts.first:
            continue
        both = verdicts.first[judge, metric].join(second.add_suffix("_again"), how="inner")
        about = JudgeStatistic(judge=judge, metric=metric, against=ITSELF)
        clusters = verdicts.clusters(both.index)
        yield share_statistic(about, "flip_rate", both["label"] != both["label_again"], clusters)
        yield from agreement_statistics(about, both["label"], both["label_again"], labels_of(metric), clusters)


def _with_single(verdicts: JudgeVerdicts) -> Iterator[JudgeStatistic]:
    for (judge, metric), single in verdicts.single.items():
        if (judge, metric) in verdicts.first:
            about = JudgeStatistic(judge=judge, metric=metric, against=SINGLY)
            yield from _compared(verdicts, about, single)


def _with_and_without(verdicts: JudgeVerdicts) -> Iterator[JudgeStatistic]:
    for judge in [judge for judge, metric in verdicts.first if metric == CORRECTNESS.name]:
        if (judge, RELEVANCE.name) in verdicts.first:
            about = JudgeStatistic(judge=judge, metric=CORRECTNESS.name, against=RELEVANCE.name)
            yield from _compared(verdicts, about, verdicts.first[judge, RELEVANCE.name])


def _with_cosine(verdicts: JudgeVerdicts) -> Iterator[JudgeStatistic]:
    if verdicts.cosine.empty:
        return
    for (judge, metric), frame in verdicts.first.items():
        if labels_of(metric) == HUMAN_SCALE:
            both = frame.join(verdicts.cosine.rename(COSINE.name), how="inner")
            found = auc(both[COSINE.name], both["label"] == RIGHT, verdicts.clusters(both.index))
            yield JudgeStatistic(judge=judge, metric=metric, against=COSINE.name).named("auc", found, len(both))


def _within_panels(verdicts: JudgeVerdicts) -> Iterator[JudgeStatistic]:
    for panel, metric in verdicts.metric_judges:
        members = verdicts.members(panel, metric)
        for judge in members:
            about = JudgeStatistic(judge=judge, metric=metric, against=MAJORITY)
            yield from _compared(verdicts, about, verdicts.first[panel, metric])
        for judge, other in combinations(members, 2):
            about = JudgeStatistic(judge=judge, metric=metric, against=other)
            yield from _compared(verdicts, about, verdicts.first[other, metric])


def _compared(verdicts: JudgeVerdicts, about: JudgeStatistic, other: pd.DataFrame) -> Iterator[JudgeStatistic]:
    both = verdicts.first[about.judge, about.metric].join(other.add_suffix("_other"), how="inner")
    clusters = verdicts.clusters(both.index)
    yield from agreement_statistics(about, both["label"], both["label_other"], labels_of(about.metric), clusters)


def _with_humans(verdicts: JudgeVerdicts) -> Iterator[JudgeStatistic]:
    if verdicts.human.empty:
        return
    for (judge, metric), frame in verdicts.first.items():
        if labels_of(metric) != HUMAN_SCALE:
            continue
        about = JudgeStatistic(judge=judge, metric=metric, against=HUMANS)
        both = frame.join(verdicts.human.rename("human"), how="inner")
        clusters = verdicts.clusters(both.index)
        yield from agreement_statistics(about, both["label"], both["human"], HUMAN_SCALE, clusters)
        right = both["human"] == RIGHT
        for name, kind in (("sensitivity", right), ("specificity", ~right)):
            hits = (both["label"] == RIGHT)[kind] == (name == "sensitivity")
            yield share_statistic(about, name, hits, clusters[kind.to_numpy()])
        if (judge, metric) in verdicts.metric_judges:
            yield from _corrected(verdicts, about, frame)


def _corrected(verdicts: JudgeVerdicts, about: JudgeStatistic, frame: pd.DataFrame) -> Iterator[JudgeStatistic]:
    """Yield the share of right answers by the judge, and without its errors, for each system."""
    both = frame.join(verdicts.human.rename("human")).join(verdicts.answers["system"])
    for system, group in both.groupby("system", sort=False):
        judged = (group["label"] == RIGHT).astype(float)
        human = (group["human"] == RIGHT).astype(float).where(group["human"].notna(), np.nan)
        clusters = verdicts.clusters(group.index)
        here = replace(about, system=str(system))
        yield share_statistic(here, "share_judged", judged, clusters)
        yield here.named("share_corrected", prediction_powered_share(judged, human, clusters), int(human.notna().sum()))
