"""The configurations of two runs -> which one of the first stands beside which one of the second."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from rageval.errors import ConfigError

Configuration: TypeAlias = tuple[str | None, str]
"""Model (None for the retrieval alone) and search method."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What the user wants to be compared; None or empty leaves it to the runs."""

    metrics: tuple[str, ...] = ()
    """Names of metrics, with or without `@k`; empty for the leading ones."""
    a_model: str | None = None
    b_model: str | None = None
    a_search: str | None = None
    b_search: str | None = None


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One configuration of each run."""

    a: Configuration
    b: Configuration

    @property
    def model(self) -> str:
        """The model, or both as `a → b` where they differ; empty for retrieval."""
        return _both(self.a[0] or "", self.b[0] or "")

    @property
    def search(self) -> str:
        """The search method, or both as `a → b` where they differ."""
        return _both(self.a[1], self.b[1])


def pairs(a: Sequence[Configuration], b: Sequence[Configuration], choice: Choice) -> list[Pair]:
    """Return which configurations are compared: those named alike, or the only one of each run, or the named ones.

    Models are paired first, then the search methods of each pair of models, by the same rule. Retrieval (model None)
    is paired by search method alone.

    Args:
        a: Configurations of the first run, without repetition.
        b: Configurations of the second run.
        choice: Names of models and search methods that are to be compared.

    Returns:
        The pairs in the order of the first run, retrieval last; empty if nothing fits together.

    Raises:
        ConfigError: If a named model or search method is not in its run.
    """
    _check_names(a, b, choice)
    models: list[tuple[str | None, str | None]] = [*_paired(_models(a), _models(b), choice.a_model, choice.b_model)]
    if {None} <= {m for m, _ in a} & {m for m, _ in b}:
        models.append((None, None))
    found = []
    for one, other in models:
        searches = ([s for m, s in a if m == one], [s for m, s in b if m == other])
        found += [
            Pair(a=(one, first), b=(other, second))
            for first, second in _paired(*searches, choice.a_search, choice.b_search)
        ]
    return found


def _check_names(a: Sequence[Configuration], b: Sequence[Configuration], choice: Choice) -> None:
    for side, found, model, search in (
        ("a", a, choice.a_model, choice.a_search),
        ("b", b, choice.b_model, choice.b_search),
    ):
        for what, name, known in (("model", model, _models(found)), ("search", search, [s for _, s in found])):
            if name is not None and name not in known:
                names = ", ".join(dict.fromkeys(known)) or "none"
                raise ConfigError(f"--{side}-{what} names {name!r}, but the {what} of run {side.upper()} is: {names}")


def _models(configurations: Sequence[Configuration]) -> list[str]:
    return list(dict.fromkeys(model for model, _ in configurations if model is not None))


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


def _both(a: str, b: str) -> str:
    return a if a == b else f"{a} → {b}"
