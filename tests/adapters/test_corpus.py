import csv
import gzip
import io
import json
import re
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rageval.config.evaluation import DataConfig
from rageval.corpus import opening
from rageval.corpus.files import load_ahead, load_corpus, load_documents
from rageval.corpus.rows import parse_rows
from rageval.errors import ConfigError, DataError
from tests.guarded_website import guarded_website

COLUMNS = ("id", "course", "section", "question", "text")
DOCUMENTS = [
    {"id": "d1", "course": "ml", "section": "", "question": "What?", "text": "NA"},
    {"id": "d2", "course": "ml", "section": "s", "question": 'Why, "so"?', "text": "null\n\u2028née 😀, ok"},
    {"id": "d3", "course": "de", "section": "s", "question": "None", "text": "Because."},
]
TRUTH = [
    {"question": "q1", "course": "ml", "document": "d1"},
    {"question": "q2", "course": "ml", "document": "d2"},
    {"question": "q3", "course": "de", "document": "d3"},
]
Rows = list[dict[str, Any]]


def as_csv(rows: Rows) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()


def as_parquet(rows: Rows) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue().to_pybytes()


WRITERS: dict[str, Callable[[Rows], bytes]] = {
    "json": lambda rows: json.dumps(rows).encode(),
    "jsonl": lambda rows: "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode(),
    "csv": as_csv,
    "parquet": as_parquet,
}


@pytest.fixture
def data(tmp_path: Path) -> Callable[..., DataConfig]:
    """Writes both files, each from rows or from raw bytes, and returns their configuration."""

    def write(
        documents: Rows | bytes = DOCUMENTS,
        truth: Rows | bytes = TRUTH,
        *,
        formats: tuple[str, str] = ("json", "csv"),
        **options: Any,
    ) -> DataConfig:
        paths = []
        for stem, content, suffix in zip(("documents", "truth"), (documents, truth), formats, strict=True):
            path = tmp_path / f"{stem}.{suffix}"
            path.write_bytes(content if isinstance(content, bytes) else WRITERS[suffix](content))
            paths.append(str(path))
        return DataConfig(documents=paths[0], ground_truth=paths[1], **options)

    return write


@pytest.fixture
def website(tmp_path: Path) -> Iterator[str]:
    """Serves the folder; `/export?type=T&name=N` is truth.csv as content type T, to be saved as N."""

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            address = urlsplit(self.path)
            if address.path != "/export":
                return super().do_GET()
            query = dict(parse_qsl(address.query))
            content = (tmp_path / query["file"]).read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", query["type"])
            if "name" in query:
                self.send_header("Content-Disposition", f"attachment; filename*=UTF-8''{query['name']}")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("truth_format", WRITERS)
@pytest.mark.parametrize("documents_format", WRITERS)
def test_every_pair_of_formats_gives_the_same_corpus(data, documents_format, truth_format):
    loaded = load_corpus(data(formats=(documents_format, truth_format)))
    assert [document.text for document in loaded.documents] == [row["text"] for row in DOCUMENTS]
    assert [question.made_from for question in loaded.questions] == ["d1", "d2", "d3"]
    assert loaded.available == 3
    assert loaded.notes == ()


# CSV cannot say "no field" apart from "empty field", and no format stores half of a surrogate pair.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(values=st.lists(st.lists(texts, min_size=5, max_size=5), min_size=1, max_size=5))
@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
def test_all_formats_give_the_same_rows_whatever_the_text(values):
    rows = [dict(zip(COLUMNS, value, strict=True)) for value in values]
    for suffix, write in WRITERS.items():
        parsed = parse_rows(write(rows), f"f.{suffix}", COLUMNS)
        assert [row.values for row in parsed.rows] == rows, suffix
        assert parsed.problems == []


def test_filter_and_sample_come_from_the_configuration(data):
    assert [q.made_from for q in load_corpus(data(filter_by="course", only="de")).questions] == ["d3"]
    loaded = load_corpus(data(sample=2))
    assert len(loaded.questions) == 2
    assert len(loaded.documents) == 3


def test_the_problems_of_both_files_are_reported_together(data):
    bad = [*DOCUMENTS, {**DOCUMENTS[0], "text": "other"}]
    with pytest.raises(DataError) as caught:
        load_corpus(data(bad, [*TRUTH, {**TRUTH[0], "document": "nope"}]))
    message = str(caught.value)
    assert message.startswith("2 problems in the input; correct or remove these rows")
    assert "documents.json, index 3 (from 0): id d1 also stands at index 0 (from 0) with other content" in message
    assert "truth.csv, line 5: document nope is not an id in the documents" in message


