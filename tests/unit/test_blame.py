"""Each answer is in one cell of shown or not x right, wrong, refused; the cells add up, and say where to work."""

import time
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rageval.comparison.blame import (
    CELLS,
    blame_counts,
    blame_rows,
    blame_table,
    ranks_by_text,
    verdict_metric,
    where_to_work,
    why_no_blame,
)
from rageval.report.blame_cases import CASES_PER_CELL, blame_section
from rageval.report.page import render_page
from rageval.statistics.intervals import mean_interval
from rageval.tables import ANSWERS, BLAME, DOCUMENTS, QUESTIONS, RETRIEVAL, SCORES, SYSTEMS
from tests.made_runs import question_row
from tests.unit.test_report_page import Page, build

START = datetime(2025, 1, 1, tzinfo=UTC)
LABELS = {1.0: "RELEVANT", 0.5: "PARTLY_RELEVANT", 0.0: "NON_RELEVANT"}


def filled(schema, rows):
    """Fill in whatever a test does not care about."""
    filler = {"string": "", "int64": 0, "double": 0.0, "list": [], "map": {}, "timestamp[us, tz=UTC]": START}
    blank = {f.name: None if f.nullable else filler[str(f.type).split("<", 1)[0]] for f in schema}
    return pa.Table.from_pylist([blank | row for row in rows], schema=schema)


def run_of(cases, *, system="m", metric="correctness"):
    """A run with one question per case: rank of the right document, verdict or None, refused or None, answered."""
    keys = [{"question_id": f"q{i}", "system": system} for i in range(len(cases))]
    ids = [f"d{i}" for i in range(max(3, len(cases)))]
    documents = filled(DOCUMENTS, [{"document_id": i, "title": f"Title of {i}", "text": f"Text of {i}"} for i in ids])
    questions = filled(
        QUESTIONS,
        [question_row(f"q{i}", f"d{i}", question=f"Why {i}?", references=[f"Text of d{i}"]) for i in range(len(cases))],
    )
    answers, scores = [], []
    for i, (key, (rank, verdict, refused, *failed)) in enumerate(zip(keys, cases, strict=True)):
        shown = [other for other in ids if other != f"d{i}"][:2]
        if rank:
            shown[rank - 1] = f"d{i}"
        reply = {"status": "failed" if failed else "ok", "answer": None if failed else "Because."}
        answers.append(key | reply | {"context_ids": shown})
        found = {"status": "unscored"} if verdict is None else {"status": "ok", "label": LABELS[verdict]}
        scores.append(key | {"metric": metric, "value": verdict} | found)
        if refused is not None:
            scores.append(key | {"metric": "refusal", "status": "ok", "value": float(refused)})
    return documents, questions, filled(ANSWERS, answers), filled(SCORES, scores)


def systems_of(*names):
    return filled(SYSTEMS, [{"system": name, "kind": "pipeline"} for name in names])


def cells(run):
    return blame_table(*run[1:])["cell"].to_pylist()


@pytest.mark.parametrize(
    ("case", "cell"),
    [
        # Rank of the right document of the two shown, verdict, refused.
        ((1, 1.0, False), "right"),
        ((2, 0.0, False), "generation miss"),
        ((2, 0.5, False), "generation miss"),
        ((1, 0.0, True), "refused with the context"),
        ((1, 0.0, None), "not judged"),  # wrong, or a refusal in a language that the metric does not read
        ((1, 1.0, None), "right"),
        ((1, 1.0, True), "refused with the context"),  # it says that it does not know, whatever the judge says
        ((None, 0.0, False), "search miss"),
        ((None, 0.5, False), "search miss"),
        ((None, 0.0, True), "correct refusal"),
        ((None, None, True), "correct refusal"),  # a refusal needs no verdict
        ((None, 1.0, False), "lucky"),
        ((1, None, False), "not judged"),
        ((None, None, False), "not judged"),
        ((1, None, None, "failed"), "no answer"),
        ((None, None, None, "failed"), "no answer"),
    ],
)
def test_shown_or_not_and_right_wrong_or_refused_make_the_cell(case, cell):
    # The second question is there so that the run has verdicts and refusals at all.
    assert cells(run_of([case, (1, 1.0, False)]))[0] == cell


