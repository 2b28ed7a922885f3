"""Every figure of the summary derived by hand, and again with plain Python over random tables."""

import math
import statistics
import time
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rageval.comparison.summary import label_counts, summarize
from rageval.report.pivot import cost_rows, retrieval_rows, summary_rows
from rageval.statistics.intervals import mean_interval
from rageval.tables import ANSWERS, QUESTIONS, RETRIEVAL, SCORES, SUMMARY
from tests.made_runs import question_row


def table(schema, rows):
    """Fill in whatever a test does not care about."""
    filler = {
        "string": "",
        "int64": 0,
        "double": 0.0,
        "list": [],
        "map": {},
        "timestamp[us, tz=UTC]": datetime(2025, 1, 1, tzinfo=UTC),
    }
    defaults = {f.name: None if f.nullable else filler[str(f.type).split("<", 1)[0]] for f in schema}
    return pa.Table.from_pylist([defaults | row for row in rows], schema=schema)


def questions(documents):
    return table(QUESTIONS, [question_row(f"q{i}", d) for i, d in enumerate(documents)])


def retrieval(ranks, retriever="vector", latency=0.0):
    rows = [
        {"question_id": f"q{i}", "retriever": retriever, "first_relevant_rank": rank, "latency_s": latency}
        for i, rank in enumerate(ranks)
    ]
    return table(RETRIEVAL, rows)


def answers(n, system="m", **columns):
    rows = [
        {"question_id": f"q{i}", "system": system, "status": "ok"}
        | {name: values[i] for name, values in columns.items()}
        for i in range(n)
    ]
    return table(ANSWERS, rows)


def scores(values, metric="cosine", system="m", **columns):
    rows = [
        {"question_id": f"q{i}", "system": system, "metric": metric, "value": value}
        | {"status": "unscored" if value is None else "ok"}
        | {name: items[i] for name, items in columns.items()}
        for i, value in enumerate(values)
    ]
    return table(SCORES, rows)


NO_RETRIEVAL, NO_ANSWERS, NO_SCORES = (schema.empty_table() for schema in (RETRIEVAL, ANSWERS, SCORES))


def figures(summary, metric, system=None, retriever="vector"):
    of = (system, None) if system else (None, retriever)
    rows = [row for row in summary.to_pylist() if (row["system"], row["retriever"], row["metric"]) == (*of, metric)]
    assert len(rows) == 1
    return rows[0]


def test_hit_rate_and_mrr_count_a_miss_as_0_down_to_the_asked_rank():
    found = retrieval([1, 2, 4, None], latency=0.25)
    summary = summarize(questions("abcd"), found, NO_ANSWERS, NO_SCORES, top_k=3)
    hit, mrr = figures(summary, "hit_rate@3"), figures(summary, "mrr@3")
    # Ranks 1 and 2 are hits, rank 4 is below the third, and nothing found is a miss: 2/4.
    assert (hit["mean"], hit["n"], hit["n_scored"], hit["n_failed"], hit["total"]) == (0.5, 4, 4, 0, 2.0)
    assert mrr["mean"] == (1 + 1 / 2 + 0 + 0) / 4
    assert figures(summary, "search_latency_s")["median"] == 0.25


def test_a_missing_score_lowers_n_scored_and_not_the_mean():
    scored = scores([0.2, None, 0.6, None, 1.0])
    row = figures(summarize(questions("aabbc"), NO_RETRIEVAL, answers(5), scored, top_k=5), "cosine", system="m")
    assert (row["n"], row["n_scored"], row["n_failed"]) == (5, 3, 2)
    assert row["mean"] == pytest.approx(0.6)  # (0.2 + 0.6 + 1.0) / 3
    assert (row["median"], row["total"]) == (0.6, pytest.approx(1.8))
    assert row["p95"] == pytest.approx(0.96)  # 0.95 * (3 - 1) = 1.9: 9/10 of the way from 0.6 to 1.0
    # One value in each of three documents, which is within a cosine's bounds of -1 and 1.
    interval = mean_interval([0.2, 0.6, 1.0], list("abc"), bounds=(-1, 1))
    assert (row["ci_low"], row["ci_high"]) == (interval.low, interval.high)


