"""The files of an embedded index: whole or not at all, for many processes, of any size and in several languages."""

import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from rageval.embedding.embedding_model import Matrix
from rageval.errors import IndexMismatchError
from rageval.records import Document
from rageval.search.embedded_index import EmbeddedIndex
from rageval.search.search_index import IndexIdentity
from rageval.search.text_rules import TextQuery

MakeDocument = Callable[..., Document]
COMMON = """
import os, signal, sys
from pathlib import Path
import numpy as np
from rageval.records import Document
from rageval.search import embedded_build
from rageval.search.embedded_index import EmbeddedIndex
from rageval.search.search_index import IndexIdentity
from rageval.search.text_rules import TextQuery
index = EmbeddedIndex(Path(sys.argv[1]), "faq", TextQuery())
"""
KILLED = """
embedded_build.write_vectors = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
identity = IndexIdentity(fingerprint="b" * 32, embedding_model="m@1", dimensions=2, documents=1)
index.build([Document(document_id="new", text="docker", content_hash="")], np.ones((1, 2), np.float32), identity)
"""
READER = """
for _ in range(300):
    [text] = index.search_text(["docker"], [""], 5)
    [vector] = index.search_vector(np.ones((1, 2), np.float32), [""], 5)
    assert len(text.hits) == len(vector.hits) == 3, (text, vector)
"""


def build(index: EmbeddedIndex, documents: Sequence[Document], vectors: Matrix, fingerprint: str = "a" * 32) -> None:
    index.build(documents, vectors, identity_of(vectors, fingerprint))


def identity_of(vectors: Matrix, fingerprint: str = "a" * 32) -> IndexIdentity:
    return IndexIdentity(
        fingerprint=fingerprint, embedding_model="m@1", dimensions=vectors.shape[1], documents=vectors.shape[0]
    )