@pytest.mark.parametrize(
    ("case", "cell"),
    [
        ((None, 0.0, True), "rightly refused"),
        ((1, 1.0, False), "answered anyway"),  # whatever the judge says of it
        ((None, None, False), "answered anyway"),
        ((None, 1.0, None), "not judged"),  # it may be a refusal in a language that is not read
        ((None, None, None, "failed"), "no answer"),
    ],
)
def test_of_a_question_without_an_answer_only_a_refusal_is_right_and_no_search_is_to_blame(case, cell):
    run = list(run_of([case, (1, 1.0, False)]))
    rows = [row | {"answerable": answerable} for row, answerable in zip(run[1].to_pylist(), (False, None), strict=True)]
    run[1] = filled(QUESTIONS, rows)
    assert cells(run) == [cell, "right"]


def test_where_nobody_knows_what_was_shown_or_what_is_right_the_search_is_not_to_blame():
    run = list(run_of([(None, 0.0, False), (1, 1.0, False), (1, None, False), (None, 0.0, True)]))
    hidden = filled(ANSWERS, [row | {"context_ids": None} for row in run[2].to_pylist()])
    assert cells([*run[:2], hidden, run[3]]) == ["search not known"] * 2 + ["not judged", "search not known"]
    unknown = filled(QUESTIONS, [row | {"relevant_ids": [], "relevant_grades": []} for row in run[1].to_pylist()])
    assert cells([run[0], unknown, *run[2:]]) == ["search not known"] * 2 + ["not judged", "search not known"]
    blame = blame_table(unknown, *run[2:])
    assert blame["shown"].to_pylist() == [None] * 4
    assert "nothing to blame" in where_to_work(blame, unknown)


def test_what_is_right_by_its_text_is_shown_if_its_rank_is_among_the_contexts():
    run = run_of([(None, 0.0, False), (None, 0.0, False), (None, 1.0, False)])  # two documents are shown of each
    texts = {"relevant_ids": [], "relevant_grades": [], "relevant_texts": ["It is so."]}
    asked = filled(QUESTIONS, [row | texts for row in run[1].to_pylist()])
    systems = filled(SYSTEMS, [{"system": "m", "kind": "pipeline", "retriever": "vector"}])
    found = [{"question_id": f"q{i}", "retriever": "vector"} for i in range(3)]
    ranked = [row | {"first_relevant_rank": rank} for row, rank in zip(found, (2, 3, None), strict=True)]
    ranks = ranks_by_text(asked, systems, filled(RETRIEVAL, ranked))
    blame = blame_table(asked, *run[2:], ranks=ranks)
    assert blame["cell"].to_pylist() == ["generation miss", "search miss", "lucky"]


def test_the_counts_add_up_to_the_questions_and_the_shares_have_the_interval_of_their_documents():
    # 2 right, 1 generation miss that is partly right, 1 search miss, of 4.
    run = run_of([(1, 1.0, False), (2, 1.0, False), (1, 0.5, False), (None, 0.0, False)])
    (found,) = blame_counts(blame_table(*run[1:]), run[1])
    counts = {cell.cell: cell.n for cell in found.cells}
    assert counts == dict.fromkeys(CELLS, 0) | {"right": 2, "generation miss": 1, "search miss": 1}
    assert found.partly == 1
    right = found.cells[0]
    expected = mean_interval([1, 1, 0, 0], ["d0", "d1", "d2", "d3"], bounds=(0, 1))
    assert (right.share, right.low, right.high) == (0.5, expected.low, expected.high)
    assert blame_rows([found])[:2] == [
        {"cell": "right", "m": "2 (50.0 %)"},
        {"cell": "generation miss", "m": "1 (25.0 %)"},
    ]
    assert [row["cell"] for row in blame_rows([found])] == list(CELLS)[:6]  # nothing failed, everything was judged


verdicts = st.sampled_from([1.0, 0.5, 0.0, None])
ranks = st.sampled_from([1, 2, None])
cases = st.one_of(st.tuples(ranks, verdicts, st.booleans()), st.tuples(ranks, st.none(), st.none(), st.just("failed")))


@settings(max_examples=40, deadline=None)
@given(st.lists(cases, min_size=1, max_size=12))
def test_every_question_is_in_exactly_one_cell_of_every_system(found):
    run = run_of([*found, (1, 1.0, False)])
    of_n = run[2].set_column(1, ANSWERS.field("system"), pa.array(["n"] * len(run[2])))
    twice = pa.concat_tables([run[2], of_n])
    blame = blame_table(run[1], twice, run[3])
    assert blame.schema == BLAME
    assert len(blame) == 2 * len(run[1])
    for counts in blame_counts(blame, run[1]):
        assert sum(cell.n for cell in counts.cells) == len(run[1])
        assert sum(cell.share for cell in counts.cells) == pytest.approx(1)
    # Nobody has scored the answers of n, so none of them is blamed.
    unjudged = blame.filter(pc.equal(blame["system"], "n"))
    assert set(unjudged["cell"].to_pylist()) <= {"not judged", "no answer"}