def test_a_metric_without_bounds_has_the_t_interval_cut_at_zero():
    summary = summarize(questions("abc"), NO_RETRIEVAL, answers(3), scores([20, 60, 100], "answer_words"), top_k=5)
    row = figures(summary, "answer_words", "m")
    # Residuals -40, 0, 40; Var = 3/2 * 3200 / 9; t(0.975, 2) = 4.30265: the interval is 60 - 99 to 60 + 99 words.
    margin = 4.302652729911275 * math.sqrt(1.5 * 3200 / 9)
    assert (row["ci_low"], row["ci_high"]) == (0, pytest.approx(60 + margin))


def test_intervals_are_clustered_by_the_questions_document():
    values = [0.1, 0.2, 0.9, 0.8]
    row = figures(summarize(questions("aabb"), NO_RETRIEVAL, answers(4), scores(values), top_k=5), "cosine", system="m")
    interval = mean_interval(values, list("aabb"), bounds=(-1, 1))
    assert (row["ci_low"], row["ci_high"]) == (interval.low, interval.high)


def test_a_group_without_values_has_null_figures_and_one_cluster_has_no_interval():
    scored = pa.concat_tables([scores([None, None]), scores([0.5, 0.7], metric="correctness")])
    summary = summarize(questions("aa"), NO_RETRIEVAL, answers(2), scored, top_k=5)
    empty, single = figures(summary, "cosine", "m"), figures(summary, "correctness", "m")
    assert (empty["n"], empty["n_scored"], empty["n_failed"]) == (2, 0, 2)
    assert {empty[name] for name in ("mean", "median", "ci_low", "ci_high", "total", "p95")} == {None}
    assert single["mean"] == pytest.approx(0.6)
    assert (single["ci_low"], single["ci_high"]) == (None, None)


def test_nan_and_values_of_failed_scores_are_not_values():
    scored = scores([math.nan, 0.0, 0.4], status=["ok", "failed", "ok"])
    row = figures(summarize(questions("abc"), NO_RETRIEVAL, answers(3), scored, top_k=5), "cosine", "m")
    assert (row["mean"], row["n_scored"], row["n_failed"]) == (0.4, 1, 2)


def test_a_score_that_was_never_written_counts_as_failed():
    both = pa.concat_tables([answers(3, "a"), answers(3, "b")])
    summary = summarize(questions("abc"), NO_RETRIEVAL, both, scores([0.5], system="a"), top_k=5)
    assert [figures(summary, "cosine", system)["n_failed"] for system in "ab"] == [2, 3]


def test_answers_bring_latency_tokens_and_cost_with_unknown_ones_left_out():
    asked = answers(
        3,
        status=["ok", "ok", "failed"],
        latency_s=[1.0, 3.0, None],
        prompt_tokens=[100, 200, None],
        cached_tokens=[60, None, None],
        completion_tokens=[10, None, None],
        cost_usd=[0.25, 0.5, None],
    )
    summary = summarize(questions("abc"), NO_RETRIEVAL, asked, NO_SCORES, top_k=5)
    got = {row["metric"]: (row["mean"], row["total"], row["n_scored"], row["n"]) for row in summary.to_pylist()}
    assert got == {
        "answer_latency_s": (2.0, 4.0, 2, 3),
        "prompt_tokens": (150.0, 300.0, 2, 3),
        "cached_tokens": (60.0, 60.0, 1, 3),
        "completion_tokens": (10.0, 10.0, 1, 3),
        "cost_usd": (0.375, 0.75, 2, 3),
    }


