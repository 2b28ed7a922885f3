"""Deployments -> their runs: a process each, started when they are due, cancelled when wanted, ended in order.

Prefect's own runner ends the processes of its runs with itself, leaves them "Running", and stops to look for
cancellations for good once its server has been away for a minute. Its parts are put together here so that it does not.
"""

import asyncio
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from types import FrameType
from typing import Any
from uuid import UUID

import anyio
import anyio.abc
import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectNotFound
from prefect.flows import Flow, load_flow_from_entrypoint
from prefect.logging import get_logger
from prefect.runner._cancel_finalizer import finalize_cancelled_state
from prefect.runner._control_channel import ControlChannel
from prefect.runner._flow_run_executor import FlowRunExecutor
from prefect.runner._hook_runner import HookRunner
from prefect.runner._process_manager import ProcessManager
from prefect.runner._starter_engine import EngineCommandStarter
from prefect.runner._state_proposer import StateProposer
from prefect.runner.server import start_webserver
from prefect.settings import PREFECT_RUNNER_POLL_FREQUENCY, PREFECT_RUNNER_SERVER_ENABLE
from prefect.types._datetime import now

from deployments.lost_runs import LostRuns, process_mark
from rageval.errors import ServiceError

_LOG = get_logger("runner")
_HEARTBEAT_S = 30
"""How often a run says that it is alive: the shortest that Prefect takes."""
_EARLY_S = 10
"""How long before its time the process of a run is started: most of its start is imports."""
_GRACE_S = 45.0
"""What a run may take to save what it has, of the 60 s that docker-compose.yml gives the whole container."""
_REPORT_S = 5.0
"""How long the server may take to hear of the ends of runs."""


@dataclass(frozen=True, kw_only=True)
class ServedDeployment:
    """A deployment on the server."""

    name: str
    entrypoint: str
    """Where its flow is, as the file of deployments says: nobody who reaches the server can name another one."""
    limited: bool
    """Whether the server limits how many of its runs go on at once, and says what becomes of one too many."""