def test_documents_alone_are_checked_and_noted_in_the_same_way(data):
    documents, notes = load_documents(data([*DOCUMENTS, DOCUMENTS[0]]).documents)
    assert len(documents) == 3
    assert notes == ("1 document stands twice with the same content and was merged: d1",)
    with pytest.raises(DataError, match=r"`text` is empty"):
        load_documents(data([{**DOCUMENTS[0], "text": " "}]).documents)


def test_the_lines_of_a_csv_with_a_byte_order_mark_and_quoted_line_breaks_are_those_of_an_editor(data):
    # Line 1 is the header; the first record fills lines 2 and 3, line 4 is blank, so the bad ones are 5 and 6.
    truth = b'\xef\xbb\xbfquestion,course,document\r\n"two\r\nlines",ml,d1\r\n\r\nq,ml\r\nq,ml,d1,x\r\n'
    with pytest.raises(DataError) as caught:
        load_corpus(data(truth=truth))
    assert "truth.csv, line 5: has 2 fields where the header has 3; a field that holds a comma" in str(caught.value)
    assert "truth.csv, line 6: has 4 fields where the header has 3" in str(caught.value)
    assert "line 2:" not in str(caught.value)


def test_a_csv_field_may_be_longer_than_the_csv_module_allows_by_default(data):
    long = "x" * 200_000
    loaded = load_corpus(data(truth=[{**TRUTH[0], "question": long}]))
    assert loaded.questions[0].question == long


@pytest.mark.parametrize(
    ("documents", "suffix", "message"),
    [
        (b"", "json", "documents.json: the file is empty; expected rows with id, text"),
        (b" \n", "csv", "documents.csv: the file is empty"),
        (b"[]", "json", "documents.json: the file holds no rows"),
        (b"id,course,section,question,text\n", "csv", "documents.csv: the file holds no rows"),
        (b"id;course;section;question;text\n1;2;3;4;5\n", "csv", "the separator of a CSV file is the comma"),
        (b"id,id\n1,2\n", "csv", "the header names id more than once; rename one"),
        (b'{"id": 1}', "json", "expected a list of objects"),
        (b'[\n{"id" 1}]', "json", "documents.json, line 2, column 7: not valid JSON"),
        (b'[\n"\xff"]', "json", "documents.json, line 2: byte 0xff is not valid UTF-8; save the file as UTF-8"),
        (b"PAR1 no, it is not", "parquet", "documents.parquet: cannot be read as Parquet"),
        (b"x", "xls", r"suffix .xls names no known format; expected one of .json, .jsonl, .ndjson, .csv, .tsv, .xlsx"),
        (b"x", "", r"suffix \(none\) names no known format"),
    ],
)
def test_a_file_that_cannot_be_read_says_why_and_what_to_do(data, documents, suffix, message):
    with pytest.raises(DataError, match=message):
        load_corpus(data(documents, formats=(suffix, "csv")))


def test_bad_lines_of_jsonl_are_collected(data):
    good = json.dumps(DOCUMENTS[0])
    with pytest.raises(DataError) as caught:
        load_documents(data(f'{good}\n\n{{"id": }}\n[1]\n'.encode(), formats=("jsonl", "csv")).documents)
    assert "documents.jsonl, line 3: not valid JSON at column 8" in str(caught.value)
    assert "documents.jsonl, line 4: expected an object {...}, found list" in str(caught.value)


def test_an_open_quote_in_a_csv_is_a_problem_of_the_line_where_it_opens(data):
    with pytest.raises(DataError, match=r"truth.csv, line 3: not valid CSV: .*; the lines after it could not be read"):
        load_corpus(data(truth=b'question,course,document\nq,ml,d1\n"q,ml,d1\nq,ml,d1\n'))


@pytest.mark.parametrize("suffix", ["parquet", "json", "jsonl"])
def test_whole_numbers_are_ids_and_filter_values_and_a_missing_section_is_none(data, suffix):
    documents = [{**DOCUMENTS[0], "id": 7, "course": 2024.0}, {**DOCUMENTS[1], "id": 8, "course": 2024.0}]
    documents[0]["section"] = None
    truth = [{"question": "q1", "course": 2024, "document": 7.0}, {"question": "q2", "course": 2024, "document": 8.0}]
    loaded = load_corpus(data(documents, truth, formats=(suffix, suffix), filter_by="course"))
    assert [(d.document_id, d.metadata) for d in loaded.documents] == [
        ("7", {"course": "2024"}), ("8", {"course": "2024", "section": "s"}),
    ]  # fmt: skip
    assert [question.made_from for question in loaded.questions] == ["7", "8"]


@pytest.mark.parametrize("value", [True, 7.5, 2.0**60, float("inf"), b"d1"])
def test_what_is_no_id_is_a_problem_with_a_remedy_for_its_format(data, value):
    rows = [{**DOCUMENTS[0], "id": value}]
    with pytest.raises(DataError, match=r"`id` is \w+, expected text: store the column as text \(found"):
        load_documents(data(rows, formats=("parquet", "csv")).documents)