def test_rows_come_in_a_stable_order():
    searched = pa.concat_tables([retrieval([1], "text"), retrieval([1], "hybrid")])
    asked = pa.concat_tables([answers(1, "z"), answers(1, "a")])
    scored = pa.concat_tables([scores([1.0], metric, "a") for metric in ("brevity", "correctness", "cosine")])
    summary = summarize(questions("a"), searched, asked, scored, top_k=5)
    assert summary.schema.equals(SUMMARY, check_metadata=True)
    groups = list(dict.fromkeys((row["system"], row["retriever"]) for row in summary.to_pylist()))
    assert groups == [(None, "text"), (None, "hybrid"), ("z", None), ("a", None)]
    assert [row["metric"] for row in summary.to_pylist() if row["system"] is None][:7] == [
        "hit_rate@5",
        "mrr@5",
        "recall@5",
        "precision@5",
        "ndcg@5",
        "map@5",
        "search_latency_s",
    ]
    assert [row["metric"] for row in summary.to_pylist() if row["system"] == "a"] == [
        "correctness",
        "cosine",
        "brevity",
        "answer_latency_s",
        "prompt_tokens",
        "cached_tokens",
        "completion_tokens",
        "cost_usd",
    ]


def test_a_run_without_rows_has_a_summary_without_rows():
    assert summarize(questions(""), NO_RETRIEVAL, NO_ANSWERS, NO_SCORES, top_k=5).equals(SUMMARY.empty_table())


SCORED_TWICE = pa.concat_tables([scores([0.1]), scores([0.2])])


@pytest.mark.parametrize(
    ("tables", "top_k", "message"),
    [
        ((questions("a"), retrieval([1, 1]), NO_ANSWERS, NO_SCORES), 5, "retrieval holds question_id 'q1'"),
        ((questions("a"), NO_RETRIEVAL, answers(2), NO_SCORES), 5, "answers holds question_id 'q1'"),
        ((questions("a"), NO_RETRIEVAL, answers(1), SCORED_TWICE), 5, "more scores of cosine than there are questions"),
        ((questions("a"), NO_RETRIEVAL, NO_ANSWERS, scores([0.1])), 5, "belong to no answers"),
        ((questions("a"), NO_RETRIEVAL, NO_ANSWERS, NO_SCORES), 0, "top_k of at least 1, got 0"),
    ],
)
def test_tables_that_do_not_fit_together_are_refused(tables, top_k, message):
    with pytest.raises(ValueError, match=message):
        summarize(*tables, top_k)


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.none() | st.floats(-1, 1),
            st.none() | st.integers(1, 8),
            st.none() | st.floats(0, 1),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_figures_agree_with_plain_python(rows):
    documents, values, ranks, costs = zip(*rows, strict=True)
    n = len(rows)
    summary = summarize(questions(documents), retrieval(ranks), answers(n, cost_usd=costs), scores(values), top_k=5)
    hits = [1 / rank if rank and rank <= 5 else 0 for rank in ranks]
    assert figures(summary, "mrr@5")["mean"] == pytest.approx(statistics.mean(hits))
    for metric, all_of in (("cosine", values), ("cost_usd", costs)):
        known, row = [x for x in all_of if x is not None], figures(summary, metric, "m")
        assert (row["n_scored"], row["n_failed"]) == (len(known), n - len(known))
        assert row["mean"] == (pytest.approx(statistics.mean(known), abs=1e-12) if known else None)
        assert row["median"] == (pytest.approx(statistics.median(known), abs=1e-12) if known else None)
        assert row["total"] == (pytest.approx(math.fsum(known), abs=1e-12) if known else None)


