"""What tests of several adapters share: small documents, and a request engine in front of the fake model server."""

from collections.abc import Callable, Iterator

import pytest

from rageval.records import Document
from tests.adapters.asking import Asker
from tests.fake_llm import FakeLLM

MakeDocument = Callable[..., Document]


@pytest.fixture
def ask(llm: FakeLLM) -> Iterator[Asker]:
    asker = Asker(llm)
    yield asker
    asker.engine.close()


@pytest.fixture
def make_document() -> MakeDocument:
    def make(document_id: str, question: str = "", text: str = "", course: str = "ml", section: str = "") -> Document:
        return Document(
            document_id=document_id,
            course=course,
            section=section,
            question=question,
            text=text,
            content_hash=f"{question}|{text}|{course}|{section}",
        )

    return make
