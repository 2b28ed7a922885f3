"""A folder in the form of BEIR -> its documents, and its questions with the documents that are right for each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, Final

from rageval.config.columns import ColumnConfig
from rageval.corpus.checks import check_documents
from rageval.corpus.item_files import read_items
from rageval.corpus.items import RawItem
from rageval.corpus.messages import count, listed, raise_problems
from rageval.corpus.opening import opened
from rageval.corpus.row_stream import stream_rows
from rageval.corpus.row_values import as_text
from rageval.corpus.rows import Row, RowFile
from rageval.corpus.trec import read_qrels
from rageval.errors import DataError
from rageval.records import Document
from rageval.safety.allowances import check_file

_SPLITS: Final = ("test", "dev", "train")


@dataclass(frozen=True, kw_only=True)
class BeirFolder:
    """What a folder in the form of BEIR holds."""

    documents: tuple[Document, ...]
    items: tuple[RawItem, ...]
    """The questions that the qrels judge, each with its relevant documents and their grades."""
    notes: tuple[str, ...]
    """One sentence on everything that was left out."""


def is_beir(path: str) -> bool:
    """Return whether a path is a folder in the form of BEIR."""
    return "://" not in path and Path(path, "qrels").is_dir() and Path(_jsonl(path, "queries")).is_file()


def read_beir(folder: str, split: str = "") -> BeirFolder:
    """Return the documents and questions of `corpus.jsonl`, `queries.jsonl` and `qrels/*.tsv`.

    A document without a text has its title as text; one with neither is left out.

    Args:
        folder: Path or URL of the folder.
        split: Which qrels, such as `test`; empty for test, dev or train, the first of these that is there. A URL needs
            its name, unless it is `test`.

    Raises:
        DataError: If a file is missing or cannot be read, a row is bad, or no question has a relevant document.
        ConfigError: If a variable of the URL is not set, or the run may not read it.
    """
    folder = folder.rstrip("/")
    check_file(folder)
    documents, empty = _documents(_jsonl(folder, "corpus"))
    asked = {item.question_id: item for item in _items(_jsonl(folder, "queries"))}
    judged = read_qrels(f"{folder}/qrels/{split or _split(folder)}.tsv")
    known = {document.document_id for document in documents}
    items = tuple(_with_relevant(asked[item.question_id], item, known) for item in judged if item.question_id in asked)
    if not any(item.relevant_ids for item in items):
        raise DataError(
            f"{folder}: no question has a relevant document; give corpus, queries and qrels of one data set"
        )
    return BeirFolder(documents=documents, items=items, notes=tuple(_notes(judged, asked, known, empty)))


def _jsonl(folder: str, name: str) -> str:
    """Return where a file of the folder is, which may be compressed."""
    packed = f"{folder}/{name}.jsonl.gz"
    return packed if "://" not in folder and Path(packed).is_file() else f"{folder}/{name}.jsonl"


def _split(folder: str) -> str:
    if "://" in folder:
        return _SPLITS[0]
    names = sorted(path.stem for path in Path(folder, "qrels").glob("*.tsv"))
    if not names:
        raise DataError(f"{folder}/qrels: there are no qrels; expected files such as {folder}/qrels/test.tsv")
    found = next((name for name in _SPLITS if name in names), names[0] if len(names) == 1 else "")
    if not found:
        raise DataError(f"{folder}/qrels: there are {listed(names)}; say which of them is meant")
    return found


def _documents(path: str) -> tuple[tuple[Document, ...], list[str]]:
    """Return the documents of a corpus, and the ids of those without text and title."""
    problems: list[str] = []
    rows: list[Row] = []
    empty: list[str] = []
    with opened(path) as file:
        for row in stream_rows(file):
            if isinstance(row, str):
                problems.append(row)
                continue
            values = _plain(row.values)
            if values.get("text"):
                rows.append(Row(row.place, values))
            else:
                empty.append(str(values.get("id")))
    names = dict.fromkeys(chain.from_iterable(row.values for row in rows))
    checked = check_documents(RowFile(name=file.name, columns=tuple(names), rows=rows, problems=problems))
    raise_problems(checked.problems)
    return checked.documents, empty


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of BEIR under our names: `_id` is the id, and what stands in `metadata` has columns of its own."""
    metadata = values.get("metadata")
    inner = metadata if isinstance(metadata, Mapping) else {}
    others = {name: value for name, value in values.items() if name not in {"_id", "metadata", "text"}}
    title = others.get("title")
    text = values.get("text")
    if isinstance(text, str) and not text.strip():
        text = title
    found = {**{str(name): as_text(value) for name, value in inner.items()}, **others}
    return {"id": as_text(values.get("_id")), "text": text, **{name: value for name, value in found.items() if value}}


def _items(path: str) -> Iterator[RawItem]:
    problems: list[str] = []
    for batch in read_items(path, [ColumnConfig(name="question", column="text")]):
        problems.extend(batch.problems)
        yield from batch.items
    raise_problems(problems)


def _with_relevant(asked: RawItem, judged: RawItem, known: set[str]) -> RawItem:
    """Return a question with its relevant documents that are there."""
    pairs = zip(judged.relevant_ids, judged.relevant_grades, strict=True)
    there = {name: grade for name, grade in pairs if name in known}
    return replace(asked, relevant_ids=tuple(there), relevant_grades=tuple(there.values()))


def _notes(
    judged: tuple[RawItem, ...], asked: Mapping[str | None, RawItem], known: set[str], empty: list[str]
) -> Iterator[str]:
    unknown = [str(item.question_id) for item in judged if item.question_id not in asked]
    gone = sorted({name for item in judged for name in item.relevant_ids if name not in known})
    unjudged = len(asked) - (len(judged) - len(unknown))
    if empty:
        yield f"{count(len(empty), 'document')} without text and title left out: {listed(empty)}"
    if gone:
        yield f"{count(len(gone), 'relevant document')} of the qrels not in the corpus: {listed(gone)}"
    if unknown:
        yield f"{count(len(unknown), 'question')} of the qrels not among the queries: {listed(unknown)}"
    if unjudged:
        yield f"{count(unjudged, 'question')} without qrels left out"
