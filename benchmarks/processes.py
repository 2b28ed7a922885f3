"""A process and all that it starts, or this one: the CPU they take, and the most memory they have at once."""

import contextlib
import subprocess
import threading
from types import TracebackType
from typing import Self

import psutil

from flows.local_server.folder import MODULE

_FIRST_S, _EVERY_S = 0.05, 0.5
"""Between two looks, the first and the later ones: a look at memory stops the process for a while."""
_SERVERS = ("prefect.server", MODULE)
"""In the command lines of Prefect's servers."""


class Watch:
    """Looks at a process until its end; Prefect's server, which may outlive it, is left out."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.peak_mib = self.cpu_s = 0.0
        self._cpu_s: dict[int, float] = {}
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.process.wait()
        self._thread.join()
        self.cpu_s = sum(self._cpu_s.values())

    def _look(self) -> None:
        root = psutil.Process(self.process.pid)
        pause_s = _FIRST_S
        while self.process.poll() is None:
            with contextlib.suppress(psutil.Error):
                self._count([root, *root.children(recursive=True)])
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(pause_s)
            pause_s = min(2 * pause_s, _EVERY_S)

    def _count(self, processes: list[psutil.Process]) -> None:
        memory = 0
        for process in processes:
            with contextlib.suppress(psutil.Error):
                if any(server in part for part in process.cmdline() for server in _SERVERS):
                    continue
                used = process.cpu_times()
                self._cpu_s[process.pid] = used.user + used.system
                memory += process.memory_full_info().pss
        self.peak_mib = max(self.peak_mib, memory / 2**20)


class Memory:
    """Watches the process's resident memory from now on."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._start = self._peak = self._process.memory_info().rss
        self._ended = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def stop(self) -> float:
        """Return the most that it was above the start, in MiB."""
        self._ended.set()
        self._watcher.join()
        return (self._peak - self._start) / 2**20

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            self._peak = max(self._peak, self._process.memory_info().rss)
