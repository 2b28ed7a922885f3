"""Rules of retention + an output folder -> what may go, what has to stay and why, and its removal."""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rageval.corpus.versions import LATEST
from rageval.errors import ConfigError, DataError, RunLockedError
from rageval.pipeline.prune_cache import unused_cache
from rageval.runs.accepted_runs import accepted_runs
from rageval.runs.batch_log import open_batches
from rageval.runs.run import Run
from rageval.runs.stored_folders import StoredFolder, is_locked, leftovers, remove, stored_folders


@dataclass(frozen=True, kw_only=True)
class Retention:
    """What may go: a folder has to meet every rule that is given."""

    keep: int | None = None
    """The newest so many of each kind stay."""
    older_than_days: float | None = None
    """Only what was last used before that may go."""
    incomplete: bool = False
    """Only what is not complete may go."""
    cache: bool = False
    """Indexes and embeddings go, too, if no run that stays has used them."""

    @property
    def names_runs(self) -> bool:
        """Whether any rule says which runs may go; without one, none may."""
        return self.keep is not None or self.older_than_days is not None or self.incomplete


@dataclass(frozen=True, kw_only=True)
class PrunePlan:
    """What would be removed; nothing has been yet."""

    output: str
    going: tuple[StoredFolder, ...]
    kept: tuple[str, ...]
    """A sentence for everything that the rules name and that stays all the same."""


def plan_prune(output: str, rules: Retention, now: datetime | None = None) -> PrunePlan:
    """Return what the rules let go.

    These stay whatever the rules say: a run that another process works on, the accepted run of any label, a run with
    batches under way, and a folder that holds a file which one that stays was started with.

    Raises:
        ConfigError: If no rule is given.
        DataError: If the folder or its `accepted.json` cannot be read.
    """
    if not (rules.names_runs or rules.cache):
        raise ConfigError("nothing says what may go; give --keep, --older-than, --incomplete or --cache")
    before = (now or datetime.now(UTC)) - timedelta(days=rules.older_than_days or 0.0)
    folders = stored_folders(output)
    accepted = _accepted(output)
    named = _named(folders, rules, before)
    stays = {folder.name: why for folder in named if (why := _protection(folder, accepted))}
    going = _without_needed(output, folders, named, stays)
    entries = list(going)
    if rules.cache:
        unused, why = unused_cache(output, [folder for folder in folders if folder not in going])
        entries += [entry for entry in unused if entry.last_used < before]
        stays |= {".cache": why} if why else {}
    kept = tuple(f"{name} stays: {why}" for name, why in stays.items())
    return PrunePlan(output=output, going=(*leftovers(output), *entries), kept=kept)


def prune(plan: PrunePlan) -> Iterator[tuple[StoredFolder, str | None]]:
    """Remove what the plan lets go; yields each with the reason why it stays after all, or None.

    A run that was accepted, or is being worked on, since the plan was made stays.

    Raises:
        ConfigError: If something cannot be removed; what was yielded before is gone.
    """
    for folder in plan.going:
        why = _protection(folder, _accepted(plan.output)) if folder.manifest else None
        try:
            if not why:
                remove(folder)
        except RunLockedError:
            why = _LOCKED
        yield folder, why


_LOCKED = "another process works on it"


def _accepted(output: str) -> Mapping[str, str]:
    """Return the label of each accepted run by its id."""
    return {run.run_id: label for label, run in accepted_runs(output).items()}


def _named(folders: Sequence[StoredFolder], rules: Retention, before: datetime) -> list[StoredFolder]:
    """Return the folders that meet every rule; they come newest first."""
    if not rules.names_runs:
        return []
    place: defaultdict[str, int] = defaultdict(int)
    named = []
    for folder in folders:
        place[folder.kind] += 1
        if place[folder.kind] <= (rules.keep or 0):
            continue
        if folder.last_used < before and not (rules.incomplete and folder.status == "complete"):
            named.append(folder)
    return named


def _protection(folder: StoredFolder, accepted: Mapping[str, str]) -> str | None:
    """Return why a folder stays whatever the rules say, or None."""
    if folder.name in accepted:
        return f"it is the accepted run of {accepted[folder.name]!r}"
    if is_locked(folder):
        return _LOCKED
    try:
        batches = open_batches(Run(str(folder.path)))
    except (DataError, KeyError, TypeError):
        return "its notes on batches cannot be read"
    return f"it has batches under way ({', '.join(batches)})" if batches else None


def _without_needed(
    output: str, folders: Sequence[StoredFolder], named: Sequence[StoredFolder], stays: dict[str, str]
) -> list[StoredFolder]:
    """Return those that go; adds to `stays` those whose files another one that stays was started with."""
    root = Path(os.path.realpath(output))
    while True:
        going = [folder for folder in named if folder.name not in stays]
        needed = {
            name: folder.name
            for folder in folders
            if folder not in going
            for name in _inside(root, folder.manifest["config"])
            if name != folder.name
        }
        found = {f.name: f"{needed[f.name]} was started with a file in it" for f in going if f.name in needed}
        if not found:
            return going
        stays |= found


def _inside(root: Path, settings: Any) -> Iterator[str]:
    """Yield the name of each folder of the output folder in which a path of the settings lies."""
    if isinstance(settings, Mapping):
        yield from (name for value in settings.values() for name in _inside(root, value))
    elif isinstance(settings, str):
        if "\0" not in settings and "://" not in settings:
            path = Path(os.path.realpath(settings.removeprefix(LATEST)))
            if path.is_relative_to(root) and len(path.parts) > len(root.parts) + 1:
                yield path.relative_to(root).parts[0]
    elif isinstance(settings, Iterable):
        yield from (name for value in settings for name in _inside(root, value))
