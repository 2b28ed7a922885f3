"""Compare settings of the search: methods, boosts, embedding models, vector indexes, depths; no model is asked."""

from dataclasses import dataclass

from prefect.runtime import flow_run

from flows.entrance import flow
from rageval.safety.urls import shown
from rageval.sweep.config import SweepConfig
from rageval.sweep.sweep import SWEEP_PAGE, open_sweep, searches_of, settled_sweep
from rageval.telemetry.tracing import step
from tasks.ending import end_in_words
from tasks.report import ProgressArtifact
from tasks.sweep import SweepMessages, load_sweep_data, search_with, write_sweep


@dataclass(frozen=True, kw_only=True)
class SweepEnd:
    """Where the sweep's tables and its page lie, and what it says."""

    folder: str
    words: SweepMessages
    """What it says, for people."""
    searched: int
    """Searches that were made now; all others were stored."""


def _run_name() -> str:
    config: SweepConfig = flow_run.parameters.get("config", SweepConfig())
    return f"sweep {shown(config.data.documents)}"


@flow(name="sweep", flow_run_name=_run_name)
def sweep(config: SweepConfig = SweepConfig()) -> SweepEnd:  # noqa: B008 - it is frozen
    """Find the best way to search: chosen on one part of the questions, reported on the other.

    Args:
        config: Data, grid of settings, and how the best one is chosen.
    """
    return end_in_words(lambda: _sweep(config))


def _sweep(config: SweepConfig) -> tuple[SweepEnd, str]:
    config = settled_sweep(config)
    store = open_sweep(config)
    with store.run.lock(), step("sweep", run_id=store.run.run_id):
        load_sweep_data(store, config)
        # One after the other: searches side by side would blur each other's latency.
        searches = searches_of(config)
        outcomes = []
        with ProgressArtifact(total=len(searches), description="Searches made") as progress:
            for setting in searches:
                outcomes.append(search_with(store, config, setting))
                progress.advance()
        words = write_sweep(store, config)
    searched = sum(outcome.searched for outcome in outcomes)
    end = SweepEnd(folder=store.folder, words=words, searched=searched)
    return end, f"{words.sentences[0]} Page: {store.folder}/{SWEEP_PAGE}"
