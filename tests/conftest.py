"""What all tests share: a fake model server, and an environment without anybody's keys."""

from collections.abc import Iterator

import pytest

from tests.fake_llm import FakeLLM


@pytest.fixture
def llm() -> Iterator[FakeLLM]:
    """A model server on localhost that answers everything until the test scripts it."""
    with FakeLLM() as server:
        yield server


@pytest.fixture(autouse=True)
def _nobodys_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ELASTICSEARCH_URL"):
        monkeypatch.delenv(name, raising=False)
