"""Files of TREC and folders of BEIR -> questions, what is right for them, what was retrieved, documents."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rageval.corpus.beir import read_beir
from rageval.corpus.items import RawContext, RawItem
from rageval.corpus.trec import read_qrels, read_trec_run
from rageval.errors import DataError


def test_a_run_is_sorted_as_trec_eval_sorts_it(tmp_path: Path) -> None:
    # By score, whatever the rank says. 0.30000001 and 0.3 are one number in single precision, and ids break the tie:
    # b before a. -0 and 0 tie, too: d before c.
    path = tmp_path / "results.test"
    path.write_text(
        "301 Q0 a 1 0.30000001 bm25\n301\tQ0\tb\t3\t 0.3 bm25\n301 Q0 c 2 -0 bm25\n301 Q0 d 9 0 bm25\n\n"
        "301 Q0 e 4 2.5 bm25\n302 Q0 a 1 -1e300 bm25\n301 Q0 a 1 7 dense\n"
    )
    assert [
        (item.system, item.question_id, [c.id for c in item.contexts or ()]) for item in read_trec_run(str(path))
    ] == [
        ("bm25", "301", ["e", "b", "a", "d", "c"]),
        ("bm25", "302", ["a"]),
        ("dense", "301", ["a"]),
    ]
    assert read_trec_run(str(path))[2].contexts == (RawContext(id="a", score=7.0),)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("qrels.test", "301 0 d1 2\n301 0 d2 0\n301 0 d3 -1\n302 0 d4 0\n301 0 d1 2\n"),
        ("test.tsv", "query-id\tcorpus-id\tscore\n301\td1\t2\n301\td2\t0\n302\td4\t0\n"),
    ],
)
def test_qrels_are_those_of_trec_or_of_beir(tmp_path: Path, name: str, text: str) -> None:
    for path, content in ((tmp_path / name, text.encode()), (tmp_path / f"{name}.gz", gzip.compress(text.encode()))):
        path.write_bytes(content)
        assert read_qrels(str(path)) == (
            RawItem(question_id="301", relevant_ids=("d1",), relevant_grades=(2,)),
            RawItem(question_id="302"),
        )


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (read_qrels, "301 0 d1 high\n", "line 1: expected question 0 document grade, found 301 0 d1 high"),
        (read_qrels, "301 0 d1 1\n301 0 d1 2\n", "line 2: document d1 has another grade for question 301 further up"),
        (read_qrels, "301 d1\n", "line 1: expected question 0 document grade, found 301 d1"),
        (read_qrels, " \n", "the file is empty; expected lines of TREC"),
        (
            read_trec_run,
            "301 Q0 d1 1 nan x\n",
            "line 1: expected question Q0 document rank score system, found 301 Q0 d1",
        ),
        (read_trec_run, "301 Q0 d1 1 2\n", "line 1: expected question Q0 document rank score system, found 301 Q0 d1"),
        (
            read_trec_run,
            "301 Q0 d 1 2 x\n301 Q0 d 2 1 x\n",
            "line 2: document d stands twice in the results of question",
        ),
    ],
)
def test_a_line_of_another_form_is_named(tmp_path: Path, read: Callable[[str], Any], text: str, message: str) -> None:
    path = tmp_path / "run.trec"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read(str(path))


CORPUS = [
    {"_id": "d1", "title": "Fees", "text": "The plan pays.", "metadata": {"url": "u1"}},
    {"_id": "d2", "title": "A title alone", "text": "", "metadata": {}},
    {"_id": "d3", "title": "", "text": ""},
]
QUERIES = [{"_id": "q1", "text": "Who pays?", "metadata": {"topic": "fees"}}, {"_id": "q2", "text": "Who else?"}]


def write_beir(folder: Path, qrels: str = "q1\td1\t2\nq1\tgone\t1\nq9\td1\t1\n", split: str = "test") -> str:
    (folder / "qrels").mkdir(exist_ok=True)
    (folder / "corpus.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, CORPUS)).encode()))
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, QUERIES)))
    (folder / "qrels" / f"{split}.tsv").write_text(f"query-id\tcorpus-id\tscore\n{qrels}")
    return str(folder)


def test_a_beir_folder_is_documents_and_the_questions_that_are_judged(tmp_path: Path) -> None:
    read = read_beir(write_beir(tmp_path))
    assert [(doc.document_id, doc.title, doc.text, doc.metadata) for doc in read.documents] == [
        ("d1", "Fees", "The plan pays.", {"url": "u1"}),
        ("d2", "A title alone", "A title alone", {}),
    ]
    assert read.items == (
        RawItem(
            question_id="q1", question="Who pays?", relevant_ids=("d1",), relevant_grades=(2,), tags={"topic": "fees"}
        ),
    )
    assert read.notes == (
        "1 document without text and title left out: d3",
        "1 relevant document of the qrels not in the corpus: gone",
        "1 question of the qrels not among the queries: q9",
        "1 question without qrels left out",
    )


def test_of_several_qrels_the_test_is_taken_unless_another_is_named(tmp_path: Path) -> None:
    write_beir(tmp_path, "q2\td2\t1\n", split="train")
    folder = write_beir(tmp_path)
    assert [item.question_id for item in read_beir(folder).items] == ["q1"]
    assert [item.question_id for item in read_beir(folder, split="train").items] == ["q2"]
    with pytest.raises(DataError, match=r"qrels/valid.tsv: there is no such file"):
        read_beir(folder, split="valid")


def test_a_folder_that_is_none_of_beir_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"corpus.jsonl: there is no such file"):
        read_beir(str(tmp_path))
    folder = write_beir(tmp_path, "q1\tgone\t1\n")
    with pytest.raises(DataError, match="no question has a relevant document; give corpus, queries and qrels of one"):
        read_beir(folder)