def run(code: str, folder: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", COMMON + code, str(folder)])


def test_a_build_that_is_killed_leaves_the_old_one_and_the_next_removes_what_it_has_left(
    tmp_path: Path, make_document: MakeDocument
) -> None:
    index, vectors = EmbeddedIndex(tmp_path, "faq", TextQuery()), np.ones((1, 2), np.float32)
    build(index, [make_document("old", "docker")], vectors)
    assert run(KILLED, tmp_path).wait() == -signal.SIGKILL
    assert len(list((tmp_path / "faq").glob("build-*"))) == 2
    assert index.identity() == identity_of(vectors)
    assert index.search_text(["docker"], [""], 5)[0].hits[0].document_id == "old"
    build(index, [make_document("newer", "docker")], vectors, "c" * 32)
    assert len(list((tmp_path / "faq").glob("build-*"))) == 1


def test_processes_that_search_while_another_builds_see_whole_builds_alone(
    tmp_path: Path, make_document: MakeDocument
) -> None:
    index, vectors = EmbeddedIndex(tmp_path, "faq", TextQuery()), np.ones((3, 2), np.float32)
    build(index, [make_document(f"d{n}", "docker") for n in range(3)], vectors)
    readers = [run(READER, tmp_path) for _ in range(2)]
    builds = 0
    while any(reader.poll() is None for reader in readers):
        builds += 1
        build(index, [make_document(f"d{builds}-{n}", "docker") for n in range(3)], vectors, f"{builds:032}")
    assert [reader.wait() for reader in readers] == [0, 0]
    assert builds > 1


@pytest.mark.parametrize("how", ["changed", "cut", "gone"])
def test_an_index_with_any_file_damaged_counts_as_none(tmp_path: Path, make_document: MakeDocument, how: str) -> None:
    index, vectors = EmbeddedIndex(tmp_path, "faq", TextQuery(), "course"), np.ones((2, 2), np.float32)
    documents = [make_document("a", "docker", course="ml"), make_document("b", "docker", course="de")]
    build(index, documents, vectors)
    described = [name for name in files_of(tmp_path) if not Path(name).name.startswith((".", "build.lock"))]
    assert len(described) > 6
    for name in described:
        path = tmp_path / name
        stored = path.read_bytes()
        if how == "gone":
            path.unlink()
        else:
            path.write_bytes(stored[:-1] + (bytes([stored[-1] ^ 1]) if how == "changed" else b""))
        assert index.identity() is None, name
        path.write_bytes(stored)
    assert index.identity() == identity_of(vectors)


def files_of(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]


def test_a_search_in_a_damaged_index_says_what_to_do(tmp_path: Path, make_document: MakeDocument) -> None:
    index = EmbeddedIndex(tmp_path, "faq", TextQuery())
    build(index, [make_document("a", "docker")], np.ones((1, 2), np.float32))
    next(tmp_path.rglob("meta.json")).write_text("{")
    with pytest.raises(IndexMismatchError, match=r"faq is damaged.*rageval index --rebuild"):
        index.search_text(["docker"], [""], 5)


def test_the_nearest_are_exact_however_many_blocks_they_lie_in(
    tmp_path: Path, make_document: MakeDocument, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rageval.search.embedded_vectors._BLOCK", 7)
    monkeypatch.setattr("rageval.search.embedded_vectors._BATCH", 3)
    monkeypatch.setattr("rageval.search.embedded_vectors._MORE", 1)
    # Coordinates of -1, 0 and 1 in three dimensions: 26 directions for 200 documents, so many cosines are equal.
    random = np.random.default_rng(0)
    vectors = random.integers(-1, 2, (200, 3)).astype(np.float32)
    vectors[~vectors.any(axis=1)] = 1
    names = random.permutation(200)
    courses = [f"c{n % 4}" for n in range(200)]
    documents = [make_document(f"d{names[n]:03}", course=courses[n]) for n in range(200)]
    index = EmbeddedIndex(tmp_path, "faq", TextQuery(), "course")
    build(index, documents, vectors)
    queries = random.integers(-1, 2, (20, 3)).astype(np.float32) + np.float32(0.25)
    filters = ["" if n % 2 else f"c{n % 4}" for n in range(20)]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for query, only, found in zip(queries, filters, index.search_vector(queries, filters, 9), strict=True):
        cosines = np.round(unit @ query / np.linalg.norm(query), 5)
        ranked = sorted((-cosines[n], documents[n].document_id) for n in range(200) if not only or courses[n] == only)
        assert [hit.document_id for hit in found.hits] == [name for _, name in ranked[:9]]


def test_the_language_is_recognised_and_its_stop_words_and_stems_count(
    tmp_path: Path, make_document: MakeDocument
) -> None:
    documents = [
        make_document("fristen", "Welche Fristen gelten?", "Die Frist beträgt zwei Wochen und beginnt mit dem Kurs."),
        make_document("kosten", "Was kostet der Kurs?", "Er ist für alle frei, die sich bis zum Beginn anmelden."),
    ]
    vectors = np.ones((2, 2), np.float32)
    for language, found in (("auto", [["fristen"], []]), ("none", [[], ["fristen", "kosten"]])):
        index = EmbeddedIndex(tmp_path, language, TextQuery(), "", language)
        build(index, documents, vectors)
        # `fristet` has the stem of `Frist`.
        results = index.search_text(["fristet", "der die mit"], ["", ""], 5)
        assert [sorted(hit.document_id for hit in one.hits) for one in results] == found


def test_a_field_that_no_document_has_changes_nothing(tmp_path: Path) -> None:
    def found(documents: list[Document]) -> list[str]:
        index = EmbeddedIndex(tmp_path, "faq", TextQuery(combination="best", title=3))
        build(index, documents, np.ones((len(documents), 2), np.float32))
        return [hit.document_id for hit in index.search_text(["docker compose"], [""], 5)[0].hits]

    plain = [
        Document(document_id="a", text="docker", content_hash=""),
        Document(document_id="b", text="docker compose", content_hash=""),
    ]
    assert found(plain) == ["b", "a"]
    assert found([*plain, Document(document_id="c", text="other", title="docker", content_hash="")])[0] == "c"
