"""Hashes that tell whether two things are the same thing: documents, questions, requests, indexes."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from rageval.records import Document, Question


def digest(*parts: str) -> str:
    """Return 32 hex digits that depend on each part and on where one ends and the next begins."""
    return _digest(parts)


def _digest(parts: Iterable[str]) -> str:
    hasher = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        hasher.update(len(data).to_bytes(8, "big"))
        hasher.update(data)
    return hasher.hexdigest()[:32]


def draw(*parts: str) -> float:
    """Return a number in [0, 1) that is drawn by the parts: evenly spread, and the same whenever it is drawn again."""
    return int(digest(*parts)[:13], 16) / 16**13  # 52 bits, so that it is exact


def question_id(question: str, document_id: str) -> str:
    """Return the id of a ground-truth row: the same row has the same id in every run."""
    return digest(question, document_id)[:16]


def request_fingerprint(messages: Sequence[Mapping[str, str]], model: str, parameters: Mapping[str, Any]) -> str:
    """Return the identity of a request: the rendered messages, the model and its parameters.

    The endpoint and the key are left out: the same model answers behind either.
    """
    body = {"messages": list(messages), "model": model, "parameters": dict(parameters)}
    return digest(orjson.dumps(body, option=orjson.OPT_SORT_KEYS).decode())


def documents_fingerprint(documents: Iterable[Document]) -> str:
    """Return the identity of a set of documents, whatever their order."""
    return digest(*sorted(f"{d.document_id}:{d.content_hash}" for d in documents))


def questions_fingerprint(questions: Iterable[Question], documents: Iterable[Document] = ()) -> str:
    """Return the identity of a list of questions, in their order, with what is known to be right of each.

    Grades count only where they are not 1, and references only where they are not the text of the question's document,
    which the documents' own identity covers.

    Args:
        questions: All of them.
        documents: Those of the run.
    """
    return _digest(_known_of(questions, {document.document_id: document.text for document in documents}))


def _known_of(questions: Iterable[Question], texts: Mapping[str, str]) -> Iterator[str]:
    for question in questions:
        yield question.question_id
        if set(question.relevant_grades) - {1}:
            yield f"{question.question_id}:{','.join(map(str, question.relevant_grades))}"
        known = {
            "references": () if question.references == (texts.get(question.made_from),) else question.references,
            "relevant": question.relevant_ids[1:],
            "texts": question.relevant_texts,
            "answerable": question.answerable,
            "history": question.history,
        }
        if any(value not in ((), None) for value in known.values()):
            yield digest(orjson.dumps(known).decode())


def index_fingerprint(documents: str, embedding: str, options: Mapping[str, Any]) -> str:
    """Return the identity of an index: its documents, the embedding model's identity, its options."""
    return digest(documents, embedding, orjson.dumps(dict(options), option=orjson.OPT_SORT_KEYS).decode())
