"""How many requests a budget admits at once, and what it reserves, with a clock that the test sets."""

import asyncio
from contextlib import AsyncExitStack

from rageval.adapters.request_budget import RequestBudget
from rageval.errors import RunStoppedError


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


async def succeed(budget: RequestBudget, held: AsyncExitStack, times: int, started: float) -> int:
    """Let so many requests succeed while all slots stay taken, and return how many there are then."""
    for _ in range(times):
        budget.succeeded({}, started=started)
        await fill(budget, held)
    return budget.in_flight


def test_concurrency_doubles_until_the_first_trouble_halves_and_then_grows_by_one() -> None:
    async def scenario() -> list[int]:
        clock = Clock()
        budget = RequestBudget(rpm=None, tpm=None, max_concurrency=20, clock=clock)
        taken = []
        async with AsyncExitStack() as held:
            taken.append(await fill(budget, held))
            taken.append(await succeed(budget, held, 8, started=0))
            taken.append(await succeed(budget, held, 8, started=0))
        clock.now = 10.0
        for _ in range(5):  # five time-outs of requests that ran together are one trouble
            budget.slowed(started=1.0)
        async with AsyncExitStack() as held:
            taken.append(await fill(budget, held))
            # Sent before the trouble: they say nothing about the new concurrency.
            taken.append(await succeed(budget, held, 15, started=9.0))
            taken.append(await succeed(budget, held, 10, started=11.0))
            taken.append(await succeed(budget, held, 1, started=11.0))
        return taken

    # One more per success: 8 + 8, then no more than 20. Half of that is 10; each success then adds 1/10, or a
    # little less as it grows: ten of them do not quite make it 11, the eleventh does.
    assert asyncio.run(scenario()) == [8, 16, 20, 10, 10, 10, 11]


def test_concurrency_never_falls_below_one_and_grows_again_from_there() -> None:
    async def scenario() -> list[int]:
        clock = Clock()
        budget = RequestBudget(rpm=None, tpm=None, max_concurrency=4, clock=clock)
        for clock.now in (1.0, 2.0, 3.0, 4.0, 5.0):
            budget.slowed(started=clock.now)
        async with AsyncExitStack() as held:
            return [await fill(budget, held), await succeed(budget, held, 1, started=6.0)]

    assert asyncio.run(scenario()) == [1, 2]


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
    assert asyncio.run(scenario()) == [200, 0, 1, 200]


def test_whoever_waits_for_a_broken_budget_gets_its_error() -> None:
    async def scenario() -> list[object]:
        budget = RequestBudget(rpm=None, tpm=None, max_concurrency=1)

        async def one() -> None:
            async with budget.admit(1):
                await asyncio.Event().wait()

        waiting = [asyncio.create_task(one()) for _ in range(4)]
        await asyncio.sleep(0)
        budget.breaks(RunStoppedError("spent"))
        done, running = await asyncio.wait(waiting, timeout=1)
        for task in running:
            task.cancel()
        return [len(running), *{repr(task.exception()) for task in done}]

    assert asyncio.run(scenario()) == [1, "RunStoppedError('spent')"]