def test_questions_are_not_blamed_where_no_id_of_a_document_can_be_read(data):
    rows = [{**row, "id": row["id"].encode()} for row in DOCUMENTS]
    with pytest.raises(DataError) as caught:
        load_corpus(data(rows, formats=("parquet", "csv")))
    assert str(caught.value).count("\n") == 1
    assert "(found b'd1'); the same in 2 more rows: index 1 (from 0), index 2 (from 0)" in str(caught.value)


def test_not_a_number_is_a_missing_id(data):
    rows = [{**DOCUMENTS[0], "id": 7.0}, {**DOCUMENTS[1], "id": float("nan")}]
    with pytest.raises(DataError, match=r"index 1 \(from 0\): `id` is null"):
        load_documents(data(rows, formats=("parquet", "csv")).documents)


def test_names_that_differ_in_what_nobody_sees_are_the_same(data):
    # Composed and decomposed; no-break, thin, zero-width spaces, a soft hyphen, a mark of byte order, spaces around.
    written = {
        "Caf\u00e9": "Cafe\u0301",
        "data\u00a0eng": "data\u2009eng",
        "x": "\u200bx\ufeff",
        "so\u00adft": " soft ",
    }
    documents = [{**DOCUMENTS[0], "id": f"{name} ", "course": name} for name in written]
    truth = [{"question": "q", "course": other, "document": other} for other in written.values()]
    loaded = load_corpus(data(documents, truth, filter_by="course"))
    assert [question.made_from for question in loaded.questions] == ["Caf\u00e9", "data eng", "x", "soft"]
    one = load_corpus(data(documents, truth, filter_by="course", only="Cafe\u0301"))
    assert [question.made_from for question in one.questions] == ["Caf\u00e9"]


@pytest.mark.parametrize("suffix", WRITERS)
def test_names_of_columns_are_read_whatever_surrounds_them(data, suffix):
    rows = [{f" {column}\u200b": value for column, value in row.items()} for row in DOCUMENTS]
    assert len(load_documents(data(rows, formats=(suffix, "csv")).documents)[0]) == 3
    with pytest.raises(DataError, match=r"names id more than once"):
        load_documents(data([{**DOCUMENTS[0], "id ": "x"}], formats=(suffix, "csv")).documents)


def test_files_that_do_not_belong_together_are_one_problem(data):
    truth = [{**row, "document": f"other-{row['document']}"} for row in TRUTH]
    with pytest.raises(DataError) as caught:
        load_corpus(data(truth=truth))
    assert str(caught.value).count("\n") == 1
    assert "none of its 3 rows names an id of the documents: they name other-d1, ..., the documents are d1" in str(
        caught.value
    )


@pytest.mark.parametrize("suffix", WRITERS)
def test_every_other_column_is_read_from_every_format(data, suffix):
    documents = [{"id": f"d{n}", "text": "t", "author": "a", "page": n} for n in (1, 2, 3)]
    truth = [{"question": "q", "document": "d1", "level": "hard"}]
    loaded = load_corpus(data(documents, truth, formats=(suffix, suffix)))
    assert [document.metadata for document in loaded.documents] == [
        {"author": "a", "page": str(n)} for n in (1, 2, 3)
    ]  # fmt: skip
    assert loaded.questions[0].tags == {"level": "hard"}
    assert loaded.notes == ()


def test_nested_columns_of_parquet_are_not_even_read(data):
    rows = [{"id": "d1", "text": "t", "vector": [0.5] * 3, "raw": b"x"}]
    documents, notes = load_documents(data(rows, formats=("parquet", "csv")).documents)
    assert documents[0].metadata == {}
    assert notes[0].endswith("documents.parquet: columns without a text or a number are left out: vector, raw")


def test_a_missing_file_names_the_folder_that_its_path_starts_from():
    with pytest.raises(DataError, match=r"no/such.json: there is no such file; check the path .*start at /"):
        load_documents("no/such.json")


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(DataError, match=r"folder.json: cannot be read"):
        load_documents(str(tmp_path / "folder.json"))


def test_a_file_above_the_limit_is_refused(data, monkeypatch):
    monkeypatch.setattr(opening, "MAX_FILE_BYTES", 10)
    with pytest.raises(DataError, match=r"larger than 10 bytes, the most that is read: split it"):
        load_corpus(data())


def test_a_url_is_read_like_a_file(data, website):
    data()
    config = DataConfig(documents=f"{website}/documents.json?version=1", ground_truth=f"{website}/truth.csv")
    assert len(load_corpus(config).questions) == 3