def test_a_question_that_was_never_asked_has_no_answer():
    run = list(run_of([(1, 1.0, False), (1, 0.0, False)]))
    run[2], run[3] = run[2].slice(0, 1), run[3].slice(0, 2)
    assert cells(run) == ["right", "no answer"]


def test_another_right_document_counts_as_shown_only_where_the_run_accepts_it():
    _, questions, answers, scores = run_of([(None, 0.0, False), (1, 1.0, False)])
    other = answers["context_ids"][0].as_py()[0]
    rows = [row | {"alternate_ids": [other] if not i else []} for i, row in enumerate(questions.to_pylist())]
    asked = filled(QUESTIONS, rows)
    assert blame_table(asked, answers, scores)["cell"].to_pylist() == ["search miss", "right"]
    accepted = blame_table(asked, answers, scores, accept_alternates=True)
    assert accepted["cell"].to_pylist() == ["generation miss", "right"]


def test_each_system_is_blamed_by_what_it_was_shown_itself():
    # The same question and the same wrong answer; only the second system was shown the right document.
    missed, shown = run_of([(None, 0.0, False)], system="missed"), run_of([(2, 0.0, False)], system="shown")
    answers, scores = (pa.concat_tables([missed[i], shown[i]]) for i in (2, 3))
    blame = blame_table(missed[1], answers, scores)
    assert blame.select(["system", "shown", "cell"]).to_pylist() == [
        {"system": "missed", "shown": False, "cell": "search miss"},
        {"system": "shown", "shown": True, "cell": "generation miss"},
    ]
    assert "Of 2 answers that were not right, 1 failed in search" in where_to_work(blame, missed[1])


def test_without_a_judge_or_without_the_metric_refusal_there_is_no_blame_and_the_page_says_why():
    run = run_of([(1, 1.0, False)])
    no_judge = run[3].filter(pc.equal(run[3]["metric"], "refusal"))
    no_refusal = run[3].filter(pc.not_equal(run[3]["metric"], "refusal"))
    unread = filled(SCORES, [{"metric": "refusal", "status": "unscored"}])
    all_unread = pa.concat_tables([no_refusal, unread])
    assert why_no_blame(run[3]) is None
    for scores, words in (
        (no_judge, "No judge has graded"),
        (no_refusal, "rageval rescore"),
        (all_unread, "reads only English"),
    ):
        assert words in why_no_blame(scores)
        blame = blame_table(*run[1:3], scores)
        assert blame.num_rows == 0
        assert words in blame_section(blame, *run[:2], systems_of("m"), run[2], scores).missing
        assert blame_rows(blame_counts(blame, run[1])) == []


def test_the_verdict_without_reference_counts_where_there_is_none_with_it():
    without = run_of([(1, 1.0, False), (1, 0.0, False)], metric="relevance")
    assert verdict_metric(without[3]) == "relevance"
    assert cells(without) == ["right", "generation miss"]
    unread = run_of([(1, None, False), (1, None, False)])
    both = pa.concat_tables([unread[3], without[3]])
    assert verdict_metric(both) == "relevance"  # no verdict with reference could be read
    details = pa.array(["correctness[again]"] * 2)
    again = (
        run_of([(1, 0.0, None), (1, 0.0, None)])[3]
        .set_column(SCORES.get_field_index("metric"), "metric", details)
        .cast(SCORES)
    )
    assert verdict_metric(pa.concat_tables([without[3], again])) == "relevance"


@pytest.mark.parametrize(
    ("searched", "generated", "advice"),
    [
        (62, 38, "Work on the search first."),  # 62 % [52, 71]: one half is out
        (38, 62, "Work on the prompt or the model first."),
        (52, 48, "Neither is clearly the larger part."),
    ],
)
def test_the_sentence_counts_what_each_side_lost_and_advises_only_where_the_interval_leaves_out_one_half(
    searched, generated, advice
):
    lost = [(None, 0.0, i % 2 == 0) for i in range(searched)] + [(1, 0.0, i % 2 == 0) for i in range(generated)]
    run = run_of([*lost, *[(1, 1.0, False)] * 20, *[(None, 1.0, False)] * 5])
    sentence = where_to_work(blame_table(*run[1:]), run[1])
    assert sentence == (
        f"Of 100 questions that were not answered right, {searched} failed in search (the right document was not "
        f"shown) and {generated} in generation (it was shown). {advice}"
    )


