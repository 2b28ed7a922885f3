"""Tables of a run -> summary, report page and Prefect artifacts; the progress artifact while it runs."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import cast
from uuid import UUID

from prefect import get_run_logger, task
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from rageval.config.evaluation import EvaluationConfig
from rageval.pages.markdown import escape
from rageval.pipeline import rescore
from rageval.pipeline.ending import end_run
from rageval.records import Chunk
from rageval.report import writing as report
from rageval.report.pivot import summary_rows
from rageval.runs.manifest import Manifest
from rageval.runs.run import Run
from rageval.systems.system import System
from tasks import process

_PROGRESS_EVERY_S = 2.0


@task
def write_report(
    run: Run,
    config: EvaluationConfig,
    systems: Sequence[System],
    chunks: Sequence[Chunk],
    timings: Mapping[str, float],
    stopped: str | None,
) -> Manifest:
    """Merge what is stored into the tables, summarise it, and publish the summary; returns the manifest."""
    ended = end_run(run, config, systems, chunks, timings, stopped)
    _publish(run, ended.status)
    return ended


@task
def write_rescored_report(run: Run, wanted: rescore.Rescoring, scored: int, stopped: str | None) -> Manifest:
    """Merge what was scored once more, summarise it, and publish the summary; returns the manifest."""
    ended = rescore.finish(run, wanted, scored=scored, stopped=stopped)
    _publish(run, ended.status)
    return ended


def _publish(run: Run, status: str) -> None:
    page = report.write_report(run)
    title, _, rest = page.markdown.partition("\n")
    markdown = f"{title}\n\n**{escape(report.sentence(run))}**\n{rest}"
    create_markdown_artifact(key="rageval-summary", markdown=markdown, description=f"Summary of {run.run_id}")
    rows = summary_rows(run.read("summary"))
    create_table_artifact(key="rageval-table", table=rows, description=f"Summary of {run.run_id}")
    get_run_logger().info("Run %s is %s; report: %s", run.run_id, status, page.page)


@dataclass
class ProgressArtifact:
    """A progress artifact that is updated every few seconds at the most."""

    total: int
    description: str
    key: str = "rageval-progress"
    _done: int = 0
    _artifact: UUID | None = None
    _updated: float = field(default=0.0)

    def __enter__(self) -> "ProgressArtifact":
        made = create_progress_artifact(key=self.key, progress=0.0, description=self.description)
        self._artifact = cast(UUID, made)  # a coroutine only where an event loop calls it
        return self

    def advance(self, count: int = 1) -> None:
        """Count so many more as done."""
        self._done += count
        if time.monotonic() - self._updated >= _PROGRESS_EVERY_S or self._done == self.total:
            self._updated = time.monotonic()
            self._show()

    def put(self, done: int, total: int) -> None:
        """Show that so many of so many are done."""
        self._done, self.total = done, total
        self._show()

    def __exit__(self, *_: object) -> None:
        self._show()

    def _show(self) -> None:
        if self._artifact:
            done = self._done / self.total if self.total else 1.0
            update_progress_artifact(self._artifact, progress=100.0 * done)


class ChunkProgress:
    """Two progress artifacts: of chunks that are answered and judged, and of those whose other scores are computed."""

    def __init__(self, *, chunks: int, computed: int) -> None:
        self._asked = ProgressArtifact(total=chunks, description="Chunks answered and judged")
        self._computed = ProgressArtifact(
            total=computed, description="Chunks whose other scores are computed", key="rageval-computed"
        )
        self._shown = ExitStack()

    def __enter__(self) -> "ChunkProgress":
        self._shown.enter_context(self._asked)
        if self._computed.total:
            self._shown.enter_context(self._computed)
        return self

    def __exit__(self, *_: object) -> None:
        self._shown.close()

    def advance(self, *, chunks: int, computed: int) -> None:
        """Count so many more chunks of either as done."""
        if chunks:
            self._asked.advance(chunks)
        if computed:
            self._computed.advance(computed)


@contextmanager
def follow_model(label: str, description: str) -> Iterator[None]:
    """Show by a progress artifact how many requests of the engine's label are done, until the block ends."""
    ended = threading.Event()

    def follow(progress: ProgressArtifact) -> None:
        seen = None
        while True:
            last = ended.wait(_PROGRESS_EVERY_S)
            counts = process.engine().counts.get(label)
            if counts and (now := (counts.done, counts.expected)) != seen:
                progress.put(*now)
                seen = now
            if last:
                return

    with ProgressArtifact(total=1, description=description) as progress:
        # In the task run's context, whose client Prefect takes then; it would leave one of its own open each time.
        follower = threading.Thread(target=copy_context().run, args=[follow, progress], name="progress")
        follower.start()
        try:
            yield
        finally:
            ended.set()
            follower.join()
