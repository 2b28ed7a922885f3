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
    verdict_metric,
    where_to_work,
    why_no_blame,
)
from rageval.report.blame_cases import CASES_PER_CELL, blame_section
from rageval.report.page import render_page
from rageval.statistics.intervals import mean_interval
from rageval.tables import ANSWERS, BLAME, DOCUMENTS, QUESTIONS, RETRIEVAL, SCORES
from tests.unit.test_report_page import Page, build

START = datetime(2025, 1, 1, tzinfo=UTC)
LABELS = {1.0: "RELEVANT", 0.5: "PARTLY_RELEVANT", 0.0: "NON_RELEVANT"}


def filled(schema, rows):
    """Fill in whatever a test does not care about."""
    filler = {"string": "", "int64": 0, "double": 0.0, "list": [], "timestamp[us, tz=UTC]": START}
    blank = {f.name: None if f.nullable else filler[str(f.type).split("<", 1)[0]] for f in schema}
    return pa.Table.from_pylist([blank | row for row in rows], schema=schema)


def run_of(cases, *, model="m", metric="judge_with_reference", top_k=2):
    """A run with one question per case: rank of the right document, verdict or None, refused or None, answered."""
    keys = [{"question_id": f"q{i}", "model": model, "search_method": "vector"} for i in range(len(cases))]
    ids = [f"d{i}" for i in range(max(3, len(cases)))]
    documents = filled(
        DOCUMENTS, [{"document_id": i, "question": f"Title of {i}", "text": f"Text of {i}"} for i in ids]
    )
    questions = filled(
        QUESTIONS,
        [{"question_id": f"q{i}", "question": f"Why {i}?", "document_id": f"d{i}"} for i in range(len(cases))],
    )
    retrieval = [
        {"question_id": key["question_id"], "search_method": "vector", "document_ids": ids[:3]}
        | {"first_relevant_rank": rank}
        for key, (rank, *_) in zip(keys, cases, strict=True)
    ]
    answers, scores = [], []
    for key, (_, verdict, refused, *failed) in zip(keys, cases, strict=True):
        answers.append(key | {"status": "failed" if failed else "ok", "answer": None if failed else "Because."})
        found = {"status": "unscored"} if verdict is None else {"status": "ok", "label": LABELS[verdict]}
        scores.append(key | {"metric": metric, "value": verdict} | found)
        if refused is not None:
            scores.append(key | {"metric": "refusal", "status": "ok", "value": float(refused)})
    tables = (filled(RETRIEVAL, retrieval), filled(ANSWERS, answers), filled(SCORES, scores))
    return documents, questions, *tables, top_k


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
        ((3, 0.0, False), "search miss"),  # found, but below the two that were shown
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
ranks = st.sampled_from([1, 2, 3, None])
cases = st.one_of(st.tuples(ranks, verdicts, st.booleans()), st.tuples(ranks, st.none(), st.none(), st.just("failed")))


@settings(max_examples=40, deadline=None)
@given(st.lists(cases, min_size=1, max_size=12))
def test_every_question_is_in_exactly_one_cell_of_every_model(found):
    run = run_of([*found, (1, 1.0, False)])
    of_n = run[3].set_column(1, ANSWERS.field("model"), pa.array(["n"] * len(run[3])))
    twice = pa.concat_tables([run[3], of_n])
    blame = blame_table(run[1], run[2], twice, run[4], run[5])
    assert blame.schema == BLAME
    assert len(blame) == 2 * len(run[1])
    for counts in blame_counts(blame, run[1]):
        assert sum(cell.n for cell in counts.cells) == len(run[1])
        assert sum(cell.share for cell in counts.cells) == pytest.approx(1)
    # Nobody has scored the answers of n, so none of them is blamed.
    unjudged = blame.filter(pc.equal(blame["model"], "n"))
    assert set(unjudged["cell"].to_pylist()) <= {"not judged", "no answer"}


def test_a_question_that_was_never_asked_has_no_answer():
    run = list(run_of([(1, 1.0, False), (1, 0.0, False)]))
    run[3], run[4] = run[3].slice(0, 1), run[4].slice(0, 2)
    assert cells(run) == ["right", "no answer"]


def test_a_search_that_is_not_stored_blames_nobody():
    run = list(run_of([(1, 1.0, False)]))
    run[2] = run[2].slice(0, 0)
    assert cells(run) == ["not judged"]


def test_without_a_judge_or_without_the_metric_refusal_there_is_no_blame_and_the_page_says_why():
    run = run_of([(1, 1.0, False)])
    no_judge = run[4].filter(pc.equal(run[4]["metric"], "refusal"))
    no_refusal = run[4].filter(pc.not_equal(run[4]["metric"], "refusal"))
    unread = filled(SCORES, [{"metric": "refusal", "status": "unscored"}])
    all_unread = pa.concat_tables([no_refusal, unread])
    assert why_no_blame(run[4]) is None
    for scores, words in (
        (no_judge, "No judge has graded"),
        (no_refusal, "rageval rescore"),
        (all_unread, "reads only English"),
    ):
        assert words in why_no_blame(scores)
        blame = blame_table(*run[1:4], scores, 2)
        assert blame.num_rows == 0
        assert words in blame_section(blame, *run[:4], scores, 2).missing
        assert blame_rows(blame_counts(blame, run[1])) == []


