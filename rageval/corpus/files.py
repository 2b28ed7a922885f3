"""Paths or URLs of documents and ground truth -> the corpus of a run, checked as a whole."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rageval.config.evaluation import DataConfig
from rageval.corpus.beir import is_beir, read_beir
from rageval.corpus.checks import check_documents, check_questions, document_columns, question_columns
from rageval.corpus.columns import known_names
from rageval.corpus.item_files import first_columns
from rageval.corpus.messages import files_apart, raise_problems
from rageval.corpus.opening import whole_file
from rageval.corpus.questions import questions_of, read_questions_of
from rageval.corpus.row_values import with_plain_ids, with_plain_metadata
from rageval.corpus.rows import RowFile, parse_rows
from rageval.corpus.sampling import select_questions
from rageval.corpus.versions import LATEST
from rageval.errors import DataError
from rageval.records import Document, Question

_ahead: "dict[DataConfig, Corpus]" = {}


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """What a run works on."""

    documents: tuple[Document, ...]
    """All documents, whatever questions are asked: the index always holds every one."""
    questions: tuple[Question, ...]
    """The questions that `only` and the sample choose, in the file's order."""
    available: int
    """Questions in the ground truth before that."""
    notes: tuple[str, ...]
    """One sentence on everything that was merged or ignored."""


def load_ahead(config: DataConfig) -> Corpus:
    """Do now what `load_corpus` of the same settings does next, which then need not read the files again.

    So whoever starts a run tells what is wrong with its data before anything else is started.

    Raises:
        DataError, ConfigError: See `load_corpus`.
    """
    _ahead.clear()
    corpus = load_corpus(config)
    _ahead[config] = corpus
    return corpus


def load_corpus(config: DataConfig) -> Corpus:
    """Read, check, filter and sample what the configuration names.

    Raises:
        DataError: If a file cannot be read, a row is bad (all of them are listed together), or no question has the
            value of `only`.
        ConfigError: If no document has that value, or the sample is larger than the set.
    """
    if ahead := _ahead.pop(config, None):
        return ahead
    if not config.documents or config.columns or not _is_of_rows(config):
        return _of_items(config)
    filter_by = config.filter_by
    documents = check_documents(read_all_columns(config.documents, document_columns(filter_by)), filter_by)
    rows = read_all_columns(config.ground_truth, question_columns(filter_by))
    is_newest = config.ground_truth.startswith(LATEST)
    version = (f"the newest version of the ground truth is {rows.name}",) if is_newest else ()
    truth = check_questions(rows, documents.known, filter_by)
    if not documents.known:  # no id could be read, which is not the questions' fault
        raise_problems(documents.problems)
    apart = files_apart(rows, documents.known)
    raise_problems([*documents.problems, *([apart] if apart else truth.problems)])
    questions = select_questions(
        truth.questions,
        (document.filter_value(filter_by) for document in documents.documents),
        filter_by=filter_by,
        only=config.only,
        sample=config.sample,
        seed=config.seed,
        first=truth.from_users,
    )
    return Corpus(
        documents=documents.documents,
        questions=questions,
        available=len(truth.questions),
        notes=(*version, *documents.notes, *truth.notes),
    )


def _is_of_rows(config: DataConfig) -> bool:
    """Return whether each row of the questions names one document, as in a FAQ with its ground truth."""
    if is_beir(config.ground_truth):
        return False
    try:
        columns = first_columns(config.ground_truth)
    except DataError:
        return True  # which is told where it is read
    return set(question_columns("")) <= set(columns) or ("question" not in columns and not _is_of_others(columns))


def _is_of_others(columns: Collection[str]) -> bool:
    return bool(known_names() & set(columns))


def _of_items(config: DataConfig) -> Corpus:
    """Return the corpus of files that others have written."""
    filter_by = config.filter_by
    documents: tuple[Document, ...] = ()
    notes: list[str] = []
    if is_beir(config.ground_truth):
        folder = read_beir(config.ground_truth)
        documents, notes = folder.documents, [*folder.notes]
        found = questions_of(folder.items, {document.document_id: document for document in documents}, filter_by)
    else:
        if config.documents:
            documents, noted = load_documents(config.documents, filter_by)
            notes += noted
        by_id = {document.document_id: document for document in documents}
        found = read_questions_of(config.ground_truth, config.columns, by_id, filter_by)
    questions = select_questions(
        found.questions,
        (value.filter_value(filter_by) for value in documents)
        if documents
        else (question.filter_value for question in found.questions),
        filter_by=filter_by,
        only=config.only,
        sample=config.sample,
        seed=config.seed,
    )
    return Corpus(
        documents=documents,
        questions=questions,
        available=len(found.questions),
        notes=(*notes, *found.notes),
    )


def load_documents(path: str, filter_by: str = "") -> tuple[tuple[Document, ...], tuple[str, ...]]:
    """Read and check the documents alone, as the index needs them.

    Args:
        path: Path or URL of the documents.
        filter_by: The column that restricts the search, which every document then needs; empty without one.

    Returns:
        The documents, and one note on everything that was merged or ignored.

    Raises:
        DataError: If the file cannot be read or a row is bad (all of them are listed together).
    """
    checked = check_documents(read_all_columns(path, document_columns(filter_by)), filter_by)
    raise_problems(checked.problems)
    return checked.documents, checked.notes


def read_all_columns(path: str, columns: Sequence[str]) -> RowFile:
    """Return the rows of a file of documents or questions, with all their columns, whatever is wrong with them.

    Values are as they stand in the file, but for ids, and for what `with_plain_metadata` makes text.

    Args:
        path: Path or URL of the file.
        columns: The columns that are needed.

    Raises:
        DataError: If the file cannot be read as a whole.
    """
    return with_plain_metadata(read_rows(path, columns, optional=None))


def read_rows(path: str, columns: Sequence[str], optional: Sequence[str] | None = ()) -> RowFile:
    """Return the rows of a file as they stand in it, whatever is wrong with them, but for ids.

    Args:
        path: Path or URL of the file.
        columns: The columns that are needed, see `parse_rows`.
        optional: Columns that are read as well where they are there; None for all.

    Raises:
        DataError: If the file cannot be read as a whole.
    """
    data, name, suffix = whole_file(path)
    return with_plain_ids(parse_rows(data, name, columns, optional, suffix))
