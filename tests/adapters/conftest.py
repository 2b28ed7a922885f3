"""Small documents for the tests of the search indexes."""

from collections.abc import Callable

import pytest

from rageval.records import Document

MakeDocument = Callable[..., Document]


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
