"""What users and judges found bad -> questions of the ground truth, once a person has named the right documents."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from rageval.config.evaluation import DataConfig, EvaluationConfig
from rageval.config.systems import RetrieverConfig
from rageval.corpus.checks import check_questions, question_columns
from rageval.corpus.files import load_documents, read_all_columns
from rageval.corpus.messages import raise_problems
from rageval.corpus.rows import Row, RowFile
from rageval.corpus.version_files import read_versions, versions_file, write_version
from rageval.corpus.versions import (
    LATEST,
    SOURCE_COLUMN,
    Version,
    new_rows,
    one_line,
    repeated,
    source_of,
    to_csv,
    with_metadata,
)
from rageval.embedding.embedder import load_embedder
from rageval.errors import ConfigError, DataError
from rageval.monitoring.records import Conversation
from rageval.monitoring.store import conversations
from rageval.monitoring.store.database import Database
from rageval.monitoring.store.recorder import DEFAULT_SPOOL
from rageval.monitoring.store.reviews import Review, find_conversation, read_review, write_review
from rageval.monitoring.store.spool import forget_records
from rageval.records import Document, Question
from rageval.search.backends import open_index, settled
from rageval.search.building import cache_of, index_corpus
from rageval.search.retrieval import retrieve
from rageval.search.text_rules import text_query
from rageval.storage.leases import exclusive
from rageval.storage.places import Place, place
from rageval.text.fingerprint import question_id

_FOUND = 5


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A document that may be the right one."""

    document: Document
    was_shown: bool
    """Whether the model was shown it; otherwise a search has found it."""


@dataclass(frozen=True, kw_only=True)
class AcceptedQuestion:
    """A question that has become a part of the ground truth."""

    question: str
    document_ids: tuple[str, ...]
    file: str
    """The version that it was written to."""
    version: Version


@dataclass(frozen=True, kw_only=True)
class DeletionResult:
    """What is left of a conversation that was deleted."""

    conversation_id: str
    was_stored: bool
    """Whether it was in the database."""
    waiting: int
    """Records about it that were removed from the spool."""
    versions: tuple[str, ...]
    """Files of the ground truth in which its question stands."""


def find_candidates(conversation: Conversation, config: EvaluationConfig) -> list[Candidate]:
    """Return the documents that the model was shown, and others that text and vector search find together.

    The index is built if it is not there.

    Raises:
        InputError: If documents, index or search engine cannot be used.
    """
    documents = {
        document.document_id: document for document in load_documents(config.data.documents, config.data.filter_by)[0]
    }
    shown = [context.document_id for context in conversation.contexts if context.document_id in documents]
    found = [name for name in _search(conversation, config) if name not in shown]
    return [
        *(Candidate(document=documents[name], was_shown=True) for name in shown),
        *(Candidate(document=documents[name], was_shown=False) for name in found if name in documents),
    ]


def accept(
    database: Database,
    conversation_id: str,
    document_ids: Sequence[str],
    data: DataConfig,
    *,
    question: str | None = None,
    folder: str = "",
) -> AcceptedQuestion:
    """Write a new version of the ground truth with the question of a conversation, and note it as reviewed.

    Args:
        database: Where the conversation is.
        conversation_id: Which one, by its id or the first eight characters of it or more.
        document_ids: The right documents, at least one, best first.
        data: Documents, and the ground truth whose newest version the new one goes on from.
        question: What is to be asked, if not what the user has written.
        folder: Where the versions are; empty for RAGEVAL_GROUND_TRUTH_DIR, or else the folder of the ground truth.

    Raises:
        DataError: If there is no such conversation, it is accepted already, a document is not there or of another
            value of `data.filter_by`, or the question stands with it already.
        ConfigError: If no document is named.
        RunStoppedError: If the version cannot be written.
    """
    if not document_ids:
        raise ConfigError("name the right document, or several, with --document")
    documents = {document.document_id: document for document in load_documents(data.documents, data.filter_by)[0]}
    file = versions_file(data.ground_truth, folder)
    with exclusive(file):
        conversation = not_accepted(database, conversation_id)
        name = conversation.conversation_id
        _check_documents(conversation, document_ids, documents, data.filter_by)
        text = one_line(conversation.question if question is None else question)
        rows = new_rows(text, document_ids, source_of(name))
        version, path = _noted(file, name, rows) or _write(file, data, rows, documents)
        review = Review(
            conversation_id=name, decision="accepted", question=text, document_ids=tuple(document_ids),
            ground_truth=path, reviewed_at=datetime.now(UTC),
        )  # fmt: skip
        write_review(database, review)
    return AcceptedQuestion(question=text, document_ids=tuple(document_ids), file=path, version=version)


def not_accepted(database: Database, conversation_id: str) -> Conversation:
    """Return a conversation that may still be accepted or dismissed.

    Raises:
        DataError: If there is no such conversation, or it is accepted already.
    """
    conversation = find_conversation(database, conversation_id)
    review = read_review(database, conversation.conversation_id)
    if review and review.decision == "accepted":
        raise DataError(f"conversation {conversation_id} is accepted already: its question is in {review.ground_truth}")
    return conversation


