"""Table `judging` -> its words: a sentence for the headline, and the parts of the report's section on the judges."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import pyarrow as pa

from rageval.judging.effects import WORDS
from rageval.judging.judge_statistics import HUMANS, ITSELF, MAJORITY, SINGLY
from rageval.judging.table import MEMBER_VERDICT, REMARK, VERDICT
from rageval.metrics.cosine import COSINE
from rageval.metrics.relevance import RELEVANCE
from rageval.pages.formats import UNKNOWN, count, number

_Row: TypeAlias = Mapping[str, Any]
_EFFECTS: Final = ("length_correlation", "first_share", "contradiction_share", "longer_wins")
_NAMES: Final[Mapping[str, str]] = {
    "length_correlation": "rank correlation of verdict and length",
    "first_share": "the answer shown first is chosen",
    "contradiction_share": "another choice when the order is swapped",
    "longer_wins": "the longer answer wins",
}
_UNITS: Final[Mapping[str, str]] = {"length_correlation": "answers", "first_share": "choices"}


@dataclass(frozen=True, kw_only=True)
class JudgeVerdict:
    """Whether one judge can be trusted on one metric."""

    judge: str
    metric: str
    fitness: str
    """fit, unfit, not enough checked or not checked."""
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """How often each label of the judge meets each label of the other side."""

    title: str
    labels: Sequence[str]
    """Best first; of the judge in the rows, of the other side in the columns."""
    counts: Sequence[Sequence[int]]


@dataclass(frozen=True, kw_only=True)
class JudgingPart:
    """One table of the section, in words."""

    title: str
    reading: str
    """How to read it."""
    rows: Sequence[Mapping[str, str]]
    """All with the same keys, in the same order."""
    confusions: Sequence[Confusion] = field(default=())


@dataclass(frozen=True, kw_only=True)
class JudgingSection:
    """Everything that the section shows."""

    verdicts: Sequence[JudgeVerdict]
    remarks: Sequence[str]
    parts: Sequence[JudgingPart]


def trust_sentences(judging: pa.Table) -> list[str]:
    """Return a sentence per judge on whether the run can be ranked by it; the unfit ones first, nothing unjudged.

    Then one on how far verdicts that were combined are those that it gives alone, if they were.

    Args:
        judging: Table `tables.JUDGING`.
    """
    rows = judging.to_pylist()
    by_judge: dict[str, dict[str, list[str]]] = {}
    for row in _of(rows, VERDICT):
        by_judge.setdefault(row["judge"], {}).setdefault(row["label"], []).append(row["metric"])
    sentences = []
    for judge, metrics in by_judge.items():
        unfit = metrics.pop("unfit", [])
        said = [f"unfit for {_and(unfit)}, so nothing is ranked by that"] if unfit else []
        said += [f"{fitness} for {_and(names)}" for fitness, names in metrics.items()]
        sentences.append((not unfit, f"Judge {judge}: {'; '.join(said)}."))
    return [*(sentence for _, sentence in sorted(sentences, key=lambda item: item[0])), *_combined_sentences(rows)]


def _combined_sentences(rows: Sequence[_Row]) -> Iterator[str]:
    """Yield for each judge in how many cases its combined and single verdicts agree, over all metrics and by each."""
    by_judge: dict[str, list[_Row]] = {}
    for row in _of(rows, "agreement"):
        if row["against"] == SINGLY and row["n"]:
            by_judge.setdefault(row["judge"], []).append(row)
    for judge, found in by_judge.items():
        n = sum(row["n"] for row in found)
        agreed = sum(row["value"] * row["n"] for row in found)
        each = ", ".join(f"{row['metric']} {row['value']:.0%}".replace("%", " %") for row in found)
        whole = f"{agreed / n:.0%}".replace("%", " %")
        yield f"Combined and single verdicts of {judge} agree in {whole} of {count(n)} ({each})."


def judging_section(judging: pa.Table) -> JudgingSection:
    """Return the section on the judges of a run.

    Args:
        judging: Table `tables.JUDGING`.
    """
    rows = judging.to_pylist()
    parts = [
        _itself(rows),
        _agreement(rows, _COMBINED, lambda row: row["against"] == SINGLY),
        _agreement(rows, _PROMPTS, lambda row: row["against"] == RELEVANCE.name),
        _cosine(rows),
        _agreement(rows, _PANEL, lambda row: row["against"] not in _NOT_JUDGES),
        _effects(rows),
        _humans(rows),
        _corrected(rows),
    ]
    return JudgingSection(
        verdicts=[
            JudgeVerdict(judge=row["judge"], metric=row["metric"], fitness=row["label"], sentence=row["note"])
            for row in [*_of(rows, VERDICT), *_of(rows, MEMBER_VERDICT)]
        ],
        remarks=[row["note"] for row in _of(rows, REMARK)],
        parts=[part for part in parts if part.rows],
    )


_COMBINED: Final = (
    "Combined and single",
    "The same answers, judged by one call for several verdicts and by one for each. What the judge changes when it is "
    "asked the same again, see above, is noise here too; a kappa well below that says that the verdicts of one call "
    "depend on each other.",
)
_PROMPTS: Final = (
    "With and without the reference",
    "The same answers, judged with sight of the reference and from the question alone. A low kappa says that the two "
    "prompts measure different things; the one with the reference can see what is wrong.",
)
_PANEL: Final = (
    "Within the panel",
    "Each judge against each other one, and against the majority that it is a part of. A judge far from all others "
    "costs its share and adds noise.",
)
_NOT_JUDGES: Final = (None, ITSELF, SINGLY, HUMANS, COSINE.name, RELEVANCE.name, WORDS)


def _itself(rows: Sequence[_Row]) -> JudgingPart:
    kappas = {(row["judge"], row["metric"]): row for row in _of(rows, "kappa") if row["against"] == ITSELF}
    return JudgingPart(
        title="With itself",
        reading="A random part of the answers was judged a second time. The flip rate is the share that got another "
        "label; kappa is the agreement beyond chance, 1 at best, 0 for chance.",
        rows=[
            {
                **_who(row),
                "answers": count(row["n"]),
                "flip rate": _percent(row),
                "kappa": _statistic(kappas[row["judge"], row["metric"]]),
            }
            for row in _of(rows, "flip_rate")
        ],
    )


def _agreement(rows: Sequence[_Row], words: tuple[str, str], wanted: Callable[[_Row], bool]) -> JudgingPart:
    kappas = [row for row in _of(rows, "kappa") if wanted(row)]
    panel = any(row["against"] == MAJORITY for row in kappas)
    return JudgingPart(
        title=words[0],
        reading=words[1],
        rows=[
            {
                **_who(row),
                "against": row["against"],
                "answers": count(row["n"]),
                "same label": _percent(_beside(rows, row, "agreement")),
                "kappa": _statistic(row),
                "kappa, linear weights": _statistic(_beside(rows, row, "kappa_linear")),
            }
            for row in kappas
        ],
        confusions=[] if panel else [_confusion(rows, row) for row in kappas if row["n"]],
    )


def _cosine(rows: Sequence[_Row]) -> JudgingPart:
    return JudgingPart(
        title="With the cosine",
        reading="AUC: how often a RELEVANT answer has a higher cosine to the reference than another one, ties counting "
        "half. 0.5 is chance. The cosine is no judge, so 1 is not to be expected; near 0.5, one of the two is blind.",
        rows=[{**_who(row), "answers": count(row["n"]), "AUC": _statistic(row)} for row in _of(rows, "auc")],
    )


def _effects(rows: Sequence[_Row]) -> JudgingPart:
    return JudgingPart(
        title="Position and length",
        reading="Of two answers in both orders, a fair judge chooses the first one half of the time and contradicts "
        "itself in few pairs. A correlation with length, or a longer answer that mostly wins, may be a bias or "
        "deserved: longer answers can be better ones.",
        rows=[
            {
                **_who(row),
                "effect": _NAMES[row["statistic"]],
                "value": _statistic(row) if row["statistic"] == "length_correlation" else _percent(row),
                "over": f"{count(row['n'])} {_UNITS.get(row['statistic'], 'pairs')}",
            }
            for row in rows
            if row["statistic"] in _EFFECTS
        ],
    )


def _humans(rows: Sequence[_Row]) -> JudgingPart:
    kappas = [row for row in _of(rows, "kappa") if row["against"] == HUMANS]
    return JudgingPart(
        title="With people",
        reading="Sensitivity: of the answers that people call RELEVANT, the share that the judge does. Specificity: of "
        "all others, the share that the judge does not call RELEVANT.",
        rows=[
            {
                **_who(row),
                "answers": count(row["n"]),
                "kappa": _statistic(row),
                "kappa, linear weights": _statistic(_beside(rows, row, "kappa_linear")),
                "sensitivity": _percent(_beside(rows, row, "sensitivity")),
                "specificity": _percent(_beside(rows, row, "specificity")),
            }
            for row in kappas
        ],
        confusions=[_confusion(rows, row) for row in kappas if row["n"]],
    )


def _corrected(rows: Sequence[_Row]) -> JudgingPart:
    raw = {_key(row): row for row in _of(rows, "share_judged")}
    return JudgingPart(
        title="Share of right answers, corrected for the judge's errors",
        reading="The share that the judge calls RELEVANT, and the same plus the mean of what people corrected, with "
        "the interval that this leaves. It holds if the labelled answers are a random part of all.",
        rows=[
            {
                "system": row["system"],
                "metric": row["metric"],
                "by the judge": _percent(raw[_key(row)]),
                "corrected": _percent(row),
                "labels": count(row["n"]),
            }
            for row in _of(rows, "share_corrected")
        ],
    )


def _confusion(rows: Sequence[_Row], about: _Row) -> Confusion:
    cells = [row for row in _of(rows, "pairs") if _key(row) == _key(about)]
    labels = list(dict.fromkeys(row["label"] for row in cells))
    found = {(row["label"], row["other_label"]): int(row["value"]) for row in cells}
    return Confusion(
        title=f"{about['judge']}, {about['metric']} (rows) and {about['against']} (columns)",
        labels=labels,
        counts=[[found[label, other] for other in labels] for label in labels],
    )


def _of(rows: Iterable[_Row], statistic: str) -> list[_Row]:
    return [row for row in rows if row["statistic"] == statistic]


def _beside(rows: Sequence[_Row], about: _Row, statistic: str) -> _Row:
    """Return another statistic about the same judge, metric and other side."""
    return next(row for row in _of(rows, statistic) if _key(row) == _key(about))


def _key(row: _Row) -> tuple[str | None, ...]:
    return tuple(row[name] for name in ("judge", "metric", "against", "system"))


def _who(row: _Row) -> dict[str, str]:
    return {"judge": row["judge"], "metric": row["metric"]}


def _statistic(row: _Row) -> str:
    return _with_interval(row, number)


def _percent(row: _Row) -> str:
    return _with_interval(row, lambda value: UNKNOWN if value is None else f"{100 * value:.1f} %")


def _with_interval(row: _Row, words: Callable[[float | None], str]) -> str:
    if row["value"] is None:
        return "no value"
    if row["ci_low"] is None:
        return words(row["value"])
    return f"{words(row['value'])} [{words(row['ci_low'])}, {words(row['ci_high'])}]"


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
