"""The toy service on the documents of the tests' corpus, and one question at a time to a system of one's own."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rageval.config.evaluation import EvaluationConfig
from rageval.config.overrides import validate
from rageval.engine.request_engine import RequestEngine
from rageval.engine.requests import ChatReply
from rageval.records import Question
from rageval.systems.kinds import make_systems
from tests.adapters.asking import WAIT_S
from tests.toy_rag import ToyRag

Ask = Callable[..., list[ChatReply]]


@pytest.fixture
def rag(corpus: Path) -> Iterator[ToyRag]:
    with ToyRag(json.loads((corpus / "documents.json").read_text())) as service:
        yield service


@pytest.fixture
def engine() -> Iterator[RequestEngine]:
    with RequestEngine(backoff_s=0.01) as made:
        yield made


@pytest.fixture
def ask(engine: RequestEngine) -> Ask:
    """Ask a system with these settings all questions, or those records of one."""

    def all_replies(*questions: str | Question, **settings: Any) -> list[ChatReply]:
        config = validate(EvaluationConfig, {"systems": [settings]})
        (system,) = make_systems(config)
        made = [Question(question_id=q, question=q) if isinstance(q, str) else q for q in questions]
        replies: dict[int, ChatReply] = {}
        assert system.caller is not None
        engine.check_caller(system.caller)
        engine.submit(
            [system.request(question, ()) for question in made], system.model, replies.__setitem__, label="answers"
        ).result(WAIT_S)
        return [replies[position] for position in range(len(made))]

    return all_replies