def test_where_nothing_is_wrong_the_sentence_says_so():
    run = run_of([(1, 1.0, False), (None, 1.0, False)])
    assert "nothing to blame" in where_to_work(blame_table(*run[1:]), run[1])


def test_the_worst_cases_of_each_cell_come_with_all_that_is_needed_to_read_them():
    run = run_of([(1, 0.5, False), (1, 0.0, False), (2, 0.0, False), (1, 0.0, False), (None, 0.0, True)])
    cosines = filled(
        SCORES,
        [
            {"question_id": f"q{i}", "system": "m", "metric": "cosine", "status": "ok"} | {"value": value}
            for i, value in enumerate([0.1, 0.9, 0.2, 0.5])
        ],
    )
    scores = pa.concat_tables([run[3], cosines])
    section = blame_section(blame_table(*run[1:]), *run[:2], systems_of("m"), run[2], scores)
    assert list(section.cases) == ["generation miss", "correct refusal"]
    # The lowest verdict first, then the lowest cosine: 0.2, 0.5, 0.9. The partly right one is not among three.
    misses = section.cases["generation miss"]
    assert [case.question for case in misses] == ["Why 2?", "Why 3?", "Why 1?"]
    assert len(misses) == CASES_PER_CELL
    case = misses[0]
    assert (case.answer, case.references[0], case.right_title, case.label) == (
        "Because.", "Text of d2", "Title of d2", "NON_RELEVANT",
    )  # fmt: skip
    # Two documents were shown, the second is the right one.
    assert [(c.rank, c.title, c.right) for c in case.contexts] == [(1, "Title of d0", False), (2, "Title of d2", True)]


def test_a_question_stands_once_in_a_cell_with_the_system_that_did_worst():
    first, second = run_of([(1, 0.5, False)]), run_of([(1, 0.0, False)], system="n")
    answers, scores = (pa.concat_tables([first[i], second[i]]) for i in (2, 3))
    blame = blame_table(first[1], answers, scores)
    section = blame_section(blame, *first[:2], systems_of("m", "n"), answers, scores)
    assert [case.system for case in section.cases["generation miss"]] == ["n"]


def test_cells_and_cases_stand_on_the_page_as_text():
    hostile = "<script>alert(1)</script>"
    run = build(text=hostile)
    refusals = [
        {"question_id": f"q{i}", "system": system, "metric": "refusal", "status": "ok"}
        | {"value": float(i % 3 == 0), "repeat": 1}
        for system in ("alpha", "beta")
        for i in range(12)
    ]
    scores = pa.concat_tables([run.scores, filled(SCORES, refusals)])
    blame = blame_table(run.questions, run.answers, scores)
    html = render_page(replace(run, scores=scores, blame=blame))
    assert hostile not in html
    text = Page(html).text
    assert "correct refusal" in text
    assert "not answered right" in text or "not right" in text
    for rows in blame_counts(blame, run.questions):
        assert rows.cells[0].words in text


def test_100_000_answers_are_blamed_in_seconds():
    n, systems = 20_000, 5
    random = np.random.default_rng(0)
    ids = pa.array([f"q{i}" for i in range(n)])
    right, shown = [f"d{i // 3}" for i in range(n)], random.random(n) < 0.6
    found = [["x", d, "y"] if was_shown else ["x", "y", "z"] for d, was_shown in zip(right, shown, strict=True)]
    none = pa.array([[]] * n, pa.list_(pa.string()))
    own, alone = pa.array([[d] for d in right]), pa.array([""] * n)
    questions = pa.table({"question_id": ids, "conversation": alone, "relevant_ids": own, "alternate_ids": none})
    questions = questions.append_column("answerable", pa.nulls(n, pa.bool_()))
    answers, scores = [], []
    for system in range(systems):
        key = {"question_id": ids, "system": pa.array([f"m{system}"] * n), "status": pa.array(["ok"] * n)}
        answers.append(pa.table(key | {"context_ids": pa.array(found)}))
        for metric, values in (("correctness", [0.0, 0.5, 1.0]), ("refusal", [0.0, 0.0, 1.0])):
            drawn = {"metric": pa.array([metric] * n), "value": pa.array(random.choice(values, n))}
            scores.append(pa.table(key | drawn))
    tables = questions, pa.concat_tables(answers), pa.concat_tables(scores)
    start = time.thread_time()  # whatever else the machine does
    blame = blame_table(*tables)
    counts = blame_counts(blame, tables[0])
    assert time.thread_time() - start < 20
    assert len(blame) == 100_000
    for of_system in counts:
        with_context = {"right", "generation miss", "refused with the context"}
        assert sum(cell.n for cell in of_system.cells if cell.cell in with_context) == shown.sum()
