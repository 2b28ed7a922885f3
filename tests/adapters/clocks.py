"""Event loops whose time the test sets, so that no time-out, pause or pace depends on how fast the machine is."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class ScriptedLoop(asyncio.SelectorEventLoop):
    """A loop in which time stands still until it is advanced; what is sent and received takes place meanwhile."""

    def __init__(self, selector: selectors.BaseSelector | None = None) -> None:
        self.now = 0.0
        super().__init__(selector)

    def time(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let so much time pass at once; from another thread than the loop's."""

        async def pass_by() -> None:
            self.now += seconds

        asyncio.run_coroutine_threadsafe(pass_by(), self).result()


class _Jumping(selectors.DefaultSelector):  # type: ignore[misc,valid-type]  # which one it is, the machine decides
    loop: ScriptedLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout:
            self.loop.now += timeout
        return super().select(0 if timeout else timeout)  # type: ignore[no-any-return]


def simulate(scenario: Coroutine[Any, Any, Result]) -> Result:
    """Run what touches nothing outside; when all of it waits, the time of what comes next has come."""

    def new_loop() -> ScriptedLoop:
        selector = _Jumping()
        selector.loop = ScriptedLoop(selector)
        return selector.loop

    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(scenario)