@dataclass(kw_only=True)
class Runner:
    """Runs what is due of some deployments until it is told to stop."""

    served: Mapping[UUID, ServedDeployment]
    limit: int
    """The most runs at once of each deployment that the server does not limit."""
    last_polled: datetime = field(default_factory=lambda: now("UTC"))
    """When the server was last asked for runs and for cancellations, and answered all of it; `/health` reads it."""
    _stopping: anyio.Event = field(default_factory=anyio.Event)
    _signal: int = signal.SIGINT
    _taken: dict[UUID, "_TakenRun"] = field(default_factory=dict)

    def run(self) -> int:
        """Serve until SIGINT or SIGTERM, and return which one came.

        The first one lets every run save what it has, the second one ends them at once.

        Raises:
            ServiceError: If it can neither take nor cancel runs any more; those under way have been ended in order.
        """
        if PREFECT_RUNNER_SERVER_ENABLE.value():
            threading.Thread(target=start_webserver, args=(self,), name="health", daemon=True).start()
        try:
            asyncio.run(self._serve())
        except (BaseExceptionGroup, httpx.HTTPError) as raised:
            error = _first(raised)
            _LOG.error("Serving has ended", exc_info=error)
            raise ServiceError(
                f"runs can neither be taken nor cancelled any more: {error}. Serve them again"
            ) from error
        return self._signal

    @property
    def _flow_run_process_map(self) -> Mapping[UUID, Any]:
        """The runs under way; Prefect's web server counts them under this name."""
        return self._taken

    def stop(self) -> None:
        """Stop as on SIGTERM; Prefect's web server calls it for `/shutdown`."""
        os.kill(os.getpid(), signal.SIGTERM)

    async def _serve(self) -> None:
        with self._on_signals(asyncio.get_running_loop()):
            async with AsyncExitStack() as held:
                self._client: PrefectClient = await held.enter_async_context(get_client())
                self._channel = await held.enter_async_context(ControlChannel())
                self._processes = ProcessManager(on_add=self._begun)
                self._states = _States(client=self._client)
                self._lost = LostRuns(client=self._client, deployments=tuple(self.served))
                async with anyio.create_task_group() as self._runs:
                    try:
                        async with anyio.create_task_group() as polling:
                            polling.start_soon(self._poll)
                            await self._stopping.wait()
                            polling.cancel_scope.cancel()
                    finally:
                        with anyio.CancelScope(shield=True):
                            await self._end_all()
                        # The server may be away, and whoever stops a container does not wait for it.
                        self._runs.cancel_scope.deadline = anyio.current_time() + _REPORT_S

    async def _poll(self) -> None:
        """Ask the server for all there is to do, again and again; while it is away, everything else waits for it."""
        is_away = False
        while True:
            try:
                await self._cancel_wanted()
                await self._lost.clear(mine=self._taken)
                await self._take_due()
                self.last_polled = now("UTC")
                if is_away:
                    _LOG.info("The Prefect server answers again")
                is_away = False
            except httpx.HTTPError as error:
                if not _is_away(error):
                    raise
                if not is_away:
                    _LOG.warning("The Prefect server does not answer; it is asked again until it does: %r", error)
                is_away = True
            await anyio.sleep(PREFECT_RUNNER_POLL_FREQUENCY.value())

    async def _take_due(self) -> None:
        due = await self._client.get_scheduled_flow_runs_for_deployments(
            deployment_ids=list(self.served), scheduled_before=now("UTC") + timedelta(seconds=_EARLY_S)
        )
        under_way = Counter(taken.deployment for taken in self._taken.values())
        for run in sorted(due, key=lambda run: run.next_scheduled_start_time or now("UTC")):
            deployment = run.deployment_id
            if run.id in self._taken or deployment is None:
                continue
            # One too many of a deployment that the server limits is its to judge, and at once: it would be late here.
            if not self.served[deployment].limited and under_way[deployment] >= self.limit:
                continue
            under_way[deployment] += 1
            self._taken[run.id] = _TakenRun(deployment=deployment)
            self._runs.start_soon(self._run, run, self.served[deployment])

    async def _run(self, run: FlowRun, deployment: ServedDeployment) -> None:
        """Start a run's process, wait for its end, and see to it that the server knows of the end."""
        taken = self._taken[run.id]
        try:
            if not await self._states.propose_pending(run):
                return
            starter = EngineCommandStarter(
                # Neither the code nor the steps before it nor the environment that the server has stored is followed.
                entrypoint=deployment.entrypoint,
                deployment_name=deployment.name.rpartition("/")[2],
                heartbeat_seconds=_HEARTBEAT_S,
                control_channel=self._channel,
                # What a terminal or a container sends to everybody, such as Ctrl-C, would end a run before it is told.
                isolate_process_group=True,
            )
            await FlowRunExecutor(
                flow_run=run,
                starter=starter,
                process_manager=self._processes,
                state_proposer=self._states,
                hook_runner=HookRunner(resolve_flow=partial(_flow_of, deployment)),
                get_attempt_conclusion=self._channel.get_conclusion,
            ).submit()
            if not taken.is_cancelled:
                await self._lost.end_subflows(run, self._states.end_of(run))
        except (httpx.HTTPError, ObjectNotFound):
            _LOG.exception("The run %s did not go as it should", run.name)
        finally:
            self._channel.unregister(run.id)
            del self._taken[run.id]
            taken.ended.set()

    async def _begun(self, flow_run_id: UUID) -> None:
        """Note at the server which process works on a run, so that it can be told later whether there still is one."""
        handle = self._processes.get(flow_run_id)
        if handle is None or handle.pid is None:
            return
        handle.termination_scope = _Leader()
        with anyio.move_on_after(_EARLY_S):
            await self._client.update_flow_run(flow_run_id, infrastructure_pid=process_mark(handle.pid))
        if self._stopping.is_set():
            handle.graceful_kill()

    async def _cancel_wanted(self) -> None:
        mine = [run for run, taken in self._taken.items() if not taken.is_cancelled]
        if not mine:
            return
        wanted = await self._client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                id=FlowRunFilterId(any_=mine),
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CANCELLING])),
            )
        )
        for run in wanted:
            taken = self._taken.get(run.id)
            if taken is not None:
                taken.is_cancelled = True
                self._states.cancelled.add(run.id)
                self._runs.start_soon(self._cancel, run, taken)

    async def _cancel(self, run: FlowRun, taken: "_TakenRun") -> None:
        try:
            await self._channel.signal(run.id, "cancel")
            await self._end(run.id, taken)
            await self._lost.end_subflows(run, self._states.end_of(run))
            await finalize_cancelled_state(
                flow_run=run,
                state_proposer=self._states,
                client=self._client,
                logger=_LOG,
                state_updates={"message": "It was cancelled."},
            )
        except (httpx.HTTPError, ObjectNotFound):
            _LOG.exception("The run %s could not be cancelled", run.name)

    async def _end_all(self) -> None:
        self._stopping.set()
        self._states.is_stopping = True
        if self._taken:
            _LOG.info("%d runs are told to save what they have and to end", len(self._taken))
        async with anyio.create_task_group() as ends:
            for flow_run_id, taken in list(self._taken.items()):
                ends.start_soon(self._end, flow_run_id, taken)

    async def _end(self, flow_run_id: UUID, taken: "_TakenRun") -> None:
        """Tell the process of a run to end, wait until it has, and end it where it does not."""
        handle = self._processes.get(flow_run_id)
        if handle is not None and handle.is_alive():
            handle.graceful_kill()
        with anyio.move_on_after(_GRACE_S):
            await taken.ended.wait()
        if not taken.ended.is_set() and (handle := self._processes.get(flow_run_id)):
            handle.hard_kill()
            with anyio.move_on_after(_REPORT_S):
                await taken.ended.wait()

    @contextmanager
    def _on_signals(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        def stop(number: int, frame: FrameType | None) -> None:
            if self._stopping.is_set():
                for flow_run_id in self._processes.flow_run_ids():
                    if handle := self._processes.get(flow_run_id):
                        handle.hard_kill()
            self._signal = number
            loop.call_soon_threadsafe(self._stopping.set)

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@dataclass(kw_only=True)
class _TakenRun:
    """A run that this process works on."""

    deployment: UUID
    is_cancelled: bool = False
    ended: anyio.Event = field(default_factory=anyio.Event)


class _States(StateProposer):
    """What the server is told of runs; the end of a process is no crash where somebody wanted it."""

    def __init__(self, *, client: PrefectClient) -> None:
        super().__init__(client=client)
        self.cancelled: set[UUID] = set()
        self.is_stopping = False
        self._ends: dict[UUID, str] = {}

    async def propose_crashed(self, flow_run: FlowRun, message: str) -> State[Any] | None:
        if flow_run.id in self.cancelled:
            return None
        if self.is_stopping:
            message = f"It was ended because serving stopped, before it could save what it had. {message}"
        self._ends[flow_run.id] = message
        return await super().propose_crashed(flow_run, message)

    def end_of(self, flow_run: FlowRun) -> str:
        """Return in words what has ended a run whose process could not tell the server itself."""
        return self._ends.get(flow_run.id, "The flow that started it has ended.")


class _Leader:
    """How a run's process is ended: it alone is told, for what it has started serves it until it has saved."""

    wait_after_graceful_kill = True

    def is_alive(self, pid: int) -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return True

    def graceful_kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGTERM)

    def hard_kill(self, pid: int) -> None:
        os.killpg(pid, signal.SIGKILL)

    def close(self) -> None:
        """Hold nothing."""


async def _flow_of(deployment: ServedDeployment, _: FlowRun) -> Flow[..., Any]:
    return load_flow_from_entrypoint(deployment.entrypoint)


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def _is_away(error: httpx.HTTPError) -> bool:
    """Return whether a server that answers like this, or not at all, may answer well later on."""
    return not isinstance(error, httpx.HTTPStatusError) or (
        error.response.status_code == httpx.codes.TOO_MANY_REQUESTS or error.response.is_server_error
    )
