"""`rageval chat` as a process, with its search in another one, and what happens if either is killed."""

import shutil
from pathlib import Path

import httpx
import psutil

from rageval.config.evaluation import EvaluationConfig
from tests.fake_llm import FakeLLM
from tests.processes import PATIENCE_S, eventually
from tests.serving.conftest import chat_process


def test_a_search_that_was_killed_is_started_again_and_none_outlives_the_app(
    corpus: EvaluationConfig, llm: FakeLLM, tmp_path: Path
) -> None:
    documents, away = tmp_path / "documents.json", tmp_path / "away.json"
    shutil.copy(corpus.data.documents, documents)
    with chat_process(documents, llm, tmp_path) as (app, url, _):

        def ask() -> httpx.Response:
            return httpx.post(f"{url}/api/ask", json={"question": "How do I get a certificate?"}, timeout=PATIENCE_S)

        def sources() -> list[str]:
            answered = ask()
            assert answered.status_code == 200, answered.text
            return [source["document_id"] for source in answered.json()["sources"]]

        def search() -> psutil.Process:
            return next(
                child for child in psutil.Process(app.pid).children() if "spawn_main" in " ".join(child.cmdline())
            )

        found = sources()
        assert found
        first = search()
        first.kill()
        documents.rename(away)
        assert ask().status_code == 503  # it cannot be started again now, and is as soon as it can
        away.rename(documents)
        assert sources() == found
        second = search()
        assert second.pid != first.pid

        app.kill()
        eventually("the end of the search", lambda: not second.is_running() or second.status() == "zombie")
