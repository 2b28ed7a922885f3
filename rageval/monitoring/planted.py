"""What happens in simulated traffic, how often, and which changes are planted from which day on."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, get_args

from pydantic import model_validator

from rageval.config.settings import Settings

Aspect = Literal[
    "relevance", "quality", "faithfulness", "toxicity", "thumbs", "errors", "topic", "traffic", "latency", "cost",
    "scores",
]  # fmt: skip
FACTORS = frozenset({"traffic", "latency", "cost", "scores"})
"""Aspects whose change is relative: +0.5 is half as much again. That of all others is in points of a share."""
_WRITTEN = re.compile(r"(?P<aspect>\w+)=(?P<amount>[+-]?\d+(\.\d+)?)@(?P<day>\d{4}-\d{2}-\d{2})")
_EXPECTED = f"expected ASPECT=AMOUNT@DAY, such as relevance=-0.2@2026-11-10, with one of {', '.join(get_args(Aspect))}"


class PlantedChange(Settings):
    """From a day on, something is more or less than it was; changes of the same aspect add up."""

    aspect: Aspect
    """What changes."""
    amount: float
    """How much: in points of a share, or relative where the aspect is one of `FACTORS`."""
    day: date
    """The first day of it, UTC."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        found = _WRITTEN.fullmatch(value.strip())
        if found is None or found["aspect"] not in get_args(Aspect):
            raise ValueError(_EXPECTED)
        return found.groupdict()

    @model_validator(mode="after")
    def _check(self) -> "PlantedChange":
        if abs(self.amount) > 1 and not (self.aspect in FACTORS and self.amount > 1):
            raise ValueError(f"{self.aspect} cannot change by {self.amount:+g}; {_EXPECTED}")
        return self

    def __str__(self) -> str:
        return f"{self.aspect}={self.amount:+g}@{self.day}"


@dataclass(frozen=True, kw_only=True)
class Rates:
    """How often things happen on a day: shares in [0, 1], and factors of what is usual."""

    quality: float = 0.72
    """Share of the answers that are relevant. Of the others, `PARTLY` are partly so. Users see what is true."""
    relevance: float = 0.72
    """Share of the answers that the judge calls relevant; the same ones, unless a change sets them apart."""
    faithfulness: float = 0.85
    """Share that the judge calls faithful."""
    toxicity: float = 0.004
    """Share that is toxic, and called so."""
    thumbs: float
    """Share of the votes that are thumbs up; without a change it follows from `quality`, see `thumbs_up`."""
    errors: float = 0.01
    """Share of the questions that get no answer."""
    topic: float = 0.0
    """Share of the questions that are all about one section of the documents that they are searched in."""
    traffic: float = 1.0
    latency: float = 1.0
    cost: float = 1.0
    scores: float = 1.0


VOTING = 0.25
"""Share of the answers that are voted on."""
PARTLY = 0.6
"""Share of the answers that are not relevant, but partly so."""
UP = (0.92, 0.6, 0.15)
"""Share of thumbs up among votes on relevant, partly relevant and other answers."""


def thumbs_up(quality: float) -> float:
    """Return the share of thumbs up among the votes, given the share of relevant answers."""
    relevant, partly, other = UP
    return quality * relevant + (1 - quality) * (PARTLY * partly + (1 - PARTLY) * other)


def rates_on(day: date, changes: Iterable[PlantedChange]) -> Rates:
    """Return the rates of a day; shares stay in [0, 1] and factors at 0 or more, whatever the changes add up to.

    A change of `quality` moves verdicts and votes alike; one of `relevance` moves verdicts alone, and one of `thumbs`
    moves votes alone.
    """
    moved: dict[str, float] = {}
    for change in changes:
        if change.day <= day:
            moved[change.aspect] = moved.get(change.aspect, 0.0) + change.amount

    def share(name: str, usual: float) -> float:
        return min(1.0, max(0.0, usual + moved.get(name, 0.0)))

    quality = share("quality", Rates.quality)
    return Rates(
        quality=quality,
        relevance=share("relevance", quality),
        thumbs=share("thumbs", thumbs_up(quality)),
        **{name: share(name, getattr(Rates, name)) for name in ("faithfulness", "toxicity", "errors", "topic")},
        **{name: max(0.0, 1.0 + moved.get(name, 0.0)) for name in FACTORS},
    )
