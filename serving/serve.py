"""Configuration -> a chat app that runs until it is told to end: everything opened, warmed up, and closed again."""

import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

from rageval.config.evaluation import EvaluationConfig
from rageval.engine.served_models import check_cache
from rageval.errors import ConfigError, ServiceError
from rageval.monitoring.store.database import database_url, open_database
from rageval.monitoring.store.recorder import DEFAULT_SPOOL, Recorder
from rageval.search.searching import SearchProcess
from rageval.storage.places import place
from rageval.storage.writable import check_output, check_temporary_folder
from rageval.telemetry.logs import TextLines, json_lines, log_what_can_be_shown, wants_json
from rageval.telemetry.tracing import export_spans
from serving.app import create_app
from serving.assistant import open_assistant
from serving.server import address_of, end_on_sigterm, is_loopback, listen, server_of, with_names
from serving.settings import API_KEY_VARIABLE, ChatSettings
from serving.voters import cookie_key

_COOKIE_KEY = "chat-voters.key"


def serve_chat(
    config: EvaluationConfig, settings: ChatSettings, *, host: str, port: int, timeout_s: float,
    proxies: Sequence[str], names: Sequence[str], say: Callable[[str], None],
) -> None:  # fmt: skip
    """Serve the chat app until SIGINT or SIGTERM, then end what is under way and store it.

    Args:
        config: What is answered from, how, and by which model.
        settings: Limits.
        host: Address to listen at.
        port: Port to listen at; 0 for any.
        timeout_s: Seconds after which a question is given up.
        proxies: Addresses of proxies in front.
        names: Names that the app may be called by, besides those of this machine; `*` for any.
        say: Called with what happens, in words.

    Raises:
        InputError: If the address, the documents, the model or the key cannot be used. A database that cannot be
            reached is none of them: conversations wait on disk for it.
    """
    if settings.api_key and not (settings.api_key.isascii() and settings.api_key.isprintable()):
        raise ConfigError(f"the key in {API_KEY_VARIABLE} holds characters that no header can; choose another one")
    settings = replace(settings, cookie_key=cookie_key(Path(DEFAULT_SPOOL).with_name(_COOKIE_KEY), settings.api_key))
    settings = with_names(settings, host, names, is_behind_proxy=bool(proxies))
    if not is_loopback(host):
        if not settings.api_key:
            say(f"Everybody who reaches {host} can ask, at your expense; set {API_KEY_VARIABLE} to ask for a key.")
        if settings.allows_addresses:
            called = ", ".join(settings.allowed_hosts)
            say(f"It may be called by its addresses and by {called}; --allowed-host NAME adds another name.")
    check_temporary_folder()
    check_output(place(config.run.output))
    check_cache(config.answering_models)
    export_spans()
    end_on_sigterm()
    log_what_can_be_shown()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextLines("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    with suppress(KeyboardInterrupt), json_lines(sys.stderr) if wants_json() else nullcontext():
        _serve(config, settings, host, port, timeout_s, proxies, say)
    say("Ended.")


def _serve(
    config: EvaluationConfig, settings: ChatSettings, host: str, port: int, timeout_s: float, proxies: Sequence[str],
    say: Callable[[str], None],
) -> None:  # fmt: skip
    url = database_url()
    with (
        listen(host, port) as listening,
        Recorder(url) as recorder,
        open_assistant(
            config, timeout_s=timeout_s, search=SearchProcess, say=lambda words: say(f"{words} ...")
        ) as assistant,
    ):
        try:
            say(f"Conversations go to {open_database(url).name}")
        except ServiceError as error:
            say(f"Conversations wait on disk: {error}")
        app = create_app(assistant, recorder, settings, database=url)
        say(f"Ask at {address_of(listening)} (system {assistant.system.name}). Ctrl-C ends.")
        server_of(app, settings, proxies=proxies).run(sockets=[listening])