def dismiss(database: Database, conversation_id: str) -> None:
    """Note a conversation as reviewed: nothing follows from it.

    Raises:
        DataError: If there is no such conversation, or it is accepted already.
    """
    name = not_accepted(database, conversation_id).conversation_id
    write_review(database, Review(conversation_id=name, decision="dismissed", reviewed_at=datetime.now(UTC)))


def forget(
    database: Database, conversation_id: str, ground_truth: str, folder: str = "", *, spool: str = DEFAULT_SPOOL
) -> DeletionResult:
    """Delete a conversation with everything about it, for good, and say where its question still stands.

    Args:
        database: Where it is.
        conversation_id: Which one, by its id or the first eight characters of it or more. One that is in no database
            yet, but on its way there, by its whole id.
        ground_truth: The ground truth whose versions are looked through, beside that which it was accepted into.
        folder: Where the versions are; empty for RAGEVAL_GROUND_TRUTH_DIR, or else the folder of the ground truth.
        spool: Folder in which records wait for the database on this machine.

    Raises:
        DataError: If there is no such conversation, and it is no whole id.
        OSError: If a file of the spool cannot be changed; the database has forgotten it then.
    """
    conversation_id = _whole_id(conversation_id) or find_conversation(database, conversation_id).conversation_id
    review = read_review(database, conversation_id)
    was_stored = conversations.forget(database, conversation_id)
    waiting = forget_records(spool, conversation_id)  # after it, for what is refused meanwhile
    files = {versions_file(ground_truth, folder)}
    if review and review.ground_truth:
        files.add(versions_file(review.ground_truth, str(place(review.ground_truth).parent)))
    paths = [file.parent / version.file for file in sorted(files, key=str) for version in read_versions(file)]
    source = source_of(conversation_id)
    stands = [str(path) for path in paths if path.exists() and source in path.read_text(encoding="utf-8")]
    return DeletionResult(
        conversation_id=conversation_id, was_stored=was_stored, waiting=waiting, versions=tuple(stands)
    )  # fmt: skip


def _whole_id(text: str) -> str | None:
    try:
        id_ = str(UUID(text))
    except ValueError:
        return None
    return id_ if id_ == text.lower() else None


def _search(conversation: Conversation, config: EvaluationConfig) -> list[str]:
    config = settled(config)
    index_corpus(config, rebuild=False)
    retriever = RetrieverConfig(name="hybrid", method="hybrid")
    index = open_index(config.index, text_query(retriever), cache_of(config), config.data)
    only = conversation.filter_value if config.data.filter_by else ""
    question = Question(question_id="", question=conversation.question, filter_value=only)
    depth = config.retrieval.model_copy(update={"top_k": _FOUND, "cutoffs": ()})
    try:
        embedder = load_embedder(config.index.embedding_model, config.index.batch_size, cache_of(config))
        (found,) = retrieve(index, embedder, [question], [retriever], depth)[retriever.name]
    finally:
        index.close()
    return list(found.document_ids)


def _check_documents(
    conversation: Conversation, document_ids: Sequence[str], documents: dict[str, Document], filter_by: str
) -> None:  # fmt: skip
    for name in document_ids:
        document = documents.get(name)
        if document is None:
            raise DataError(f"there is no document {name[:80]!r}; --document takes an id of the documents")
        if filter_by and conversation.filter_value not in ("", value := document.filter_value(filter_by)):
            raise DataError(
                f"document {name} belongs to {value}, but the question was asked about "
                f"{conversation.filter_value}; name documents of that {filter_by}"
            )
    if len(set(document_ids)) < len(document_ids):
        raise DataError("a document is named twice; name each once")


def _noted(file: Place, conversation_id: str, rows: Sequence[Row]) -> tuple[Version, str] | None:
    """Return the version that has these rows already, from a call that ended before the review was stored."""
    wanted = tuple(_question_id(row) for row in rows)
    for version in read_versions(file):
        if version.source == source_of(conversation_id) and version.question_ids == wanted:
            return version, str(file.parent / version.file)
    return None


def _write(file: Place, data: DataConfig, rows: Sequence[Row], documents: dict[str, Document]) -> tuple[Version, str]:
    versions = read_versions(file)
    parent = str(file.parent / versions[-1].file) if versions else data.ground_truth.removeprefix(LATEST)
    before = read_all_columns(parent, question_columns(data.filter_by))
    raise_problems(check_questions(before, documents, data.filter_by).problems)
    if again := repeated(before.rows, rows):
        names = ", ".join(str(row.values["document"]) for row in again)
        raise DataError(
            f"{parent} has this question with {names} already; name other documents, or dismiss the conversation"
        )
    rows = [with_metadata(row, documents[row.values["document"]], before.columns) for row in rows]
    after = RowFile(name=parent, columns=(*before.columns, SOURCE_COLUMN), rows=[*before.rows, *rows])
    raise_problems(check_questions(after, documents, data.filter_by).problems)
    return write_version(
        file, parent, to_csv(before, rows), len(after.rows), source=str(rows[0].values[SOURCE_COLUMN]),
        question_ids=[_question_id(row) for row in rows],
    )  # fmt: skip


def _question_id(row: Row) -> str:
    values = row.values
    return question_id(str(values["question"]), str(values["document"]))
