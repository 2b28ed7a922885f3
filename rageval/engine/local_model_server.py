"""A program of its own that serves one GGUF model over HTTP for as long as its owner lives.

    python local_model_server.py OWNER_PID MODEL_FILE CHAT_TEMPLATE SLOTS SLOT_TOKENS THREADS

Its only line of output is the server's address, printed once the model answers; what llama.cpp logs goes to
standard error. It ends when standard input is closed or the owner is gone, even by a hard kill. It imports
nothing of this package, so that it starts quickly and from any folder.
"""

import os
import select
import sys
import threading
from typing import Any

_OWNER_CHECK_S = 1.0
_ERRORS_ONLY = 1


def main() -> None:
    """Serve until the owner ends."""
    owner, model_file, chat_template, slots, slot_tokens, threads = sys.argv[1:]
    # llama.cpp may write to standard output as well; the owner must read nothing there but the address.
    output = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    watch = threading.Thread(target=_exit_with_owner, args=(int(owner),))
    watch.start()
    try:
        server = _start_server(model_file, chat_template, int(slots), int(slot_tokens), int(threads))
    except BaseException as error:  # noqa: BLE001 - whatever it was, the watching thread must not keep this alive
        print(error, file=sys.stderr, flush=True)
        os._exit(1)
    os.write(output, f"{server.listening_address}\n".encode())
    os.close(output)
    watch.join()


def _exit_with_owner(owner: int) -> None:
    """End this process, whatever it is doing, once the owner closes standard input or is gone.

    Standard input alone is not enough: a process that the owner forked may hold its other end open.
    """
    while os.getppid() == owner:
        readable, _, _ = select.select([sys.stdin], [], [], _OWNER_CHECK_S)
        if readable:
            break
    os._exit(0)


def _start_server(model_file: str, chat_template: str, slots: int, slot_tokens: int, threads: int) -> Any:
    """Return a server that has loaded its model and listens on a free port of 127.0.0.1."""
    import xllamacpp  # noqa: PLC0415 - the extra may be missing, and its native code belongs in this process

    params = xllamacpp.CommonParams()
    params.model.path = model_file
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = slots
    params.n_ctx = slots * slot_tokens
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.chat_template = chat_template
    params.verbosity = _ERRORS_ONLY
    params.ui = False
    return xllamacpp.Server(params)


if __name__ == "__main__":
    main()
