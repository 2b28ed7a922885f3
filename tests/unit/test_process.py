"""Tasks find the engine of their own flow, and whoever has started the flow can show and stop it."""

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest

from rageval.engine.request_engine import RequestEngine
from rageval.errors import RunStoppedError
from tasks import process
from tasks.process import FlowWatcher, watching, working


def test_flows_side_by_side_have_engines_of_their_own_also_in_the_threads_of_their_tasks() -> None:
    def flow(_: int) -> bool:
        with RequestEngine() as engine, working(engine), ThreadPoolExecutor(1) as tasks:
            return tasks.submit(copy_context().run, process.engine).result() is engine

    with ThreadPoolExecutor(2) as flows:
        assert list(flows.map(flow, range(2))) == [True, True]
    with pytest.raises(RuntimeError, match="part of a flow that has opened a request engine"):
        process.engine()


def test_a_flow_that_is_stopped_before_it_asks_anything_ends_once_it_does() -> None:
    with watching(FlowWatcher()) as flow:
        assert flow.counts == {}
        flow.stop(RunStoppedError("it was interrupted"))
        with RequestEngine() as engine, working(engine):
            engine.expect("answers of m1", 2)
            with pytest.raises(RunStoppedError, match="it was interrupted"):
                engine.raise_if_stopped()
    assert flow.counts["answers of m1"].expected == 2
    flow.stop(RunStoppedError("it was interrupted"))  # a second time, when there is nothing left to stop


def test_the_engine_of_a_worker_is_closed_when_its_run_is_over_and_makes_room_for_the_next_one() -> None:
    first, second = RequestEngine(), RequestEngine()
    process.begin_working(first, None)
    assert process.engine() is first
    process.end_working()
    assert first.stopped
    process.begin_working(second, None)
    assert process.engine() is second
    process.end_working()
    process.end_working()
