"""Runs that the server believes to go on although nobody works on them any more: found, and given an end."""

import os
import signal
import socket
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psutil
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.logging import get_logger
from prefect.states import Cancelled, Crashed

_LOG = get_logger("runner")
_LOST = (
    "Nobody works on it any more: its process, or its machine, has ended. Start it again under its run_id, and it asks "
    "only for what is missing."
)
_MARK = "rageval"
_UNDER_WAY = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
_SILENCE_S = 600.0
"""A run of another machine is lost once it was silent for three heartbeats of Prefect's worker, and a little more."""
_CLOCK_S = 2.0
"""What the start of a process may differ by: some systems compute it from a clock that is set."""


def process_mark(pid: int) -> str:
    """Return what tells a process from every other one: its machine, its number, and when it was started."""
    try:
        started = psutil.Process(pid).create_time()
    except psutil.Error:  # it has ended already
        started = 0.0
    return f"{_MARK}:{socket.gethostname()}:{pid}:{started:.2f}"


def _process(mark: str | None) -> tuple[int, bool] | None:
    """Return the number of a marked process, and whether it lives; None where it cannot be told from here."""
    parts = (mark or "").split(":")
    if len(parts) != len((_MARK, "host", "pid", "started")) or parts[:2] != [_MARK, socket.gethostname()]:
        return None
    pid, started = int(parts[2]), float(parts[3])
    try:
        process = psutil.Process(pid)
        lives = abs(process.create_time() - started) < _CLOCK_S and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        lives = False
    return pid, lives


@dataclass(kw_only=True)
class LostRuns:
    """Finds runs of some deployments that nobody works on any more."""

    client: PrefectClient
    deployments: Sequence[UUID]
    silence_s: float = _SILENCE_S
    """How long a run that cannot be looked at from here may say nothing before it counts as lost."""
    _seen: dict[UUID, tuple[Any, float]] = field(default_factory=dict)
    """What a run last said, and when that was first seen here: clocks of machines differ."""
    _told: set[UUID] = field(default_factory=set)
    _looked_at_slots: bool = False

    async def clear(self, mine: Collection[UUID]) -> None:
        """End every run that nobody works on: as Cancelled, if that was wanted, else as Crashed.

        Args:
            mine: Runs that this process works on.
        """
        found = await self.client.read_flow_runs(
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=list(self.deployments))),
            flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_UNDER_WAY))),
        )
        others = [run for run in found if run.id not in mine]
        for run in others:
            if await self._is_lost(run):
                # The run itself last: whoever finds it again finds what was left undone, too.
                await self.end_subflows(run, _LOST)
                await self._end(run, _LOST)
        self._seen = {run.id: self._seen[run.id] for run in others if run.id in self._seen}
        if not self._looked_at_slots:
            await self._free_slots({run.deployment_id for run in found if run not in others})
            self._looked_at_slots = True

    async def end_subflows(self, run: FlowRun, message: str) -> None:
        """End the runs within a run that are said to go on although it has ended, and those within them."""
        within = await self.client.read_flow_runs(
            flow_run_filter=FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run.id]))
        )
        for subflow in within:
            if subflow.state_type in _UNDER_WAY:
                await self._end(subflow, message, is_cancelled=run.state_type == StateType.CANCELLING)
            await self.end_subflows(subflow, message)

    async def _is_lost(self, run: FlowRun) -> bool:
        process = _process(run.infrastructure_pid)
        if process is None:
            return await self._is_silent(run)
        pid, lives = process
        if lives and run.state_type == StateType.CANCELLING and run.id not in self._told:
            # It outlived whoever had started it, and nobody else can tell it.
            self._told.add(run.id)
            os.kill(pid, signal.SIGTERM)
        return not lives

    async def _is_silent(self, run: FlowRun) -> bool:
        beats = await self.client.request(
            "POST",
            "/events/filter",
            json={
                "filter": {
                    "event": {"name": ["prefect.flow-run.heartbeat"]},
                    "resource": {"id": [f"prefect.flow-run.{run.id}"]},
                    "order": "DESC",
                },
                "limit": 1,
            },
        )
        last = [event["id"] for event in beats.json()["events"]]
        said = (run.updated, last)
        before, since = self._seen.get(run.id, (None, 0.0))
        if said != before:
            self._seen[run.id] = (said, time.monotonic())
            return False
        return time.monotonic() - since > self.silence_s

    async def _end(self, run: FlowRun, message: str, *, is_cancelled: bool = False) -> None:
        is_cancelled = is_cancelled or run.state_type == StateType.CANCELLING
        state: State[Any] = Cancelled(message=message) if is_cancelled else Crashed(message=message)
        # Not as a proposal: the server would ask the run, and not us, what becomes of its retries.
        await self.client.set_flow_run_state(run.id, state, force=True)
        _LOG.warning("The run %s is %s: %s", run.name, state.name, message)

    async def _free_slots(self, busy: Collection[UUID | None]) -> None:
        """Give back what runs held that have ended: a server that was restarted has forgotten whose slots they are."""
        for deployment_id in self.deployments:
            limit = (await self.client.read_deployment(deployment_id)).global_concurrency_limit
            if limit and limit.active_slots and deployment_id not in busy and not await self._is_busy(deployment_id):
                await self.client.update_global_concurrency_limit(
                    limit.name, GlobalConcurrencyLimitUpdate(active_slots=0)
                )

    async def _is_busy(self, deployment_id: UUID) -> bool:
        found = await self.client.read_flow_runs(
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment_id])),
            flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_UNDER_WAY))),
            limit=1,
        )
        return bool(found)
