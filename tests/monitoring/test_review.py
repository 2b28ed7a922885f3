"""From feedback to ground truth: what is listed, what is accepted, and what a nightly run then asks."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner, Result

from rageval.cli import main as cli
from rageval.config.evaluation import DataConfig
from rageval.corpus.files import load_corpus
from rageval.corpus.version_files import FOLDER_VARIABLE
from rageval.errors import ConfigError, DataError, RunStoppedError
from rageval.monitoring.records import ShownContext
from rageval.monitoring.review import accept, dismiss, forget
from rageval.monitoring.store.conversations import add_conversations, add_evaluations, add_votes
from rageval.monitoring.store.database import Database, open_database
from rageval.monitoring.store.reviews import open_cases, read_review
from rageval.monitoring.store.schema import METADATA
from rageval.monitoring.store.spool import Spool
from rageval.storage.places import place
from tests.monitoring.made import NOW, conversation, evaluation, id_of, vote

ASKED = "How long may a worker be away?"


@pytest.fixture
def data(corpus: Path) -> DataConfig:
    """The small corpus: d0 to d5 belong to course a, d6 to d9 to course b."""
    documents, questions = str(corpus / "documents.json"), str(corpus / "questions.csv")
    return DataConfig(documents=documents, ground_truth=questions, filter_by="course")


@pytest.fixture
def asked(database: Database) -> Database:
    """A database with one question about course a that got a thumbs down."""
    add_conversations(database, [conversation(1, question=ASKED, filter_value="a")])
    add_votes(database, [vote(1, -1)])
    return database


def _newest(data: DataConfig) -> DataConfig:
    return data.model_copy(update={"ground_truth": f"latest:{data.ground_truth}"})


def test_what_went_badly_is_listed_worst_first(database: Database) -> None:
    add_conversations(database, [conversation(number) for number in range(9)])
    add_conversations(database, [conversation(9, asked_at=NOW - timedelta(days=8)), conversation(10, status="failed")])
    low = {"value": 0.0, "label": "NON_RELEVANT", "reason": "Off the point."}
    add_votes(database, [vote(0), vote(1, -1), vote(2, -1, comment="No."), vote(2, 1, voter="v2")])
    add_votes(database, [vote(5, -1), vote(5, 1, minutes=1), vote(9, -1), vote(10, -1), vote(7, -1), vote(8, -1)])
    add_evaluations(database, [
        evaluation(2, **low), evaluation(3, value=0.5, label="PARTLY_RELEVANT"), evaluation(4, **low),
        evaluation(6, metric="faithfulness", value=0.0, label="UNFAITHFUL"), evaluation(6, **low),
        evaluation(4, metric="toxicity", value=0.0), evaluation(0, **{**low, "status": "unscored", "value": None}),
    ])  # fmt: skip
    dismiss(database, id_of(7))

    found = open_cases(database, NOW - timedelta(days=7), 20)

    # Two things speak against 6 and 2, one against 8, 4 and 1; the later one comes first. 3 is only partly bad, the
    # voter of 5 has changed the vote, 7 is reviewed, 9 is too old, 10 has no answer.
    assert [case.conversation.conversation_id for case in found] == [id_of(n) for n in (6, 2, 8, 4, 1)]
    assert (found[1].thumbs_down, found[1].thumbs_up, found[1].comments) == (1, 1, ("No.",))
    assert found[1].verdicts == (("relevance", "NON_RELEVANT", "Off the point."),)
    assert [metric for metric, _, _ in found[0].verdicts] == ["relevance", "faithfulness"]
    assert len(open_cases(database, NOW - timedelta(days=7), 2)) == 2


def test_an_accepted_question_is_in_a_new_version_and_the_old_ones_stay(asked: Database, data: DataConfig) -> None:
    before = Path(data.ground_truth).read_bytes()
    add_conversations(asked, [conversation(2, question='Why, "exactly",\nthis?', filter_value="")])

    first = accept(asked, id_of(1), ["d2", "d0"], data)
    second = accept(asked, id_of(2), ["d7"], data, question='Why "this", though?')

    folder = Path(data.ground_truth).parent
    assert (first.file, second.file) == (str(folder / "questions.v2.csv"), str(folder / "questions.v3.csv"))
    assert Path(data.ground_truth).read_bytes() == before
    corpus = load_corpus(_newest(data))
    assert corpus.notes[0] == f"the newest version of the ground truth is {folder / 'questions.v3.csv'}"
    assert not any("left out" in note for note in corpus.notes)
    new = [(row.question, row.filter_value, row.made_from) for row in corpus.questions[20:]]
    assert new == [(ASKED, "a", "d2"), (ASKED, "a", "d0"), ('Why "this", though?', "b", "d7")]
    assert len(load_corpus(data).questions) == 20
    versions = json.loads((folder / "questions.versions.json").read_text())["versions"]
    assert [(v["version"], v["rows"], Path(v["parent"]).name) for v in versions] == [
        (2, 22, "questions.csv"), (3, 23, "questions.v2.csv"),
    ]  # fmt: skip
    assert id_of(1) not in (folder / "questions.v3.csv").read_text()
    review = read_review(asked, id_of(1))
    assert review is not None
    assert (review.decision, review.document_ids, review.ground_truth) == ("accepted", ("d2", "d0"), first.file)
    assert open_cases(asked, NOW - timedelta(days=7), 5) == []


def test_a_version_has_the_filter_value_of_its_documents_whether_or_not_it_is_filtered_by(
    asked: Database, data: DataConfig
) -> None:
    accept(asked, id_of(1), ["d2"], data.model_copy(update={"filter_by": ""}))
    assert load_corpus(_newest(data)).questions[-1].filter_value == "a"


def test_what_users_asked_is_in_every_sample(asked: Database, data: DataConfig) -> None:
    accept(asked, id_of(1), ["d2"], data)

    for seed in range(20):
        sampled = _newest(data).model_copy(update={"sample": 3, "seed": seed})
        before = load_corpus(data.model_copy(update={"sample": 3, "seed": seed})).questions
        questions = load_corpus(sampled).questions
        assert questions[-1].question == ASKED
        assert set(questions[:-1]) < set(before), "it takes the place of one, the others stay"


@pytest.mark.parametrize(
    ("documents", "question", "expected"),
    [
        (["d99"], None, "no document 'd99'"),
        (["d2", "d7"], None, "document d7 belongs to b, but the question was asked about a"),
        (["d2", "d2"], None, "named twice"),
        ([], None, "--document"),
        (["d2"], "  ", "`question` is empty"),
        (["d2"], "why would I need  a WORKER?", "has this question with d2 already"),
    ],
)
def test_what_cannot_be_accepted_changes_nothing(
    asked: Database, data: DataConfig, documents: list[str], question: str | None, expected: str
) -> None:
    with pytest.raises((DataError, ConfigError), match=expected):
        accept(asked, id_of(1), documents, data, question=question)

    assert {path.name for path in Path(data.ground_truth).parent.glob("questions*")} == {"questions.csv"}
    assert read_review(asked, id_of(1)) is None


def test_a_conversation_is_accepted_once_and_a_dismissed_one_may_still_be(asked: Database, data: DataConfig) -> None:
    dismiss(asked, id_of(1))
    accept(asked, id_of(1), ["d2"], data)

    with pytest.raises(DataError, match=r"accepted already: its question is in .*questions\.v2\.csv"):
        accept(asked, id_of(1), ["d3"], data)
    with pytest.raises(DataError, match="accepted already"):
        dismiss(asked, id_of(1))
    with pytest.raises(DataError, match="no conversation"):
        dismiss(asked, id_of(7))
    with pytest.raises(DataError, match="first 8"):
        dismiss(asked, id_of(1)[:4])
    add_conversations(asked, [conversation(2)])
    with pytest.raises(DataError, match="several conversations"):
        dismiss(asked, id_of(1)[:8])


def test_what_was_cut_off_between_file_and_database_is_taken_up_again(asked: Database, data: DataConfig) -> None:
    accept(asked, id_of(1), ["d2"], data)
    with asked.writing() as connection:
        connection.execute(sa.delete(METADATA.tables["reviews"]))

    again = accept(asked, id_of(1), ["d2"], data)

    assert again.version.version == 2
    assert not (Path(data.ground_truth).parent / "questions.v3.csv").exists()
    assert read_review(asked, id_of(1)) is not None


def test_a_version_that_cannot_be_written_leaves_the_newest_one(
    asked: Database, data: DataConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(data.ground_truth).parent
    (folder / "questions.v2.csv").mkdir()  # what is in the way, also of root

    with pytest.raises(RunStoppedError, match="cannot be written"):
        accept(asked, id_of(1), ["d2"], data)

    assert read_review(asked, id_of(1)) is None
    assert len(load_corpus(_newest(data)).questions) == 20
    (folder / "questions.versions.json").write_text('{"versions": [')
    with pytest.raises(DataError, match=r"questions\.versions\.json cannot be read"):
        load_corpus(_newest(data))


def test_a_bad_row_of_the_ground_truth_is_not_taken_over(asked: Database, data: DataConfig) -> None:
    with Path(data.ground_truth).open("a") as file:
        file.write("Lost?,a,d77\n")

    with pytest.raises(DataError, match="line 22: document d77"):
        accept(asked, id_of(1), ["d2"], data)


def test_versions_lie_in_a_bucket_as_they_do_in_a_folder(asked: Database, data: DataConfig, bucket: str) -> None:
    written = accept(asked, id_of(1), ["d2"], data, folder=f"{bucket}/truth")

    assert written.file == f"{bucket}/truth/questions.v2.csv"
    there = data.model_copy(update={"ground_truth": f"latest:{bucket}/truth/questions.csv"})
    assert load_corpus(there).questions[-1].question == ASKED
    place(f"{bucket}/questions.csv").write_bytes(Path(data.ground_truth).read_bytes())
    beside = data.model_copy(update={"ground_truth": f"latest:{bucket}/questions.csv"})
    assert len(load_corpus(beside).questions) == 20, "there are no versions beside it yet"
    add_conversations(asked, [conversation(2, question="Another one?", filter_value="a")])
    assert accept(asked, id_of(2), ["d2"], beside).file == f"{bucket}/questions.v2.csv"
    assert load_corpus(beside).questions[-1].question == "Another one?"
    with pytest.raises(ConfigError, match="name the file of a version itself"):
        load_corpus(data.model_copy(update={"ground_truth": "latest:https://user:secret@host/questions.csv"}))
    assert forget(asked, id_of(1), data.ground_truth).versions == (written.file,)


def test_a_forgotten_conversation_is_gone_and_its_versions_are_named(asked: Database, data: DataConfig) -> None:
    add_evaluations(asked, [evaluation(1)])
    add_conversations(asked, [conversation(2, question="Another one?", filter_value="a")])
    files = [accept(asked, id_of(number), ["d2"], data).file for number in (1, 2)]

    assert forget(asked, id_of(1), data.ground_truth).versions == tuple(files)

    with asked.reading() as connection:
        for name in ("conversations", "feedback", "evaluations", "reviews"):
            ids = connection.scalars(sa.select(METADATA.tables[name].c.conversation_id)).all()
            assert id_of(1) not in ids, name
    with pytest.raises(DataError, match="no conversation"):
        forget(asked, "0123456789", data.ground_truth)


def test_a_conversation_that_is_still_on_its_way_is_forgotten_by_its_whole_id(
    asked: Database, data: DataConfig, tmp_path: Path
) -> None:
    spool = Spool(tmp_path / "spool")
    spool.add([conversation(5), vote(5)])

    left = forget(asked, id_of(5).upper(), data.ground_truth, spool=str(spool.folder))

    assert (left.conversation_id, left.was_stored, left.waiting, left.versions) == (id_of(5), False, 2, ())
    assert add_conversations(asked, [conversation(5)]) == 0


Feedback = Callable[..., Result]


@pytest.fixture
def feedback(tmp_path: Path, data: DataConfig, monkeypatch: pytest.MonkeyPatch) -> Feedback:
    """Call `rageval feedback` on a database with two conversations of today, of which one went badly."""
    url = f"sqlite:///{tmp_path / 'monitoring.db'}"
    monkeypatch.setenv("MONITORING_DATABASE_URL", url)
    monkeypatch.setenv("COLUMNS", "160")
    database = open_database(url)
    now = datetime.now(UTC)
    shown = ShownContext(document_id="d3", score=0.5, section="s", question="q", text="t")
    evil = conversation(1, question=f"{ASKED} [red]\x1b[2J", filter_value="a", asked_at=now, contexts=(shown,))
    add_conversations(database, [evil, conversation(2, asked_at=now)])
    add_votes(database, [vote(1, -1, given_at=now, comment="It is not.")])
    sources = ["--documents", data.documents, "--ground-truth", data.ground_truth, "--filter-by", "course"]
    sources += ["--output", str(tmp_path / "runs")]

    def call(*words: str, typed: str | None = None) -> Result:
        options = sources if words[0] in ("review", "accept") else ["--ground-truth", data.ground_truth]
        return CliRunner().invoke(cli.app, ["feedback", *words, *(options if words[0] != "dismiss" else [])], typed)

    return call


def _proposed(output: str) -> list[tuple[str, str]]:
    """Return document and origin of each row of the table of candidates."""
    rows = [[cell.strip() for cell in line.split("│")] for line in output.splitlines()]
    return [(row[2], row[3]) for row in rows if len(row) == 8 and row[1].isdecimal()]


def test_reviewing_in_a_terminal_shows_proposes_and_accepts(feedback: Feedback, data: DataConfig) -> None:
    ended = feedback("review", "--ask", typed="a\nd99\nWhy?\n2, d3\nWhy may a worker be away?\n")

    assert ended.exit_code == 0, ended.output
    assert "It is not." in ended.output
    assert "\x1b[2J" not in ended.output
    assert "[red]" in ended.output
    assert "no document 'd99'" in ended.output  # and asked again
    proposed = _proposed(ended.output)
    assert proposed[0] == ("d3", "the chat")
    assert proposed[1] == ("d2", "a search"), "the worker's document, which the chat has missed"
    questions = load_corpus(_newest(data)).questions
    assert [(row.question, row.made_from) for row in questions[20:]] == [
        ("Why may a worker be away?", "d2"), ("Why may a worker be away?", "d3"),
    ]  # fmt: skip
    assert "Nothing to review" in feedback("review").output


def test_the_same_without_a_terminal(feedback: Feedback, data: DataConfig) -> None:
    listed = feedback("review")
    assert listed.exit_code == 0
    assert ASKED in listed.output
    assert "1 down, 0 up" in listed.output
    undecided = feedback("accept", id_of(1))
    assert isinstance(undecided.exception, ConfigError)
    assert ("d2", "a search") in _proposed(undecided.output)
    assert load_corpus(_newest(data)).questions == load_corpus(data).questions

    accepted = feedback("accept", id_of(1), "--document", "d2", "--question", "Why?")
    assert "Accepted with d2 into version 2" in accepted.output
    assert f"Dismissed: {id_of(2)}" in feedback("dismiss", id_of(2)).output
    forgotten = feedback("forget", id_of(1)).output
    assert f"Conversation {id_of(1)} is deleted." in forgotten
    assert "still stands in" in forgotten
    assert "questions.v2.csv" in forgotten
    again = feedback("forget", id_of(1)).output
    assert f"Conversation {id_of(1)} was not in the database; it is not stored any more if it comes." in again


def test_versions_lie_apart_where_nothing_can_be_written_beside_the_ground_truth(
    asked: Database, data: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = Path(data.ground_truth)
    before = sorted(path for path in truth.parent.iterdir() if path.is_file())
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "volume"))
    monkeypatch.chdir(truth.parent.parent)
    relative = data.model_copy(update={"ground_truth": f"{truth.parent.name}/{truth.name}"})

    written = accept(asked, id_of(1), ["d2"], relative)

    # Under the path that is given, so that another questions.csv has a place of its own.
    assert Path(written.file) == tmp_path / "volume" / truth.parent.name / "questions.v2.csv"
    assert sorted(path for path in truth.parent.iterdir() if path.is_file()) == before
    for same in (relative, data):  # a path in the working directory is the same, whole or not
        assert load_corpus(_newest(same)).questions[-1].question == ASKED
    add_conversations(asked, [conversation(2, question="Another one?", filter_value="a")])
    gone_on = accept(asked, id_of(2), ["d2"], data.model_copy(update={"ground_truth": written.file}))
    assert Path(gone_on.file) == Path(written.file).with_name("questions.v3.csv")
    assert forget(asked, id_of(1), data.ground_truth).versions == (written.file, gone_on.file)


def test_a_folder_that_this_user_may_not_write_is_one_sentence(
    asked: Database, data: DataConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not Path("/proc/version").exists():
        pytest.skip("needs a folder that not even root can write to: Linux's /proc")
    monkeypatch.setenv(FOLDER_VARIABLE, "/proc/sys")

    with pytest.raises(RunStoppedError, match=r"^/proc/sys\S* cannot be written: .*"):
        accept(asked, id_of(1), ["d2"], data)
