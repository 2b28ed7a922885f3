"""The values of a row, or of the rows of one answer, and what its columns hold -> one item."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, TypeVar

from rageval.config.columns import ItemField
from rageval.corpus.cells import (
    ID_SEPARATORS,
    any_number_in,
    id_in,
    ids_in,
    is_empty,
    number_in,
    said_in,
    text_in,
    texts_in,
    unfolded,
    whole_in,
    yes_or_no,
)
from rageval.corpus.columns import FileColumns, value_of
from rageval.corpus.items import RawContext, RawItem
from rageval.corpus.passages import (
    context_ids_in,
    contexts_in,
    messages_in,
    relevant_in,
    right_texts_in,
    scores_in,
    with_ids_and_scores,
)
from rageval.corpus.row_values import as_text
from rageval.records import Message

MAX_TEXT_CHARS: Final = 1_000_000
_PLAIN: Final[Mapping[ItemField, Callable[[Any], Any]]] = {
    "question_id": id_in, "answerable": yes_or_no, "conversation": id_in, "turn": whole_in, "system": id_in,
    "repeat": whole_in, "answer": text_in, "error": text_in, "first_token_s": number_in, "prompt_tokens": whole_in,
    "completion_tokens": whole_in, "cost_usd": number_in, "finish_reason": id_in, "model": id_in,
}  # fmt: skip
"""How the fields are read that hold one value, and come from one column."""
_T = TypeVar("_T")


class _Cells:
    """The cells of one row by what they hold; an error names the column."""

    def __init__(self, values: Mapping[str, Any], columns: FileColumns) -> None:
        self._values = values
        self._columns = columns

    def get(self, field: ItemField) -> Any:
        column = self._columns.fields.get(field)
        return None if column is None else value_of(self._values, column)

    def column(self, field: ItemField) -> str:
        return self._columns.fields.get(field, field)

    def read(self, field: ItemField, read: Callable[[Any], _T]) -> _T:
        try:
            return read(self.get(field))
        except ValueError as error:
            raise ValueError(f"`{self._columns.fields[field]}` {error}") from None

    def read_parts(self, field: ItemField, read: Callable[[Any, Sequence[str]], _T], usual: Sequence[str] = ()) -> _T:
        """Read a cell that holds several, with what stands between them."""
        separators = self._columns.separators.get(field, tuple(usual))
        return self.read(field, lambda value: read(value, separators))


def item_of(rows: Sequence[Mapping[str, Any]], columns: FileColumns) -> RawItem:
    """Return what the rows of one answer say; there are several only where each holds one of its passages.

    Args:
        rows: Their values, at least one.
        columns: What the columns hold.

    Raises:
        ValueError: If a cell cannot be read; it names the column, what was expected and what was found.
    """
    cells = _Cells(_together(rows, columns), columns)
    plain: dict[str, Any] = {
        field: cells.read(field, read) for field, read in _PLAIN.items() if field in columns.fields
    }
    history, question, spoken = _asked(cells)
    if plain.get("answer") is None:
        plain["answer"] = spoken
    if plain["answer"] in columns.schema.absent:
        plain |= {"answer": None, "error": plain.get("error") or plain["answer"]}
    ids, grades = _relevant(cells)
    texts, text_grades = _relevant_texts(cells)
    item = RawItem(
        question=question,
        history=history,
        references=cells.read_parts("references", _texts),
        relevant_ids=ids,
        relevant_grades=grades,
        relevant_texts=texts,
        relevant_text_grades=text_grades,
        tags=_tags(cells, rows[0], columns.read),
        contexts=_passages(rows, columns) if "passage" in columns.fields else _contexts(cells),
        citations=cells.read_parts("citations", ids_in, ID_SEPARATORS),
        latency_s=_latency(cells),
        **plain,
    )
    _check(item)
    return item


def _together(rows: Sequence[Mapping[str, Any]], columns: FileColumns) -> Mapping[str, Any]:
    """Return the first value that one of the rows has in each column: an answer may stand in one of them alone."""
    if len(rows) == 1:
        return rows[0]
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: next((row[name] for row in rows if not is_empty(row.get(name))), None) for name in names}


def _asked(cells: _Cells) -> tuple[tuple[Message, ...], str | None, str | None]:
    """Return earlier turns, the question, and the answer where the question is a whole conversation."""
    history = cells.read("history", messages_in)
    asked = unfolded(cells.get("question"))
    turns = asked.get("messages") if isinstance(asked, Mapping) else asked
    is_conversation = isinstance(turns, (list, tuple)) and bool(turns) and all(isinstance(t, Mapping) for t in turns)
    if not is_conversation:
        return history, cells.read("question", said_in), None
    said = cells.read("question", messages_in)
    last = max((number for number, turn in enumerate(said) if turn["role"] == "user"), default=None)
    if last is None:
        raise ValueError("the conversation has no turn of the user, expected one to answer")
    spoken = "\n".join(turn["content"] for turn in said[last + 1 :])
    return (*history, *said[:last]), said[last]["content"], spoken or None


def _texts(value: Any, separators: Sequence[str]) -> tuple[str, ...]:
    if isinstance(value, str) and is_empty(value):
        return ()
    parts = texts_in(value, separators) if isinstance(value, (str, list, tuple)) else [value]
    parts = [said_in(value)] if parts == [value] else parts
    return tuple(text for part in parts or () if (text := text_in(part)) is not None)


def _relevant(cells: _Cells) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return right ids and their grades, which may have a column of their own."""
    ids, grades = cells.read_parts("relevant_ids", relevant_in, ID_SEPARATORS)
    return _right(ids, _grades(cells, "relevant_grades", len(ids)) or grades)


