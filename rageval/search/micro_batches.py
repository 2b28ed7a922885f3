"""Single pieces of work from many callers -> batches for one thread: whoever comes meanwhile goes together."""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Generic, TypeVar

Wanted = TypeVar("Wanted")
Done = TypeVar("Done")


class MicroBatcher(Generic[Wanted, Done]):
    """A thread that takes all that waits, at most so many at once, and works on it in one call.

    Nobody waits for a batch to fill: alone, a caller is a batch of one; under load, batches grow by themselves.
    """

    def __init__(self, work: Callable[[Sequence[Wanted]], Sequence[Done]], *, most: int) -> None:
        """Start the thread.

        Args:
            work: Returns one result for each piece of work, in their order; if it raises, all of them have failed.
            most: The largest batch.
        """
        self._work, self._most = work, most
        self._queue: queue.SimpleQueue[tuple[Wanted, Future[Done]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="gathering", daemon=True)
        self._thread.start()

    def submit(self, wanted: Wanted) -> Future[Done]:
        """Hand over a piece of work; one that is cancelled before its turn is left out."""
        future: Future[Done] = Future()
        self._queue.put((wanted, future))
        return future

    def close(self) -> None:
        """End the thread once all that was handed over is done."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        is_open = True
        while is_open:
            taken = [self._queue.get()]
            with suppress(queue.Empty):
                while len(taken) < self._most:
                    taken.append(self._queue.get_nowait())
            is_open = None not in taken
            batch = [one for one in taken if one is not None and one[1].set_running_or_notify_cancel()]
            if batch:
                self._do(batch)

    def _do(self, batch: Sequence[tuple[Wanted, Future[Done]]]) -> None:
        try:
            results = self._work([wanted for wanted, _ in batch])
        except Exception as error:  # noqa: BLE001 - it is each caller's
            for _, future in batch:
                future.set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            future.set_result(result)
