"""Verdicts -> whether a judge looks at what it should not: the position of an answer in the prompt, and its length."""

from collections.abc import Iterator

import pandas as pd

from rageval.judging.judge_statistics import JudgeStatistic, share_statistic
from rageval.judging.verdicts import KEYS, JudgeVerdicts
from rageval.metrics.pairwise import PAIRWISE
from rageval.statistics.agreement import spearman

WORDS = "words of the answer"


def effects_of(verdicts: JudgeVerdicts) -> Iterator[JudgeStatistic]:
    """Yield the effects of length for every judge and metric, and of position and length for pairwise choices."""
    for (judge, metric), frame in verdicts.first.items():
        both = frame.join(verdicts.answers["words"]).dropna(subset=["words", "value"])
        found = spearman(both["value"], both["words"], verdicts.clusters(both.index))
        yield JudgeStatistic(judge=judge, metric=metric, against=WORDS).named("length_correlation", found, len(both))
    for judge, choices in verdicts.pairwise.groupby("judge", sort=False):
        yield from _of_choices(verdicts, str(judge), choices)


def _of_choices(verdicts: JudgeVerdicts, judge: str, choices: pd.DataFrame) -> Iterator[JudgeStatistic]:
    """Yield statistics of the pairs that were shown in both orders: only there, position and quality come apart."""
    keyed = choices.rename_axis("answer").reset_index()
    orders = [keyed[keyed["swapped"] == swapped].set_index(["answer", "other"]) for swapped in (False, True)]
    both = orders[0].join(orders[1].add_suffix("_swapped"), how="inner")
    clusters = verdicts.clusters(both.index.get_level_values("answer"))
    about = JudgeStatistic(judge=judge, metric=PAIRWISE.name)
    labels = pd.concat([both["label"], both["label_swapped"]])
    decided = labels.isin(["FIRST", "SECOND"])
    twice = [*clusters, *clusters]
    in_clusters = [cluster for cluster, counts in zip(twice, decided, strict=True) if counts]
    yield share_statistic(about, "first_share", labels[decided] == "FIRST", in_clusters)
    yield share_statistic(about, "contradiction_share", both["value"] != both["value_swapped"], clusters)
    yield _longer_wins(verdicts, about, both)


def _longer_wins(verdicts: JudgeVerdicts, about: JudgeStatistic, both: pd.DataFrame) -> JudgeStatistic:
    """Return how often the longer answer wins, among pairs that have a winner over both orders and differ in length."""
    places = both.index.get_level_values("answer")
    answers = verdicts.answers.loc[places, [*KEYS, "words"]].assign(
        other=both.index.get_level_values("other"),
        mean=((both["value"] + both["value_swapped"]) / 2).to_numpy(),
        cluster=verdicts.clusters(places),
    )
    others = verdicts.answers[[*KEYS, "words"]].rename(columns={"system": "other", "words": "other_words"})
    pairs = answers.merge(others, on=["question_id", "other"], how="inner")
    clear = pairs[(pairs["mean"] != 0.5) & (pairs["words"] != pairs["other_words"])].dropna(
        subset=["words", "other_words"]
    )
    won = (clear["mean"] > 0.5) == (clear["words"] > clear["other_words"])
    return share_statistic(about, "longer_wins", won, clear["cluster"].tolist())
