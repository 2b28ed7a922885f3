"""The systems and retrievers of two runs -> which one of the baseline stands beside which one of the candidate."""

from collections.abc import Sequence
from dataclasses import dataclass

from rageval.comparison.measurements import Subject
from rageval.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What the user wants to be compared; None or empty leaves it to the runs."""

    metrics: tuple[str, ...] = ()
    """Names of metrics, with or without `@k`; empty for the leading ones."""
    baseline_system: str | None = None
    candidate_system: str | None = None
    baseline_retriever: str | None = None
    candidate_retriever: str | None = None


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One system, or one retriever, of each run."""

    a: Subject
    """Of the baseline."""
    b: Subject
    """Of the candidate."""

    @property
    def name(self) -> str:
        """The name, or both as `a → b` where they differ; of a retriever, that it is one."""
        name = self.a.name if self.a.name == self.b.name else f"{self.a.name} → {self.b.name}"
        return f"retriever {name}" if self.a.is_retriever else name


def pairs(a: Sequence[Subject], b: Sequence[Subject], choice: Choice) -> list[Pair]:
    """Return what is compared: systems and retrievers named alike, or the only one of each run, or the named ones.

    Args:
        a: Systems and retrievers of the baseline, without repetition.
        b: Those of the candidate.
        choice: Names of systems and retrievers that are to be compared.

    Returns:
        The pairs in the order of the baseline, retrievers last; empty if nothing fits together.

    Raises:
        ConfigError: If a named system or retriever is not in its run.
    """
    found = []
    for is_retriever, what in ((False, "system"), (True, "retriever")):
        mine, theirs = ([one.name for one in side if one.is_retriever == is_retriever] for side in (a, b))
        named = {side: getattr(choice, f"{side}_{what}") for side in ("baseline", "candidate")}
        for side, known in (("baseline", mine), ("candidate", theirs)):
            if named[side] is not None and named[side] not in known:
                raise ConfigError(
                    f"--{side}-{what} names {named[side]!r}, but the {side} has: {', '.join(known) or 'none'}"
                )
        found += [
            Pair(a=Subject(name=one, is_retriever=is_retriever), b=Subject(name=other, is_retriever=is_retriever))
            for one, other in _paired(mine, theirs, named["baseline"], named["candidate"])
        ]
    return found


def _paired(a: Sequence[str], b: Sequence[str], of_a: str | None, of_b: str | None) -> list[tuple[str, str]]:
    """Return the names that stand beside each other; a side that is not named takes the other's name if it has it."""
    if of_a or of_b:
        mine, theirs = _only(a, of_a, of_b), _only(b, of_b, of_a)
        return [(mine, theirs)] if mine and theirs else []
    if shared := [name for name in a if name in b]:
        return [(name, name) for name in shared]
    return [(a[0], b[0])] if len(a) == len(b) == 1 else []


def _only(names: Sequence[str], named: str | None, other: str | None) -> str | None:
    if named:
        return named if named in names else None
    if other in names:
        return other
    return names[0] if len(names) == 1 else None