def _relevant_texts(cells: _Cells) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return right texts and their grades."""
    texts = cells.read_parts("relevant_texts", right_texts_in)
    return _right(texts, _grades(cells, "relevant_text_grades", len(texts)) or (1,) * len(texts))


def _right(names: Sequence[str], grades: Sequence[int]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return what has a grade of 1 or more, each once, and the grades."""
    right = {name: grade for name, grade in zip(names, grades, strict=True) if grade > 0}
    return tuple(right), tuple(right.values())


def _grades(cells: _Cells, field: ItemField, wanted: int) -> tuple[int, ...]:
    """Return the grades of so many right ids or texts; none where the row has none."""
    grades = cells.read_parts(field, scores_in, ID_SEPARATORS)
    whole = [int(grade) for grade in grades or () if grade is not None and grade >= 0 and grade == int(grade)]
    if grades and len(whole) != wanted:
        column = cells.column(field)
        raise ValueError(f"`{column}` holds {len(whole)} whole numbers of at least 0, expected {wanted}, one for each")
    return tuple(whole)


def _contexts(cells: _Cells) -> tuple[RawContext, ...] | None:
    contexts = cells.read_parts("contexts", contexts_in)
    ids = cells.read_parts("context_ids", context_ids_in, ID_SEPARATORS)
    scores = cells.read_parts("context_scores", scores_in, ID_SEPARATORS)
    return with_ids_and_scores(contexts, ids, scores)


def _passages(rows: Sequence[Mapping[str, Any]], columns: FileColumns) -> tuple[RawContext, ...]:
    """Return the passages of an answer, one a row; its number in the answer, such as `[2]`, is no id of a document."""
    found = []
    for row in rows:
        cells = _Cells(row, columns)
        name = cells.read("passage_id", id_in)
        text = cells.read("passage", text_in)
        if text is not None and text not in columns.schema.absent:
            is_number = name is not None and name.startswith("[")
            found.append(
                RawContext(id=None if is_number else name, text=text, score=cells.read("passage_score", any_number_in))
            )
    return tuple(found)


def _latency(cells: _Cells) -> float | None:
    seconds, milliseconds = cells.read("latency_s", number_in), cells.read("latency_ms", number_in)
    return seconds if seconds is not None or milliseconds is None else milliseconds / 1000


def _tags(cells: _Cells, values: Mapping[str, Any], read: Collection[str]) -> dict[str, str]:
    """Return as text what the row has beside what is read, and what its metadata hold."""
    metadata = unfolded(cells.get("metadata"))
    inner = metadata if isinstance(metadata, Mapping) else {"metadata": metadata}
    others = {name: value for name, value in values.items() if name and name not in read}
    return {str(name): text for name, value in {**inner, **others}.items() if (text := as_text(value))}


def _check(item: RawItem) -> None:
    if item.question is None and item.question_id is None:
        raise ValueError("has neither a question nor the id of one")
    contexts = (context.text for context in item.contexts or ())
    for text in filter(None, (item.question, item.answer, *item.references, *item.relevant_texts, *contexts)):
        if (length := len(text)) > MAX_TEXT_CHARS:
            raise ValueError(f"has a text of {length:,} characters, at most {MAX_TEXT_CHARS:,} are allowed: split it")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError("holds half a character (a lone surrogate), which no file can hold") from None
