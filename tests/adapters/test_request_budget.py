"""What a budget reserves and whom it admits, with a clock that the test sets."""

import asyncio
from contextlib import AsyncExitStack

from rageval.engine.budget import RequestBudget
from rageval.engine.concurrency import PROBES, START
from rageval.errors import RunStoppedError
from tests.adapters.clocks import simulate


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def fill(budget: RequestBudget, held: AsyncExitStack) -> int:
    """Take slots until there are no more, and return how many are taken in all."""
    while True:
        turn = held.enter_async_context(budget.admit(1))
        try:
            async with asyncio.timeout(0.02):
                await turn
        except TimeoutError:
            return budget.in_flight


def test_tokens_are_reserved_before_and_corrected_after() -> None:
    async def scenario() -> list[float]:
        clock = Clock()
        budget = RequestBudget(rpm=None, tpm=6000, max_concurrency=9, clock=clock)  # 100 a second
        reserved = budget.estimate(400, 100)
        async with budget.admit(reserved):
            budget.used(characters=400, reserved=reserved, prompt=50, completion=10, max_completion_tokens=100)
        taken = []
        for clock.now in (1.29, 1.305):
            async with AsyncExitStack() as held:
                taken.append(await fill(budget, held))
        return [reserved, *taken, budget.estimate(440, 100)]

    # 400 characters at 4 a token and 100 for the completion. Used: 50, and the whole 100 that the request named:
    # 150, free again at 1.5 s, less 0.2 s of burst. The ratio moves a tenth of the way from 4 to 400/50 = 8: 4.4.
    assert simulate(scenario()) == [200, 0, 1, 200]


def test_whoever_waits_looks_again_whether_it_has_to() -> None:
    async def scenario() -> list[object]:
        budget = RequestBudget(rpm=None, tpm=None, max_concurrency=1)
        broken: list[Exception] = []

        def check() -> None:
            for error in broken:
                raise error

        async def one() -> None:
            async with budget.admit(1, check):
                await asyncio.Event().wait()

        waiting = [asyncio.create_task(one()) for _ in range(4)]
        await asyncio.sleep(0)
        broken.append(RunStoppedError("spent"))
        budget.look_again()
        while sum(task.done() for task in waiting) < 3:
            await asyncio.sleep(0)
        done = [task for task in waiting if task.done()]
        for task in waiting:
            task.cancel()
        return [len(waiting) - len(done), *{repr(task.exception()) for task in done}]

    assert simulate(scenario()) == [1, "RunStoppedError('spent')"]


def test_a_shared_budget_keeps_its_share_of_configured_and_of_learnt_limits() -> None:
    async def scenario(rpm: float | None) -> list[int]:
        clock = Clock()
        budget = RequestBudget(rpm=rpm, tpm=None, max_concurrency=9, clock=clock)
        budget.share(0.25)
        async with budget.admit(1) as ticket:
            budget.succeeded({"x-ratelimit-limit-requests": "60"}, ticket)
        taken = []
        for start, share in ((10.0, 0.25), (20.0, 1.0)):
            clock.now = start
            budget.share(share)
            async with AsyncExitStack() as held:
                await fill(budget, held)
            clock.now = start + 2.0
            async with AsyncExitStack() as held:
                taken.append(await fill(budget, held))
        return taken

    # 60 a minute: the next one may go 4 s after the one before at a quarter of it, and 1 s after at the whole.
    assert simulate(scenario(60)) == [0, 1]
    assert simulate(scenario(None)) == [0, 1]


def test_concurrency_grows_while_the_server_keeps_up() -> None:
    async def scenario() -> list[int]:
        loop = asyncio.get_running_loop()
        budget = RequestBudget(rpm=None, tpm=None, max_concurrency=40, clock=loop.time)
        in_flight = []

        async def one(number: int) -> None:
            async with budget.admit(1) as ticket:
                in_flight.append(budget.in_flight)
                await asyncio.sleep(0.3 + number / 1000)  # no two replies come at once
                budget.succeeded({}, ticket)

        async with asyncio.TaskGroup() as group:
            for number in range(150):
                group.create_task(one(number))
        return [in_flight[3], in_flight[4 + 12], in_flight[4 + 12 + 2], max(in_flight)]

    # Four until the first reply. In its place and beside the other three, 13 make it sixteen. Then each reply lets go
    # two: one in its own place, and one more, up to what is allowed.
    assert simulate(scenario()) == [PROBES, START, START + 1, 40]
