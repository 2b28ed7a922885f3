"""A process of its own that asks one model chunks of questions under a shared limit, as the chunk tasks do.

    python -m tests.flows.shared_limit_worker URL RPM LIMIT

It says `ready`, begins at the next line that it reads, and goes on until it is ended.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

from rageval.config.models import ModelConfig
from rageval.engine.request_engine import RequestEngine
from rageval.engine.requests import ChatRequest
from tasks.limits import LimitSlots

_CHUNKS_AT_ONCE = 5
_CHUNK_SIZE = 25


def main(url: str, rpm: int, limit: str) -> None:
    model = ModelConfig(name="m", base_url=url, rpm=rpm, shared_limit=limit)
    requests = [ChatRequest(messages=[{"role": "user", "content": f"q{n}"}]) for n in range(_CHUNK_SIZE)]
    print("ready", flush=True)
    sys.stdin.readline()

    def ask_chunks(_: int) -> None:
        while True:
            with LimitSlots([model], engine) as places:
                places.ask(requests, model, lambda _position, _reply: None, label="answers").result()

    with RequestEngine() as engine, ThreadPoolExecutor(_CHUNKS_AT_ONCE) as threads:
        list(threads.map(ask_chunks, range(_CHUNKS_AT_ONCE)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