@pytest.mark.parametrize(
    ("suffix", "reply"),
    [
        ("csv", "type=text/csv;%20charset=utf-8"),
        ("json", "type=application/json"),
        ("jsonl", "type=application/x-ndjson"),
        ("parquet", "type=application/vnd.apache.parquet"),
        ("csv", "type=application/octet-stream&name=questions%20of%20today.csv"),
        ("csv.gz", "type=application/gzip&name=questions.csv.gz"),
    ],
)
def test_an_address_without_a_suffix_is_read_by_what_the_server_calls_it(data, website, suffix, reply):
    writer = WRITERS.get(suffix, lambda rows: gzip.compress(as_csv(rows)))
    documents = data(truth=writer(TRUTH), formats=("json", suffix)).documents
    truth = f"{website}/export?format=any&file=truth.{suffix}&{reply}"
    assert len(load_corpus(DataConfig(documents=documents, ground_truth=truth)).questions) == 3


@pytest.mark.parametrize("kind", ["text/html", "text/plain", "application/octet-stream"])
def test_an_address_whose_format_nothing_tells_is_an_error_that_says_so(data, website, kind, monkeypatch):
    monkeypatch.setenv("EXPORT_KEY", "secret")
    config = data()
    truth = f"{website}/export?file=truth.csv&type={kind}&key=${{EXPORT_KEY}}"
    with pytest.raises(DataError, match=f"/export: neither the address nor the server .* calls it {kind}") as caught:
        load_corpus(DataConfig(documents=config.documents, ground_truth=truth))
    assert "secret" not in str(caught.value)


def test_a_url_that_does_not_exist_is_shown_without_its_key(website):
    url = website.replace("http://", "http://user:secret@") + "/no.json?sig=secret"
    with pytest.raises(DataError, match=r"/no.json: there is no such file") as caught:
        load_documents(url)
    assert "secret" not in str(caught.value)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[str]:
    with guarded_website(tmp_path, query="sig=hunter2%2F2", login="somebody:hunter2/hunter2") as host:
        yield host


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("http://{host}/bad.json?sig=${{SIG}}", "http://{host}/bad.json"),
        ("http://{host}/bad.json?${{QUERY}}", "http://{host}/bad.json"),
        ("http://somebody:${{PASSWORD}}@{host}/bad.json", "http://{host}/bad.json"),
        ("${{ALL}}", "${{ALL}}.json"),
    ],
)
def test_what_a_url_needs_is_read_from_the_environment_and_never_shown(
    data: Callable[..., DataConfig], tmp_path: Path, guarded: str, monkeypatch: pytest.MonkeyPatch, location: str,
    shown: str,
) -> None:  # fmt: skip
    data([*DOCUMENTS, {**DOCUMENTS[0], "text": "other"}])
    (tmp_path / "documents.json").rename(tmp_path / "bad.json")
    monkeypatch.setenv("SIG", "hunter2%2F2\n")  # as it is read from a file
    monkeypatch.setenv("QUERY", "sig=hunter2%2F2")
    monkeypatch.setenv("PASSWORD", "hunter2%2Fhunter2")
    monkeypatch.setenv("ALL", f"http://{guarded}/bad.json?sig=hunter2%2F2")
    with pytest.raises(DataError, match=rf"{re.escape(shown.format(host=guarded))}, index 3 \(from 0\): id d1"):
        load_documents(location.format(host=guarded))

    monkeypatch.setenv("SIG", "hunter2-too-old")
    monkeypatch.setenv("QUERY", "sig=hunter2-too-old")
    monkeypatch.setenv("PASSWORD", "hunter2-too-old")
    monkeypatch.setenv("ALL", f"http://{guarded}/bad.json?sig=hunter2-too-old")
    with pytest.raises(DataError) as refused:
        load_documents(location.format(host=guarded))
    assert shown.format(host=guarded) in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_variable_of_a_url_that_is_not_set_is_named() -> None:
    with pytest.raises(ConfigError, match=r"https://host/faq.json needs the environment variable NO_SIG, which is not"):
        load_documents("https://host/faq.json?sig=${NO_SIG}")


def test_a_server_that_cannot_be_reached_is_an_error_of_the_data():
    with pytest.raises(DataError, match=r"http://127.0.0.1:1/d.json: .* or its server cannot be reached"):
        load_documents("http://127.0.0.1:1/d.json")


def test_a_kind_of_url_that_nobody_knows_is_an_error_of_the_data():
    with pytest.raises(DataError, match=r"nonsense://x/d.json: files are not read from nonsense:"):
        load_documents("nonsense://x/d.json")


def test_data_that_was_loaded_ahead_is_read_once_and_taken_once(data: Callable[..., DataConfig]) -> None:
    config = data()
    ahead = load_ahead(config)
    Path(config.documents).unlink()

    with pytest.raises(DataError, match="no such file"):
        load_corpus(config.model_copy(update={"sample": 2}))
    assert load_corpus(config) is ahead
    with pytest.raises(DataError, match="no such file"):
        load_corpus(config)
