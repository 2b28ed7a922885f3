"""Settings of a search -> what each finds: one task run per search, and one for the figures of all."""

from dataclasses import dataclass
from typing import Any

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from rageval.pages.markdown import escape, section
from rageval.sweep import sweep
from rageval.sweep.config import SweepConfig
from rageval.sweep.page import sweep_rows, sweep_sentences
from rageval.sweep.settings import SearchSetting
from rageval.sweep.store import SweepStore
from rageval.sweep.sweep import SWEEP_PAGE, SearchOutcome


@dataclass(frozen=True, kw_only=True)
class SweepMessages:
    """What a sweep says, for people."""

    best: str
    """Name of the best setting."""
    sentences: list[str]
    rows: list[dict[str, str]]


@task
def load_sweep_data(store: SweepStore, config: SweepConfig) -> dict[str, Any]:
    """Read and check documents and ground truth, and divide the questions into two parts."""
    dataset = sweep.load_data(store, config)
    logger = get_run_logger()
    for note in dataset["notes"]:
        logger.info("Data: %s", note)
    logger.info(
        "Loaded %d documents and %d questions: %d to choose on, %d to report on",
        dataset["documents"], dataset["questions"], dataset["tuning"], dataset["held_out"],
    )  # fmt: skip
    return dataset


@task(task_run_name="search-{setting.name}")
def search_with(store: SweepStore, config: SweepConfig, setting: SearchSetting) -> SearchOutcome:
    """Search for every question with one setting, unless an earlier start has stored that search."""
    outcome = sweep.search(store, config, setting)
    get_run_logger().info("%s %s", "Searched with" if outcome.searched else "Stored already:", outcome.name)
    return outcome


@task
def write_sweep(store: SweepStore, config: SweepConfig) -> SweepMessages:
    """Compute the figures of every setting, and write tables and page."""
    result, plan = sweep.write_sweep(store, config)
    words = SweepMessages(best=result.best.name, sentences=sweep_sentences(result, plan), rows=sweep_rows(result, plan))
    description = f"Settings of sweep {store.run.run_id} by {plan.metric}"
    page = f"{store.folder}/{SWEEP_PAGE}"
    lines = [f"# {escape(words.sentences[0])}", *map(escape, words.sentences[1:]), f"Page: `{page}`"]
    markdown = "\n\n".join([*lines, section("Settings", words.rows)]) + "\n"
    create_markdown_artifact(key="rageval-sweep-summary", markdown=markdown, description=description)
    create_table_artifact(key="rageval-sweep", table=words.rows, description=description)
    get_run_logger().info("Sweep %s is complete; page: %s", store.run.run_id, page)
    return words
