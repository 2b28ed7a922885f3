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
    def make(document_id: str, title: str = "", text: str = "", course: str = "ml", section: str = "") -> Document:
        return Document(
            document_id=document_id,
            title=title,
            text=text,
            metadata={"course": course, "section": section},
            content_hash=f"{title}|{text}|{course}|{section}",
        )

    return make
