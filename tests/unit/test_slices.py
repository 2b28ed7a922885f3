"""Slices hold the right questions, carry their intervals, and are marked only where they differ from the rest."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from rageval.comparison.slices import LARGEST, MOST_VALUES, slice_tables
from rageval.report.page import render_page
from rageval.statistics.groups import group_difference
from rageval.statistics.intervals import mean_interval
from rageval.statistics.multiplicity import holm
from rageval.tables import DOCUMENTS, QUESTIONS, RETRIEVAL, SCORES
from tests.unit.test_blame import filled
from tests.unit.test_report_page import Page, build


def run_of(sections, values, *, metric="correctness", per_document=2, ranks=None, courses=None):
    """Two questions a document: the section, value and rank of each document."""
    n = len(sections)
    courses = courses or ["c"] * n
    documents = [{"document_id": f"d{i}", "metadata": {"course": courses[i], "section": sections[i]}} for i in range(n)]
    asked = [(i, j) for i in range(n) for j in range(per_document)]
    questions = [
        {"question_id": f"q{i}-{j}", "question": "w" * (10 + i), "filter_value": courses[i], "relevant_ids": [f"d{i}"]}
        for i, j in asked
    ]
    retrieval = [
        {"question_id": f"q{i}-{j}", "retriever": "text", "first_relevant_rank": (ranks or [1] * n)[i]}
        for i, j in asked
    ]
    scores = [
        {"question_id": f"q{i}-{j}", "system": "m", "metric": metric, "status": "ok"} | {"value": values[i]}
        for i, j in asked
        if values[i] is not None
    ]
    return filled(QUESTIONS, questions), filled(DOCUMENTS, documents), filled(RETRIEVAL, retrieval), filled(
        SCORES, scores
    )  # fmt: skip


def table_of(tables, kind, metric):
    (found,) = [table for table in tables if (table.kind, table.metric) == (kind, metric)]
    return found


def test_a_slice_has_its_questions_documents_mean_and_clustered_interval():
    tables = slice_tables(*run_of(["a", "a", "b"], [1.0, 0.0, None], ranks=[1, 6, None]), 5)
    table = table_of(tables, "section", "correctness")
    first, second = table.slices
    assert (first.name, first.questions, first.documents, first.few) == ("a", 4, 2, True)
    assert (second.name, second.questions, second.documents) == ("b", 2, 1)
    interval = mean_interval([1, 1, 0, 0], [0, 0, 1, 1], bounds=(0, 1))
    statistic = first.statistics["m"]
    assert (statistic.n, statistic.mean, statistic.low, statistic.high) == (4, 0.5, interval.low, interval.high)
    assert (second.statistics["m"].n, second.statistics["m"].words, second.statistics["m"].interval) == (
        0,
        "no value",
        "",
    )
    # A right document at rank 6 of 5, or nowhere, is a miss and not a gap.
    hits = table_of(tables, "section", "hit_rate@5")
    assert [s.statistics["text"].mean for s in hits.slices] == [0.5, 0.0]
    assert [s.statistics["text"].n for s in hits.slices] == [4, 2]


def test_one_value_is_no_slice_and_columns_of_several_filter_values_keep_apart():
    kinds = {table.kind for table in slice_tables(*run_of(["a", "b"], [1.0, 0.0]), None)}
    assert kinds == {"section", "length of the question"}
    tables = slice_tables(*run_of(["a", "a"], [1.0, 0.0], courses=["x", "y"]), None)
    assert [s.name for s in table_of(tables, "course", "correctness").slices] == ["x", "y"]
    assert [s.name for s in table_of(tables, "section", "correctness").slices] == ["x: a", "y: a"]


def test_tags_come_before_metadata_of_the_same_name_and_many_values_are_no_slices():
    n = MOST_VALUES + 1
    questions, documents, retrieval, scores = run_of([f"s{i}" for i in range(n)], [1.0] * n, per_document=1)
    rows = [row | {"tags": {"level": "hard"} if i < 2 else {}} for i, row in enumerate(questions.to_pylist())]
    owners = [row | {"metadata": {"level": "easy" if i % 2 else "none"}} for i, row in enumerate(documents.to_pylist())]
    tables = slice_tables(questions, documents, retrieval, scores, None)
    assert {table.kind for table in tables} == {"length of the question"}
    tables = slice_tables(filled(QUESTIONS, rows), filled(DOCUMENTS, owners), retrieval, scores, None)
    slices = table_of(tables, "level", "correctness").slices
    # Of 21 documents the first two questions are tagged hard; of the other 19 ten have an even number.
    assert [(found.name, found.questions) for found in slices] == [("none", 10), ("easy", 9), ("hard", 2)]
    untagged = [row | {"metadata": {}} for row in documents.to_pylist()]
    tables = slice_tables(filled(QUESTIONS, rows), filled(DOCUMENTS, untagged), retrieval, scores, None)
    slices = table_of(tables, "level", "correctness").slices
    assert [(found.name, found.questions) for found in slices] == [("no level", 19), ("hard", 2)]


def test_lengths_are_cut_into_quarters_that_hold_every_question_once():
    # Lengths 10 to 17, twice each: quartiles at 12-13, 14 and 15-16.
    tables = slice_tables(*run_of(["a"] * 8, [1.0] * 8), None)
    slices = table_of(tables, "length of the question", "correctness").slices
    assert [s.name for s in slices] == [
        "10 to 11 characters", "12 to 13 characters", "14 to 15 characters", "16 to 17 characters",
    ]  # fmt: skip
    assert [s.questions for s in slices] == [4, 4, 4, 4]


def test_questions_of_the_same_length_stay_together():
    # Lengths 10 and 11: the quartiles are 10, 10.5 and 11, so the two lengths make the slices.
    slices = slice_tables(*run_of(["a"] * 2, [1.0] * 2), None)[-1].slices
    assert [(s.name, s.questions) for s in slices] == [("10 characters", 2), ("11 characters", 2)]


def test_only_the_largest_sections_are_shown_and_the_others_counted():
    sections = [f"s{i}" for i in range(LARGEST + 3)] + ["big"]
    table = table_of(slice_tables(*run_of(sections, [1.0] * len(sections)), None), "section", "correctness")
    assert len(table.slices) == LARGEST
    assert table.left_out == 4
    big = run_of([*sections, "big"], [1.0] * (len(sections) + 1))
    assert table_of(slice_tables(*big, None), "section", "correctness").slices[0].name == "big"


def test_a_slice_that_is_worse_is_marked_with_a_p_value_corrected_for_all_slices_of_the_metric():
    random = np.random.default_rng(3)
    sections = ["bad"] * 40 + ["fair"] * 40 + ["good"] * 40
    values = [float(random.random() < (0.3 if section == "bad" else 0.8)) for section in sections]
    run = run_of(sections, values)
    tables = slice_tables(*run, None)
    table = table_of(tables, "section", "correctness")
    marks = {s.name: s.statistics["m"].mark for s in table.slices}
    assert marks["bad"] == "lower"
    # The correction covers three sections and four lengths.
    clusters = np.repeat(np.arange(120), 2)
    raw = [
        group_difference(np.repeat(values, 2), inside, clusters).p_value
        for inside in [np.repeat(np.array(sections) == s.name, 2) for s in table.slices]
        + [np.repeat((np.arange(120) // 30) == quarter, 2) for quarter in range(4)]
    ]
    found = [s.statistics["m"].p_value for t in tables for s in t.slices]
    assert found == pytest.approx(list(holm(raw)))


def test_a_slice_of_few_documents_is_named_as_such_and_never_marked():
    sections, values = ["tiny"] * 9 + ["rest"] * 90, [0.0] * 9 + [1.0] * 60 + [0.5] * 30
    table = table_of(slice_tables(*run_of(sections, values, per_document=5), None), "section", "correctness")
    rest, tiny = table.slices
    assert (tiny.name, tiny.questions, tiny.few, rest.few) == ("tiny", 45, True, False)
    assert (tiny.statistics["m"].p_value, tiny.statistics["m"].mark) == (None, "")


def test_a_run_without_scores_still_has_slices_of_its_retrieval():
    questions, documents, retrieval, scores = run_of(["a", "b"], [None, None])
    assert {t.metric for t in slice_tables(questions, documents, retrieval, scores, 5)} == {"hit_rate@5"}
    empty = (schema.empty_table() for schema in (QUESTIONS, DOCUMENTS, RETRIEVAL, SCORES))
    assert slice_tables(*empty, 5) == []


def test_blame_and_slices_stand_on_the_page_as_text():
    html = render_page(build(text="<b>x</b>"))
    assert 'id="blame"' in html
    assert 'id="slices"' in html
    assert "<b>x</b>" not in html
    assert "The metric refusal is missing" in Page(html).text


groups = st.lists(
    st.tuples(st.integers(0, 8), st.booleans(), st.floats(0, 1, allow_subnormal=False)), min_size=8, max_size=40
)


@settings(max_examples=60, deadline=None)
@given(groups)
def test_the_difference_is_that_of_a_regression_with_clustered_errors_or_has_a_larger_error(rows):
    clusters, inside, values = (np.array(column) for column in zip(*rows, strict=True))
    found = group_difference(values, inside, clusters)
    if found is None:
        return
    design = sm.add_constant(inside.astype(float))
    fit = sm.OLS(values, design).fit(cov_type="cluster", cov_kwds={"groups": clusters})
    with np.errstate(invalid="ignore"):  # where nothing is left to explain, its variance may be a little below zero
        error = np.nan_to_num(fit.bse[1])
    assert found.mean == pytest.approx(fit.params[1], abs=1e-9)
    assert found.standard_error >= error - 1e-9
    assert 0 <= found.p_value <= 1


def test_the_error_is_that_of_the_regression_where_the_group_spreads_more_than_the_rest():
    # The group spreads widely and the rest does not, so the common spread would make too little of the group's.
    random = np.random.default_rng(1)
    values = np.concatenate([random.normal(0, 5, 40), random.normal(0, 0.1, 400)])
    inside, clusters = np.arange(440) < 40, np.arange(440) // 2
    found = group_difference(values, inside, clusters)
    fit = sm.OLS(values, sm.add_constant(inside.astype(float))).fit(cov_type="cluster", cov_kwds={"groups": clusters})
    assert found.standard_error == pytest.approx(fit.bse[1], rel=1e-9)
    assert (found.n, found.clusters) == (40, 20)


def test_a_group_that_is_all_right_by_chance_is_not_called_different():
    # 12 of 12 right against 80 of 100: that happens to one group of 12 in fifteen (0.8 ** 12 = 0.07).
    values = np.array([1.0] * 12 + [1.0] * 80 + [0.0] * 20)
    found = group_difference(values, np.arange(112) < 12, np.arange(112))
    assert found.mean == pytest.approx(0.2)
    assert found.p_value > 0.05


def test_fewer_than_two_clusters_on_a_side_or_equal_values_tell_nothing():
    assert group_difference([1, 0, 1, 0], [True, True, False, False], [0, 0, 1, 2]) is None
    assert group_difference([1, 1, 1, 1], [True, True, False, False], [0, 1, 2, 3]) is None
    assert group_difference([0, 1] * 4, [True, False] * 4, np.repeat(range(4), 2)) is None
    assert group_difference([], [], []) is None


def test_bad_input_is_refused_with_its_place():
    with pytest.raises(ValueError, match="value 1 is nan"):
        group_difference([0, float("nan")], [True, False], [0, 1])
    with pytest.raises(ValueError, match=r"\(2,\), \(1,\) and \(2,\)"):
        group_difference([0, 1], [True], [0, 1])
