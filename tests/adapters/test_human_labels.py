"""Files of human labels, as a person and a spreadsheet leave them."""

from pathlib import Path

import pytest

from rageval.errors import ConfigError, DataError
from rageval.judging.human_labels import read_labels, write_template
from rageval.judging.labels import TEMPLATE_COLUMNS, LabelledRun

ANSWERED = LabelledRun(
    questions=frozenset({"q1", "q2"}),
    systems=frozenset({"m"}),
    answers={("q1", "m"): "née 😀\nline two", ("q2", "m"): "no"},
)
ROW = dict.fromkeys(TEMPLATE_COLUMNS, "") | {"question_id": "q1", "system": "m"}


def test_what_was_written_comes_back_filled_in(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    write_template(path, [ROW | {"answer": "née 😀\nline two"}])
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    path.write_bytes(path.read_bytes().replace(b'",\r\n', b'",RELEVANT\r\n'))
    assert [label.label for label in read_labels(str(path), ANSWERED).labels] == ["RELEVANT"]


def test_labels_are_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    write_template(path, [ROW])
    with pytest.raises(ConfigError, match="its labels would be lost"):
        write_template(path, [ROW])
    with pytest.raises(ConfigError, match="expected the name of a CSV file"):
        write_template(tmp_path / "labels.xlsx", [ROW])


def test_all_bad_rows_are_reported_at_once_and_a_file_without_a_label_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("question_id,system,label\nq7,m,RELEVANT\nq8,m,RELEVANT\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"2 problems(.|\n)*line 2: question_id q7(.|\n)*line 3: question_id q8"):
        read_labels(str(path), ANSWERED)
    path.write_text("question_id,system,label\nq1,m,\n", encoding="utf-8")
    with pytest.raises(DataError, match="fill in the column `label`"):
        read_labels(str(path), ANSWERED)
    with pytest.raises(DataError, match="there is no such file"):
        read_labels(str(tmp_path / "nothing.csv"), ANSWERED)
