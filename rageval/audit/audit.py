"""Files of documents and ground truth -> findings, their table and page, and a cleaned copy of the files."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from rageval.audit import answerability, coverage, duplicates, leakage, unusable
from rageval.audit.ambiguity import several_documents
from rageval.audit.findings import Finding, located, ordered
from rageval.audit.fixes import fix
from rageval.audit.neighbours import closeness
from rageval.audit.page import AuditData, render_audit
from rageval.config.evaluation import EvaluationConfig
from rageval.corpus.checks import check_documents, check_questions, document_columns, question_columns
from rageval.corpus.files import read_all_columns
from rageval.corpus.rows import RowFile
from rageval.corpus.sampling import check_only
from rageval.embedding.embedder import Embedder, load_embedder
from rageval.embedding.embedding_model import Matrix
from rageval.errors import ConfigError
from rageval.records import Document, Question
from rageval.search.building import embedded_text, too_long_documents
from rageval.storage.files import replacing, write_parquet
from rageval.storage.places import Place, place
from rageval.tables import AUDIT
from rageval.text.fingerprint import digest

TABLE, PAGE = "audit.parquet", "audit.html"
MOST_EMBEDDED = 20_000
"""Of more documents, or of more questions, a sample of this size is embedded."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What was looked at, and what was found."""

    documents: RowFile
    ground_truth: RowFile
    only: str
    """The filter value that was looked at; empty for all."""
    document_count: int
    question_count: int
    findings: tuple[Finding, ...]
    """Gravest first."""
    near_threshold: float


def audit(
    config: EvaluationConfig,
    *,
    near_threshold: float = duplicates.NEAR_THRESHOLD,
    most_embedded: int = MOST_EMBEDDED,
) -> Audit:
    """Look at every row of documents and ground truth; only the embedding model is asked.

    What would stop a run is looked for in all rows, everything else among those
    with the filter value `data.only`, or in all.

    Args:
        config: Names the files, the filter, the embedding model, and the output folder whose cache is used.
        near_threshold: Cosine from which two documents count as nearly the same.
        most_embedded: Of more documents, or of more questions, a sample of this size is embedded.

    Raises:
        DataError: If a file cannot be read at all, or lacks a column.
        ConfigError: If no document has the filter value, or the embedding model cannot be loaded.
    """
    filter_by, only = config.data.filter_by, config.data.only
    documents = read_all_columns(config.data.documents, document_columns(filter_by))
    truth = read_all_columns(config.data.ground_truth, question_columns(filter_by))
    checked = check_documents(documents, filter_by)
    questions = check_questions(truth, checked.known, filter_by)
    of_rows = [
        *unusable.repeated_ids(documents, filter_by),
        *unusable.repeated_rows(truth, filter_by),
        *unusable.bad_questions(truth, checked.known, filter_by),
    ]
    of_rows += unusable.other_problems([*checked.problems, *questions.problems], of_rows)
    check_only((document.filter_value(filter_by) for document in checked.documents), filter_by, only)
    chosen = [document for document in checked.documents if only in ("", document.filter_value(filter_by))]
    ids = {document.document_id for document in chosen}
    asked = [question for question in questions.questions if question.made_from in ids]
    of_rows = [found for found in of_rows if found.severity == "error" or only in ("", found.filter_value)]
    findings = [
        *of_rows,
        *_of_texts(chosen, asked, filter_by),
        *_of_vectors(config, chosen, asked, near_threshold, most_embedded),
    ]
    places = (unusable.document_places(documents), unusable.question_places(truth))
    return Audit(
        documents=documents,
        ground_truth=truth,
        only=only,
        document_count=len(chosen),
        question_count=len(asked),
        findings=ordered(located(findings, *places)),
        near_threshold=near_threshold,
    )


def write_audit(found: Audit, folder: Place) -> Place:
    """Write the table and the page, and return the page's path.

    Raises:
        RunStoppedError: If the folder cannot be written.
    """
    rows = [asdict(finding) for finding in found.findings]
    write_parquet(folder / TABLE, [pa.Table.from_pylist(rows, schema=AUDIT)], AUDIT)
    page = render_audit(
        AuditData(
            documents_name=found.documents.name,
            ground_truth_name=found.ground_truth.name,
            only=found.only,
            documents=found.document_count,
            questions=found.question_count,
            findings=found.findings,
        )
    )
    with replacing(folder / PAGE) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return folder / PAGE