def test_the_verdict_without_reference_counts_where_there_is_none_with_it():
    without = run_of([(1, 1.0, False), (1, 0.0, False)], metric="judge_without_reference")
    assert verdict_metric(without[4]) == "judge_without_reference"
    assert cells(without) == ["right", "generation miss"]
    unread = run_of([(1, None, False), (1, None, False)])
    both = pa.concat_tables([unread[4], without[4]])
    assert verdict_metric(both) == "judge_without_reference"  # no verdict with reference could be read
    details = pa.array(["judge_with_reference[again]"] * 2)
    again = run_of([(1, 0.0, None), (1, 0.0, None)])[4].set_column(3, "metric", details).cast(SCORES)
    assert verdict_metric(pa.concat_tables([without[4], again])) == "judge_without_reference"


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
    sentence = where_to_work(blame_table(*run[1:]), run[1], 2)
    assert sentence == (
        f"Of 100 questions that were not answered right, {searched} failed in search (the right document was not "
        f"among the 2 shown) and {generated} in generation (it was among them). {advice}"
    )


def test_where_nothing_is_wrong_the_sentence_says_so():
    run = run_of([(1, 1.0, False), (None, 1.0, False)])
    assert "nothing to blame" in where_to_work(blame_table(*run[1:]), run[1], 2)


def test_the_worst_cases_of_each_cell_come_with_all_that_is_needed_to_read_them():
    run = run_of([(1, 0.5, False), (1, 0.0, False), (2, 0.0, False), (1, 0.0, False), (None, 0.0, True)])
    cosines = filled(
        SCORES,
        [
            {"question_id": f"q{i}", "model": "m", "search_method": "vector", "metric": "cosine", "status": "ok"}
            | {"value": value}
            for i, value in enumerate([0.1, 0.9, 0.2, 0.5])
        ],
    )
    scores = pa.concat_tables([run[4], cosines])
    section = blame_section(blame_table(*run[1:]), *run[:4], scores, 2)
    assert list(section.cases) == ["generation miss", "correct refusal"]
    # The lowest verdict first, then the lowest cosine: 0.2, 0.5, 0.9. The partly right one is not among three.
    misses = section.cases["generation miss"]
    assert [case.question for case in misses] == ["Why 2?", "Why 3?", "Why 1?"]
    assert len(misses) == CASES_PER_CELL
    case = misses[0]
    assert (case.answer, case.reference, case.right_title, case.label) == (
        "Because.", "Text of d2", "Title of d2", "NON_RELEVANT",
    )  # fmt: skip
    # Two documents were shown, the second is the right one; the third found was not shown.
    assert [(c.rank, c.title, c.right) for c in case.contexts] == [(1, "Title of d0", False), (2, "Title of d1", True)]


def test_a_question_stands_once_in_a_cell_with_the_model_that_did_worst():
    first, second = run_of([(1, 0.5, False)]), run_of([(1, 0.0, False)], model="n")
    answers, scores = (pa.concat_tables([first[i], second[i]]) for i in (3, 4))
    blame = blame_table(first[1], first[2], answers, scores, 2)
    section = blame_section(blame, *first[:3], answers, scores, 2)
    assert [case.model for case in section.cases["generation miss"]] == ["n"]


def test_cells_and_cases_stand_on_the_page_as_text():
    hostile = "<script>alert(1)</script>"
    run = build(text=hostile)
    refusals = [
        {"question_id": f"q{i}", "model": model, "search_method": "vector", "metric": "refusal", "status": "ok"}
        | {"value": float(i % 3 == 0)}
        for model in ("alpha", "beta")
        for i in range(12)
    ]
    scores = pa.concat_tables([run.scores, filled(SCORES, refusals)])
    blame = blame_table(run.questions, run.retrieval, run.answers, scores, 5)
    html = render_page(replace(run, scores=scores, blame=blame))
    assert hostile not in html
    text = Page(html).text
    assert "correct refusal" in text
    assert "not answered right" in text or "not right" in text
    for rows in blame_counts(blame, run.questions):
        assert rows.cells[0].words in text


def test_100_000_answers_are_blamed_in_seconds():
    n, models = 20_000, 5
    random = np.random.default_rng(0)
    ids = pa.array([f"q{i}" for i in range(n)])
    one = {"search_method": pa.array(["vector"] * n)}
    ranks = random.choice([1.0, 4.0, 9.0, np.nan], n)
    questions = {"question_id": ids, "document_id": pa.array([f"d{i // 3}" for i in range(n)])}
    retrieval = {"question_id": ids, "first_relevant_rank": pa.array(ranks, pa.int64(), from_pandas=True), **one}
    answers, scores = [], []
    for model in range(models):
        key = {"question_id": ids, "model": pa.array([f"m{model}"] * n), "status": pa.array(["ok"] * n), **one}
        answers.append(pa.table(key))
        for metric, values in (("judge_with_reference", [0.0, 0.5, 1.0]), ("refusal", [0.0, 0.0, 1.0])):
            drawn = {"metric": pa.array([metric] * n), "value": pa.array(random.choice(values, n))}
            scores.append(pa.table(key | drawn))
    tables = pa.table(questions), pa.table(retrieval), pa.concat_tables(answers), pa.concat_tables(scores)
    start = time.thread_time()  # whatever else the machine does
    blame = blame_table(*tables, 5)
    counts = blame_counts(blame, tables[0])
    assert time.thread_time() - start < 20
    assert len(blame) == 100_000
    shown = int((ranks <= 5).sum())
    for found in counts:
        with_context = {"right", "generation miss", "refused with the context"}
        assert sum(cell.n for cell in found.cells if cell.cell in with_context) == shown
