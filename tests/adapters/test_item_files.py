"""Files of questions and recorded answers in the shapes that people have -> items."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rageval.config.columns import ColumnConfig
from rageval.corpus import item_files
from rageval.corpus.columns import known_names
from rageval.corpus.item_files import read_items
from rageval.corpus.items import ItemBatch, RawContext, RawItem
from rageval.errors import ConfigError, DataError

Rows = list[dict[str, Any]]


def as_csv(rows: Rows, delimiter: str = ",", nested: Callable[[Any], str] = json.dumps) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(
        {name: nested(value) if isinstance(value, (list, dict)) else value for name, value in row.items()}
        for row in rows
    )
    return file.getvalue().encode()


def as_parquet(rows: Rows) -> bytes:
    sink = pa.BufferOutputStream()
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    pq.write_table(pa.table(columns), sink, row_group_size=2)
    return sink.getvalue().to_pybytes()


def as_workbook(rows: Rows) -> bytes:
    """Write them into the second sheet, below an empty row; the first one is empty."""
    book, file = openpyxl.Workbook(), io.BytesIO()
    sheet = book.create_sheet("answers")
    names = list(dict.fromkeys(name for row in rows for name in row))
    for line in ([], names, *([row.get(name) for name in names] for row in rows)):
        sheet.append([json.dumps(value) if isinstance(value, (list, dict)) else value for value in line])
    book.save(file)
    return file.getvalue()


WRITERS: dict[str, Callable[[Rows], bytes]] = {
    "csv": as_csv,
    "tsv": partial(as_csv, delimiter="\t"),
    "json": lambda rows: json.dumps({"results": rows, "metrics": {}}).encode(),
    "jsonl": lambda rows: "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode(),
    "parquet": as_parquet,
    "xlsx": as_workbook,
    "jsonl.gz": lambda rows: gzip.compress("\n".join(map(json.dumps, rows)).encode()),
}


@pytest.fixture
def batches(tmp_path: Path) -> Callable[..., list[ItemBatch]]:
    """Writes a file, from rows or from raw bytes, and reads it."""

    def read(content: Rows | bytes, suffix: str = "jsonl", *columns: ColumnConfig, **options: Any) -> list[ItemBatch]:
        path = tmp_path / f"answers.{suffix}"
        path.write_bytes(content if isinstance(content, bytes) else WRITERS[suffix](content))
        return list(read_items(str(path), columns, **options))

    return read


@pytest.fixture
def items(batches) -> Callable[..., list[RawItem]]:
    """Writes and reads a file, of which every row can be read."""

    def read(*given: Any, **options: Any) -> list[RawItem]:
        found = batches(*given, **options)
        assert [problem for batch in found for problem in batch.problems] == []
        return [item for batch in found for item in batch.items]

    return read


Q, A, R = "Who pays?", "The plan, mostly.", "The plan pays."
TEXTS = ["The plan pays, after the deductible.", 'See "costs"; it\'s on page 4.']
CONTEXTS = tuple(RawContext(text=text) for text in TEXTS)
WITH_IDS = tuple(RawContext(id=f"d{number}", text=text) for number, text in enumerate(TEXTS))

# Whose shape it is, its rows, and what they say.
SHAPES: list[tuple[str, Rows, RawItem]] = [
    (
        "ragas",
        [{"user_input": Q, "response": A, "reference": R, "retrieved_contexts": TEXTS,
          "retrieved_context_ids": ["d0", "d1"], "reference_context_ids": ["d1"], "reference_contexts": TEXTS[:1]}],
        RawItem(question=Q, answer=A, references=(R,), contexts=WITH_IDS, relevant_ids=("d1",), relevant_grades=(1,),
                relevant_texts=(TEXTS[0],), relevant_text_grades=(1,)),
    ),
    (
        "ragas",
        [{"user_input": [{"type": "human", "content": "Hello"}, {"type": "ai", "content": "Hi."},
                         {"type": "tool", "content": "{}"}, {"type": "human", "content": Q},
                         {"type": "ai", "content": A}],
          "reference": R}],
        RawItem(question=Q, answer=A, references=(R,),
                history=({"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi."})),
    ),
    (
        "DeepEval",
        [{"input": Q, "actual_output": A, "expected_output": R, "retrieval_context": TEXTS, "context": TEXTS[:1],
          "completion_time": 1.5, "token_cost": 0.002, "additional_metadata": {"source": "handbook"}}],
        RawItem(question=Q, answer=A, references=(R,), contexts=CONTEXTS, relevant_texts=(TEXTS[0],),
                relevant_text_grades=(1,), latency_s=1.5, cost_usd=0.002, tags={"source": "handbook"}),
    ),
    (
        "Azure AI evaluation",
        [{"query": Q, "response": A, "ground_truth": R, "context": f"a.pdf#page=4:  {TEXTS[0]}\n\nb.pdf: {TEXTS[1]}"}],
        RawItem(question=Q, answer=A, references=(R,),
                contexts=(RawContext(id="a.pdf#page=4", text=TEXTS[0]), RawContext(id="b.pdf", text=TEXTS[1]))),
    ),
    (
        "ai-rag-chat-evaluator",
        [{"question": Q, "truth": R, "answer": A, "context": f"a.pdf: {TEXTS[0]}\nb.pdf: {TEXTS[1]}", "latency": 3.3,
          "gpt_relevance": 5}],
        RawItem(question=Q, answer=A, references=(R,), latency_s=3.3, tags={"gpt_relevance": "5"},
                contexts=(RawContext(id="a.pdf", text=TEXTS[0]), RawContext(id="b.pdf", text=TEXTS[1]))),
    ),
    (
        "RAGChecker",
        [{"query_id": 7, "query": Q, "gt_answer": R, "response": A,
          "retrieved_context": [{"doc_id": f"d{number}", "text": text} for number, text in enumerate(TEXTS)]}],
        RawItem(question_id="7", question=Q, answer=A, references=(R,), contexts=WITH_IDS),
    ),
    (
        "open-rag-eval",
        [{"query_id": "q", "query": Q, "query_run": 2, "passage_id": f"[{number}]", "passage": text,
          "generated_answer": answer} for number, text, answer in ((1, TEXTS[0], A), (2, TEXTS[1], ""))],
        RawItem(question_id="q", question=Q, answer=A, repeat=2, contexts=CONTEXTS),
    ),
    (
        "Langfuse",
        [{"id": "i", "input": {"question": Q}, "expectedOutput": R, "metadata": {"topic": "cost", "level": 2}}],
        RawItem(question_id="i", question=Q, references=(R,), tags={"topic": "cost", "level": "2"}),
    ),
    (
        "Giskard",
        [{"id": "g", "question": Q, "reference_answer": R, "metadata": {"question_type": "simple"},
          "reference_context": f"Document 3: {TEXTS[0]}\n\nDocument 12: {TEXTS[1]}",
          "conversation_history": [{"role": "user", "content": "Hello"}]}],
        RawItem(question_id="g", question=Q, references=(R,), relevant_texts=tuple(TEXTS),
                relevant_text_grades=(1, 1), tags={"question_type": "simple"},
                history=({"role": "user", "content": "Hello"},)),
    ),
    (
        "AutoRAG",
        [{"qid": "a", "query": Q, "retrieval_gt": [["d1", "d2"], ["d3"]], "generation_gt": [R, A]}],
        RawItem(question_id="a", question=Q, references=(R, A), relevant_ids=("d1", "d2", "d3"),
                relevant_grades=(1, 1, 1)),
    ),
    (
        "rageval",
        [{"question_id": "1", "question": Q, "references": [R, A], "relevant_ids": ["d1", "d2"],
          "relevant_grades": [2, 1], "answerable": False, "conversation_id": "c", "turn": 2, "system": "mine",
          "repeat": 1, "answer": A, "contexts": [{"id": "d0", "text": TEXTS[0], "score": -0.5}], "citations": ["d0"],
          "latency_ms": 1500, "first_token_s": 0.1, "prompt_tokens": 10, "completion_tokens": 5, "cost_usd": 0,
          "finish_reason": "stop", "model": "m", "topic": "cost"}],
        RawItem(question_id="1", question=Q, references=(R, A), relevant_ids=("d1", "d2"), relevant_grades=(2, 1),
                answerable=False, conversation="c", turn=2, system="mine", repeat=1, answer=A,
                contexts=(RawContext(id="d0", text=TEXTS[0], score=-0.5),), citations=("d0",), latency_s=1.5,
                first_token_s=0.1, prompt_tokens=10, completion_tokens=5, cost_usd=0, finish_reason="stop", model="m",
                tags={"topic": "cost"}),
    ),
]  # fmt: skip


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize(("schema", "rows", "item"), SHAPES, ids=[shape[0] for shape in SHAPES])
def test_the_files_that_people_have_say_the_same_in_every_format(batches, schema, rows, item, suffix):
    (batch,) = batches(rows, suffix)
    assert batch.problems == ()
    assert batch.items == (item,)
    assert f"read as a file of {schema}" in batch.note


@pytest.mark.parametrize("nested", [json.dumps, repr])
def test_lists_in_cells_are_those_of_json_or_of_python(items, nested):
    texts = ["It's 5\" wide", 'a\n"b"', "née 医療"]
    row = {"user_input": Q, "retrieved_contexts": texts, "retrieved_context_ids": ["d0", "d1", "d2"]}
    (item,) = items(as_csv([row], nested=nested), "csv")
    assert item.contexts == tuple(RawContext(id=f"d{number}", text=text) for number, text in enumerate(texts))


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
filled = texts.filter(lambda text: text.strip())
numbers = st.floats(0, 1e6)
wholes = st.integers(0, 10**6)
names = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)
relevant = st.dictionaries(names, st.integers(1, 5), max_size=3)
ITEMS = st.builds(
    lambda relevant_ids, relevant_texts, **fields: RawItem(
        relevant_ids=tuple(relevant_ids), relevant_grades=tuple(relevant_ids.values()),
        relevant_texts=tuple(relevant_texts), relevant_text_grades=tuple(relevant_texts.values()), **fields,
    ),
    relevant_ids=relevant,
    relevant_texts=st.dictionaries(filled, st.integers(1, 5), max_size=2),
    question_id=st.none() | names,
    question=filled,
    references=st.lists(filled, min_size=1, max_size=3).map(tuple),
    history=st.lists(filled, max_size=2).map(lambda turns: tuple({"role": "user", "content": text} for text in turns)),
    answerable=st.none() | st.booleans(),
    conversation=st.none() | names,
    turn=st.none() | wholes,
    tags=st.dictionaries(st.sampled_from(["topic", "level"]), names),
    system=st.none() | names,
    repeat=st.none() | wholes,
    answer=st.none() | filled,
    error=st.none() | filled,
    contexts=st.none() | st.lists(st.builds(RawContext, id=names, text=filled, score=numbers), max_size=3).map(tuple),
    citations=st.none() | st.lists(names, max_size=2).map(tuple),
    latency_s=st.none() | numbers,
    first_token_s=st.none() | numbers,
    prompt_tokens=st.none() | wholes,
    completion_tokens=st.none() | wholes,
    cost_usd=st.none() | numbers,
    finish_reason=st.none() | names,
    model=st.none() | names,
)  # fmt: skip


def as_row(item: RawItem) -> dict[str, Any]:
    """Return an item as a row of our own columns, its tags as columns of their own."""
    row = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(item).items()}
    return {**{name: value for name, value in row.items() if name != "tags"}, **item.tags}


@given(given=st.lists(ITEMS, min_size=1, max_size=4))
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_in_our_own_columns_is_what_is_read(items, given):
    for suffix in WRITERS.keys() - {"xlsx"}:  # Excel has no control characters
        assert items([as_row(item) for item in given], suffix) == given, suffix


def test_the_users_mapping_goes_before_what_is_recognised(items, batches):
    rows = [{"question": "internal number 7", "output": {"text": A}, "ask": Q, "gold": f"{R} | {A}"}]
    mapping = [
        ColumnConfig(name="question", column="ask"),
        ColumnConfig(name="answer", column="output.text"),
        ColumnConfig(name="references", column="gold", separator="|"),
    ]
    (item,) = items(rows, "jsonl", *mapping)
    assert item == RawItem(question=Q, answer=A, references=(R, A), tags={"question": "internal number 7"})
    with pytest.raises(ConfigError, match=r"there is no column aks, .* the file has question, output, ask, gold: name"):
        batches(rows, "jsonl", ColumnConfig(name="question", column="aks"))


def test_a_file_that_lacks_what_is_needed_says_how_to_map_it(batches):
    with pytest.raises(DataError) as caught:
        batches([{"frage": Q, "antwort": A}])
    message = str(caught.value)
    assert "expected a column with question or question_id" in message
    assert "found frage, antwort: rename it, or say which it is in `columns`" in message
    assert "{name: question, column: frage}" in message
    with pytest.raises(DataError, match="expected a column with answer or contexts"):
        batches([{"question": Q}], "jsonl", needs=[["answer", "contexts"]])


def test_a_row_that_cannot_be_read_is_a_problem_and_the_others_are_kept(batches):
    good = {"question": Q, "answer": A}
    lines = [good, {"question": Q, "latency": "fast"}, {"answer": A}, {"question": Q, "contexts": [{"score": 1}]}]
    content = "\n".join([*map(json.dumps, lines), "{", "[1]", json.dumps(good)]).encode()
    (batch,) = batches(content)
    assert len(batch.items) == 2
    assert batch.places == ("line 1", "line 7")
    assert [problem.partition(".jsonl, ")[2] for problem in batch.problems] == [
        "line 2: `latency` is fast, expected a number",
        "line 3: has neither a question nor the id of one",
        "line 4: `contexts` has a passage with the keys score, expected text or id",
        "line 5: not valid JSON at column 1: unexpected end of data",
        "line 6: expected an object {...}, found list",
    ]


def test_an_array_of_numpy_in_a_cell_is_its_texts(items):
    # As pandas writes a column of Parquet into CSV: no comma between the texts, which Python would join.
    cell = str(np.array(["It's here.", 'He said "no".\n', "c"], dtype=object))
    (item,) = items(as_csv([{"question": Q, "contexts": cell}]), "csv")
    assert [context.text for context in item.contexts] == ["It's here.", 'He said "no".\n', "c"]


def test_texts_are_cut_only_where_somebody_says_so(items):
    row = {"question": Q, "reference": "Yes; see [1], page 2.", "document": "d1|d2", "contexts": "One; two | three"}
    (item,) = items(as_csv([row]), "csv")
    assert (item.references, item.relevant_ids) == (("Yes; see [1], page 2.",), ("d1", "d2"))
    assert item.contexts == (RawContext(text="One; two | three"),)
    (item,) = items(as_csv([row]), "csv", ColumnConfig(name="contexts", column="contexts", separator=";"))
    assert item.contexts == (RawContext(text="One"), RawContext(text="two | three"))
    # DeepEval writes its lists so.
    (item,) = items(as_csv([{"input": Q, "actual_output": A, "retrieval_context": "One; two|three"}]), "csv")
    assert item.contexts == (RawContext(text="One; two"), RawContext(text="three"))


@pytest.mark.parametrize(
    ("text", "separator", "contexts"),
    [
        ("a.pdf#page=4: x\n\nb.pdf: y", "", [("a.pdf#page=4", "x"), ("b.pdf", "y")]),
        ("My Handbook.docx: x\nhttps://h.example/p: y", "", [("My Handbook.docx", "x"), ("https://h.example/p", "y")]),
        ("a.pdf: x || b.pdf: y\nz", " || ", [("a.pdf", "x"), ("b.pdf", "y\nz")]),
        ("a.pdf: x\nno source", "", [("a.pdf", "x\nno source")]),
        ("Node.js: a runtime", "", [(None, "Node.js: a runtime")]),
        ("Section 3.5: fees", "", [(None, "Section 3.5: fees")]),
    ],
)
def test_a_source_before_a_passage_is_its_id(items, text, separator, contexts):
    row = {"query": Q, "response": A, "context": text}
    (item,) = items([row], "jsonl", ColumnConfig(name="contexts", column="context", separator=separator))
    assert [(context.id, context.text) for context in item.contexts] == contexts


def test_ids_belong_to_contexts_by_their_place(items, batches):
    row = {"user_input": Q, "retrieved_contexts": ["a", "", "c", ""], "retrieved_context_ids": ["d1", "d2", None, None]}
    for suffix in ("jsonl", "csv", "parquet"):
        (item,) = items([row], suffix)
        assert item.contexts == (RawContext(id="d1", text="a"), RawContext(id="d2"), RawContext(text="c")), suffix
    (batch,) = batches([{**row, "retrieved_context_ids": ["d1"]}])
    assert "line 1: has 4 passages, but 1 ids or scores: give one for each passage" in batch.problems[0]


@pytest.mark.parametrize(
    ("value", "ids", "grades"),
    [
        (["d1", 7], ("d1", "7"), (1, 1)),
        ({"d1": 2, "d2": 0, "d3": 1}, ("d1", "d3"), (2, 1)),
        ([{"id": "d1", "grade": 3}, {"id": "d2"}], ("d1", "d2"), (3, 1)),
        ("d1", ("d1",), (1,)),
        ("d1, d2", ("d1", "d2"), (1, 1)),
        (7, ("7",), (1,)),
        (None, (), ()),
    ],
)
def test_relevant_documents_have_grades_however_they_are_written(items, value, ids, grades):
    for suffix in ("jsonl", "csv", "xlsx"):
        (item,) = items([{"question": Q, "relevant": value}], suffix)
        assert (item.relevant_ids, item.relevant_grades) == (ids, grades), suffix


def test_what_holds_neither_text_nor_number_is_no_tag_and_the_note_says_so(batches):
    (batch,) = batches([{"question": Q, "topic": "cost", "claims": [["a", "b"]], "empty": None}])
    assert batch.items[0].tags == {"topic": "cost"}
    assert batch.note.endswith("tags are topic; left out is what holds neither text nor number: claims, empty")


objects = st.sampled_from(["text", "id", "role", "score"])
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(objects, inner),
    max_leaves=5,
)
KNOWN = sorted(known_names() | {"topic"})


@given(rows=st.lists(st.dictionaries(st.sampled_from(KNOWN), anything, min_size=1, max_size=6), min_size=1, max_size=4))
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_row_holds_it_is_an_item_or_a_problem(batches, rows):
    rows = [{"query": Q}, *rows]  # of which at least this one has what is needed
    for suffix in ("jsonl", "csv"):
        found = batches(rows, suffix)
        if "passage" not in {name for row in rows for name in row}:
            assert sum(len(batch.items) + len(batch.problems) for batch in found) == len(rows)


def test_lists_within_lists_without_end_are_a_problem_of_their_row(batches):
    deep = "[" * 900 + '"d"' + "]" * 900
    (batch,) = batches(f'{{"question": "?", "relevant": {deep}}}\n{{"question": "?"}}'.encode())
    assert len(batch.items) == 1
    assert "line 1: holds lists within lists" in batch.problems[0]


def test_what_json_has_no_word_for_is_nothing(items):
    line = b'{"question": "NaN?", "latency": NaN, "cost_usd": -Infinity, "topic": NaN}'
    for content, suffix in ((line, "jsonl"), (b"[" + line + b"]", "json")):
        assert items(content, suffix) == [RawItem(question="NaN?")]


def test_contexts_that_were_not_recorded_differ_from_none_that_were_found(items):
    rows = [{"question": Q, "contexts": value} for value in (None, [], ["a"])]
    for suffix in ("jsonl", "parquet", "csv"):
        assert [item.contexts for item in items(rows, suffix)] == [None, (), (RawContext(text="a"),)], suffix


def test_rows_are_read_batch_by_batch_whatever_the_format(items, batches, monkeypatch):
    monkeypatch.setattr(item_files, "BATCH_ROWS", 3)
    rows = [{"question": f"q{number}", "answer": A} for number in range(8)]
    for suffix in ("csv", "jsonl", "parquet", "jsonl.gz"):
        assert [len(batch.items) for batch in batches(rows, suffix)] == [3, 3, 2]
        assert [item.question for item in items(rows, suffix)] == [row["question"] for row in rows]


def test_names_that_only_later_rows_have_are_recognised_too(batches, monkeypatch):
    monkeypatch.setattr(item_files, "BATCH_ROWS", 2)
    rows = [{"query": Q, "response": A}] * 3 + [{"query": Q, "error": "time-out", "question": "other", "topic": "cost"}]
    first, second = batches(rows)
    assert first.items == (RawItem(question=Q, answer=A),) * 2
    # What the first rows say of a field stays: the question is still that of `query`.
    assert second.items[1] == RawItem(question=Q, error="time-out", tags={"question": "other", "topic": "cost"})
    assert second.note == f"{first.note}; later rows have error"


def test_rows_of_one_answer_that_stand_apart_are_a_problem(batches):
    rows = [
        {"query_id": name, "query": Q, "query_run": 1, "passage_id": "[1]", "passage": "p", "generated_answer": A}
        for name in ("a", "b", "a")
    ]
    (batch,) = batches(rows, "csv")
    assert [item.question_id for item in batch.items] == ["a", "b"]
    assert "line 4: its answer has rows further up: sort the file" in batch.problems[0]
