"""Compare settings of the search: methods, boosts, embedding models, vector indexes, depths; no model is asked."""

from dataclasses import dataclass

from prefect import flow

from rageval.stages.sweep import open_sweep, searches_of
from rageval.sweep.config import SweepConfig
from tasks.sweep import SweepWords, load_sweep_data, search_with, write_sweep


@dataclass(frozen=True, kw_only=True)
class SweepEnd:
    """Where the sweep's tables and its page lie, and what it says."""

    folder: str
    words: SweepWords
    """What it says, for people."""
    searched: int
    """Searches that were made now; all others were stored."""


@flow(name="sweep", flow_run_name="sweep {config.data.documents}")
def sweep(config: SweepConfig = SweepConfig()) -> SweepEnd:  # noqa: B008 - it is frozen
    """Find the best way to search: chosen on one part of the questions, reported on the other.

    Args:
        config: Data, grid of settings, and how the best one is chosen.
    """
    store = open_sweep(config)
    with store.run.lock():
        load_sweep_data(store, config)
        # One after the other: searches side by side would blur each other's latency.
        outcomes = [search_with(store, config, setting) for setting in searches_of(config)]
        words = write_sweep(store, config)
    return SweepEnd(folder=store.folder, words=words, searched=sum(outcome.searched for outcome in outcomes))