def test_label_counts_count_each_label_and_status():
    labels = ["RELEVANT", "NON_RELEVANT", "RELEVANT", None, None]
    statuses = ["ok", "ok", "ok", "unscored", "failed"]
    judged = scores([1.0, 0.0, 1.0, None, None], "correctness", label=labels, status=statuses)
    counted = label_counts(judged)
    assert [(row["status"], row["label"], row["n"]) for row in counted.to_pylist()] == [
        ("ok", "RELEVANT", 2),
        ("ok", "NON_RELEVANT", 1),
        ("unscored", None, 1),
        ("failed", None, 1),
    ]
    assert label_counts(NO_SCORES).num_rows == 0


def test_rows_in_words_show_interval_and_denominator_in_every_cell():
    asked = pa.concat_tables([answers(3, "a", cost_usd=[0.5, 0.25, None]), answers(3, "b")])
    scored = pa.concat_tables([scores([0.1, 0.2, None], system="a"), scores([1.0, None, None], "correctness", "a")])
    summary = summarize(questions("abc"), retrieval([1, None, 2], latency=0.0123), asked, scored, top_k=5)
    # Cosine of a on the scale from 0 to 1: m = 0.575, variance of the mean 0.0025 / 2^2, so that it is worth
    # n' = 2/1 * 0.575 * 0.425 / 0.000625 = 782 yes-or-no values; t(0.975, 1)^2 / n' = 161.448 / 782 = 0.20646.
    # Centre (0.575 + 0.10323) / 1.20646 = 0.56217; margin 12.7062 * sqrt(0.24438 / 782 + 161.448 / (4 * 782^2))
    # / 1.20646 = 0.20489; back on the scale from -1 to 1: -0.285 and 0.534.
    assert summary_rows(summary) == [
        {"system": "a", "cosine": "0.150 [-0.285, 0.534] 2/3", "correctness": "1.000 [no interval] 1/3"},
        {"system": "b", "cosine": "no value 0/3", "correctness": "no value 0/3"},
    ]
    found = retrieval_rows(summary)[0]
    assert (found["retriever"], found["median latency"]) == ("vector", "12.3 ms")
    assert found["hit_rate@5"].startswith("0.667 [")
    assert [row["cost"] for row in cost_rows(summary)] == ["$0.750 (2/3)", "unknown"]


def test_100_000_questions_take_seconds():
    n, random = 100_000, np.random.default_rng(0)
    ids = pa.array([f"q{i}" for i in range(n)])

    def big(schema, **columns):
        filled = {f.name: columns.get(f.name, pa.nulls(n, f.type)) for f in schema}
        return pa.table(filled).cast(pa.schema([f.with_nullable(True) for f in schema]))

    def constant(text):
        return pa.array([text] * n)

    shared = {"question_id": ids, "system": constant("m")}
    asked = big(
        QUESTIONS,
        question_id=ids,
        relevant_ids=pa.array([[f"d{i // 5}"] for i in range(n)]),
        relevant_grades=pa.array([[1]] * n),
    )
    found = big(
        RETRIEVAL, question_id=ids, retriever=constant("vector"), first_relevant_rank=pa.array(random.integers(1, 9, n))
    )
    replied = big(ANSWERS, **shared, latency_s=pa.array(random.random(n)))
    scored = pa.concat_tables(
        big(SCORES, **shared, metric=constant(m), status=constant("ok"), value=pa.array(random.random(n)))
        for m in ("cosine", "correctness", "relevance")
    )
    start = time.thread_time()  # whatever else the machine does
    summary = summarize(asked, found, replied, scored, top_k=5)
    assert time.thread_time() - start < 10
    assert figures(summary, "cosine", "m")["n_scored"] == n


def test_questions_that_were_not_asked_yet_count_in_the_denominator():
    # A run of three questions that stopped after the first: its answer does not become all there is.
    rows = summarize(questions("abc"), NO_RETRIEVAL, answers(1), scores([0.5]), 5).to_pylist()
    cosine = next(row for row in rows if row["metric"] == "cosine")
    assert (cosine["n"], cosine["n_scored"], cosine["n_failed"], cosine["mean"]) == (3, 1, 2, 0.5)