def write_fixed(found: Audit, folder: Path) -> tuple[str, ...]:
    """Write a cleaned copy of both files, and return a sentence for each thing that was done; see `fix`.

    Raises:
        ConfigError: If the folder holds one of the files that were read.
        RunStoppedError: If the folder cannot be written.
    """
    fixed = fix(found.documents, found.ground_truth)
    folder.mkdir(parents=True, exist_ok=True)
    targets: tuple[tuple[Path, Sequence[Mapping[str, Any]]], ...] = (
        (folder / "documents.jsonl", fixed.documents),
        (folder / "ground-truth.jsonl", fixed.questions),
    )
    inputs = {Path(file.name).resolve() for file in (found.documents, found.ground_truth) if "://" not in file.name}
    for path, _ in targets:
        if path.resolve() in inputs:
            raise ConfigError(f"--fix {folder} would overwrite its own input {path}; give another folder")
    for path, rows in targets:
        with replacing(path) as temporary:
            temporary.write_bytes(b"".join(orjson.dumps(row, default=str) + b"\n" for row in rows))
    return fixed.done


def _of_texts(documents: Sequence[Document], questions: Sequence[Question], filter_by: str) -> Iterator[Finding]:
    yield from duplicates.same_documents(documents, filter_by)
    yield from duplicates.same_texts(documents, filter_by)
    yield from duplicates.same_titles(documents, filter_by)
    yield from answerability.placeholder_questions(questions)
    yield from answerability.poor_references(documents, questions, filter_by)
    yield from leakage.copied_questions(questions, {document.document_id: document for document in documents})
    yield from coverage.uneven_coverage(documents, questions, filter_by)


def _of_vectors(
    config: EvaluationConfig,
    documents: Sequence[Document],
    questions: Sequence[Question],
    threshold: float,
    most: int,
) -> Iterator[Finding]:
    if not documents:
        return
    filter_by = config.data.filter_by
    embedded = _sample(documents, [document.document_id for document in documents], most)
    cache = place(config.run.output) / ".cache"
    embedder = load_embedder(config.index.embedding_model, config.index.batch_size, cache)
    yield from _long(documents, embedder, filter_by)
    vectors = embedder.embed_documents([embedded_text(document) for document in embedded]).vectors
    by_id = {document.document_id: vector for document, vector in zip(embedded, vectors, strict=True)}
    yield from duplicates.near_duplicates(embedded, vectors, threshold, filter_by)
    yield from several_documents(questions, {d.document_id: d for d in documents}, by_id, threshold)
    with_vectors = [question for question in questions if question.made_from in by_id]
    compared = _sample(with_vectors, [question.question_id for question in with_vectors], most)
    if len(embedded) < len(documents) or len(compared) < len(questions):
        yield Finding(
            kind="sampled", severity="note", filter_value=None, measure=float(len(embedded)),
            what=f"Near-duplicates were looked for among {len(embedded)} of {len(documents)} documents, far questions "
            f"among {len(compared)} of {len(questions)}; a rank counts only the documents looked at.",
            fix="Audit one filter value after the other (--only) to look at all.",
        )  # fmt: skip
    query_vectors = embedder.embed_queries([question.question for question in compared])
    yield from _far(compared, query_vectors, embedded, vectors, filter_by)


def _long(documents: Sequence[Document], embedder: Embedder, filter_by: str) -> Iterator[Finding]:
    """Yield the documents of which the embedding model reads only the beginning."""
    tokens = too_long_documents(documents, embedder)
    for document in documents:
        if document.document_id in tokens:
            n = tokens[document.document_id]
            yield Finding(
                kind="long_document", severity="warning", filter_value=document.filter_value(filter_by) or None,
                measure=float(n), document_ids=(document.document_id,),
                what=f"Title and text are {n} tokens long; the embedding model reads {embedder.longest}.",
                fix="Split it, shorten it, or name a model that reads more in index.embedding_model.",
            )  # fmt: skip


def _far(
    questions: Sequence[Question], query_vectors: Matrix, documents: Sequence[Document], vectors: Matrix, filter_by: str
) -> Iterator[Finding]:
    """Yield the far questions of every filter value."""
    rows: defaultdict[str, list[int]] = defaultdict(list)
    for position, document in enumerate(documents):
        rows[document.filter_value(filter_by)].append(position)
    asked: defaultdict[str, list[int]] = defaultdict(list)
    for position, question in enumerate(questions):
        asked[question.filter_value].append(position)
    for value, positions in asked.items():
        searched = [documents[row] for row in rows[value]]
        place = {document.document_id: number for number, document in enumerate(searched)}
        mine = [questions[position] for position in positions]
        own = [[place[key] for key in q.relevant(accept_alternates=True) if key in place] for q in mine]
        close = closeness(query_vectors[positions], vectors[rows[value]], own)
        yield from answerability.far_questions(mine, searched, close)


def _sample(records: Sequence[Any], keys: Sequence[str], most: int) -> Sequence[Any]:
    """Return all records, or the `most` of them that a hash of their keys draws, in their order."""
    if len(records) <= most:
        return records
    drawn = set(sorted(keys, key=digest)[:most])
    return [record for record, key in zip(records, keys, strict=True) if key in drawn]
