"""Comparisons within a run: which pairs, over which questions, and how they read in every report."""

import re
import time
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from rageval.comparison.comparisons import Pairing, compare_values, compare_within, comparison_table
from rageval.comparison.measurements import Measurement, RunTables, Subject
from rageval.comparison.summary import summarize
from rageval.pages.forest import DrawnInterval, intervals
from rageval.pages.plots import GOOD
from rageval.report.comparison_rows import (
    brief_comparison_rows,
    comparison_groups,
    comparison_rows,
    price_ratio,
    price_words,
)
from rageval.report.headline import headline
from rageval.runs.manifest import Manifest
from rageval.statistics.multiplicity import holm
from rageval.statistics.paired import paired_difference
from rageval.tables import ANSWERS, COMPARISONS, DOCUMENTS, QUESTIONS, RETRIEVAL, SCORES, SYSTEMS
from tests.made_runs import question_row

N = 60
QUESTION_IDS = [f"q{i}" for i in range(N)]
MANIFEST = Manifest.model_validate(
    {"run_id": "run", "status": "complete", "started_at": "2025-01-01T00:00:00Z"}
    | {"config": {"retrieval": {"top_k": 2, "cutoffs": [1], "accept_alternates": False}}}
)


def table(schema, rows):
    blank = {"string": "", "int64": 0, "double": 0.0, "timestamp[us, tz=UTC]": datetime(2025, 1, 1, tzinfo=UTC)}
    filled = {f.name: None if f.nullable else blank.get(str(f.type), []) for f in schema}
    return pa.Table.from_pylist([filled | row for row in rows], schema=schema)


def parts(**changes):
    """What a system is made of."""
    return {"kind": "pipeline", "retriever": "text", "prompt": "default", "model": "m"} | changes


def run_of(systems, metric="correctness", ranks=None, costs=None, made_of=None):
    """A run of 60 questions over 20 documents, from the values of each system; without `made_of`, each is a model."""
    answers, scores = [], []
    for system, values in systems.items():
        for i, value in enumerate(values):
            key = {"question_id": f"q{i}", "system": system, "status": "ok"}
            answers.append(key | {"cost_usd": (costs or {}).get(system)})
            scores.append(key | {"metric": metric, "value": value, "status": "unscored" if value is None else "ok"})
    retrieval = [
        {"question_id": f"q{i}", "retriever": retriever, "first_relevant_rank": rank}
        | {"document_ids": ["other", f"d{i // 3}"] if rank == 2 else [f"d{i // 3}"] if rank == 1 else []}
        for retriever, of_all in (ranks or {}).items()
        for i, rank in enumerate(of_all)
    ]
    return RunTables(
        name="run",
        manifest=MANIFEST,
        documents=DOCUMENTS.empty_table(),
        questions=table(QUESTIONS, [question_row(f"q{i}", f"d{i // 3}") for i in range(N)]),
        systems=table(SYSTEMS, [{"system": s, **(made_of[s] if made_of else parts(model=s))} for s in systems]),
        retrieval=table(RETRIEVAL, retrieval),
        answers=table(ANSWERS, answers),
        scores=table(SCORES, scores),
    )


def marks(share, seed):
    return (np.random.default_rng(seed).random(N) < share).astype(float).tolist()


def names(comparisons):
    return [(c.pairing.baseline.subject.name, c.pairing.candidate.subject.name) for c in comparisons]


def told(comparisons):
    return [(c.pairing.of, c.pairing.differ_in, *pair) for c, pair in zip(comparisons, names(comparisons), strict=True)]


@pytest.mark.parametrize(
    ("differ_in", "baseline", "candidate"),
    [
        ("model", parts(), parts(model="n")),
        ("prompt", parts(), parts(prompt="brief")),
        ("retriever", parts(), parts(retriever="hybrid")),
        # What another kind implies is not a difference of its own: it has no retriever, and a prompt of its own.
        ("kind", parts(), parts(kind="closed_book", retriever=None, prompt="closed_book")),
        ("kind", parts(kind="closed_book", retriever=None, prompt="closed_book"), parts(kind="oracle", retriever=None)),
        ("prompt", *(parts(kind="oracle", retriever=None, prompt=prompt) for prompt in ("default", "brief"))),
    ],
)
def test_two_systems_are_compared_by_the_one_thing_that_they_differ_in(differ_in, baseline, candidate):
    low, high = [0.0, 1.0] * 30, [1.0] * N
    made_of = {"one": baseline, "other": candidate}
    (comparison,) = compare_within(run_of({"one": low, "other": high}, made_of=made_of))
    assert told([comparison]) == [("systems", differ_in, "one", "other")]
    # The first one is the baseline, and half of the questions gain 1.
    assert (comparison.mean_baseline, comparison.mean_candidate, comparison.difference.mean) == (0.5, 1.0, 0.5)
    assert comparison.verdict == "better"
    (turned,) = compare_within(run_of({"other": high, "one": low}, made_of=made_of))
    assert (turned.difference.mean, turned.verdict) == (-0.5, "worse")


def test_what_differs_in_several_things_is_compared_only_where_no_pair_differs_in_one_alone():
    made_of = {
        "first": parts(),
        "far": parts(model="n", prompt="brief", retriever="hybrid"),
        "closed": parts(kind="closed_book", retriever=None, prompt="closed_book", model="k"),
        "near": parts(prompt="brief"),
    }
    values = {name: marks(0.5, seed) for seed, name in enumerate(made_of)}

    def told_of(*wanted):
        chosen = {name: values[name] for name in made_of if name in wanted}
        return told(compare_within(run_of(chosen, made_of=made_of)))

    assert told_of("first", "far", "closed") == [
        ("systems", "prompt + model + retriever", "first", "far"),
        ("systems", "kind + model", "first", "closed"),
        ("systems", "kind + model", "far", "closed"),
    ]
    # As soon as one pair differs in its prompt alone, nothing is said of pairs that mix several things.
    assert told_of("first", "far", "closed", "near") == [("systems", "prompt", "first", "near")]


GRID = {
    f"{model} {prompt}": parts(model=model, prompt=prompt) for model in ("m", "n") for prompt in ("default", "brief")
}


def test_a_part_that_several_pairs_differ_in_is_also_compared_over_all_of_them():
    values = {
        name: marks(share, seed) for seed, (name, share) in enumerate(zip(GRID, (0.5, 0.9, 0.4, 0.8), strict=True))
    }
    values["m default"][4], values["n brief"][9] = None, None
    costs = {"m default": 0.001, "m brief": 0.002, "n default": 0.003, "n brief": 0.006}
    found = compare_within(run_of(values, costs=costs, made_of=GRID))
    assert told(found) == [
        ("pooled", "prompt", "default", "brief"),
        ("pooled", "model", "m", "n"),
        ("systems", "prompt", "m default", "m brief"),
        ("systems", "prompt", "n default", "n brief"),
        ("systems", "model", "m default", "n default"),
        ("systems", "model", "m brief", "n brief"),
    ]
    # A question counts where all four systems have a value; of each side it has the mean over both systems.
    both = [i for i in range(N) if i not in (4, 9)]
    for comparison, (baseline, candidate) in zip(
        found,
        ((("m default", "n default"), ("m brief", "n brief")), (("m default", "m brief"), ("n default", "n brief"))),
        strict=False,
    ):
        before, after = ([(values[a][i] + values[b][i]) / 2 for i in both] for a, b in (baseline, candidate))
        expected = paired_difference(after, before, [i // 3 for i in both])
        assert (comparison.n, comparison.difference) == (58, expected)
        assert comparison.mean_candidate - comparison.mean_baseline == pytest.approx(expected.mean)
    # An answer costs (0.001 + 0.003) / 2 with the one prompt and (0.002 + 0.006) / 2 with the other.
    pooled = found[0].pairing
    assert (pooled.cost_baseline_usd, pooled.cost_candidate_usd) == (pytest.approx(0.002), pytest.approx(0.004))
    assert [c.p_adjusted for c in found] == pytest.approx(holm([c.difference.p_value for c in found]))
    row = comparison_rows(comparison_table(found))[0]
    assert (row["candidate - baseline"], row["differ in"]) == ("brief - default", "prompt (over all that differ in it)")
    assert row["cost of candidate - baseline"] == "+$2.000 per 1,000, 2 times the price"


def test_the_headline_ranks_no_closed_book_and_no_oracle_among_systems_of_use():
    made_of = {"a": parts(), "b": parts(model="n"), "o": parts(kind="oracle", retriever=None)}
    run = run_of({"a": [0.0] * N, "b": [float(i % 2) for i in range(N)], "o": [1.0] * N}, made_of=made_of)
    summary = summarize(run.questions, run.retrieval, run.answers, run.scores, 2)
    assert "The highest mean correctness is 0.500" in headline(summary, systems=run.systems)[0]
    alone = run.systems.filter(pc.equal(run.systems["system"], "o"))
    only = summary.filter(pc.equal(summary["system"], "o"))
    assert headline(only, systems=alone)[0].startswith("o has correctness 1.000")


def test_the_headline_tells_which_part_is_better_over_all_systems():
    values = {name: [float(i % 2 == 0 or "brief" in name) for i in range(N)] for name in GRID}
    run = run_of(values, made_of=GRID)
    said = headline(
        summarize(run.questions, run.retrieval, run.answers, run.scores, 2), comparison_table(compare_within(run))
    )
    # With the brief prompt all 60 are right, without it 30: +0.5, whichever model.
    (sentence,) = [one for one in said if one.startswith("Prompt")]
    start = "Prompt brief against default, over all systems that differ in it alone: better, correctness +0.500 ["
    assert sentence.startswith(start)


def test_pairs_are_pooled_in_whatever_order_their_systems_stand():
    values = {name: marks(0.5, seed) for seed, name in enumerate(GRID)}
    pooled = compare_within(run_of(values, made_of=GRID))[:2]
    mixed = ("m default", "n brief", "m brief", "n default")
    turned = compare_within(run_of({name: values[name] for name in mixed}, made_of=GRID))[:2]
    assert told(turned) == told(pooled) == [("pooled", "prompt", "default", "brief"), ("pooled", "model", "m", "n")]
    assert [c.difference for c in turned] == [c.difference for c in pooled]


def test_a_price_that_one_of_the_pooled_systems_does_not_know_is_unknown():
    costs = {"m default": 0.001, "m brief": None, "n default": 0.003, "n brief": 0.006}
    found = compare_within(run_of({name: marks(0.5, 1) for name in GRID}, costs=costs, made_of=GRID))
    pooled = found[0].pairing
    assert (pooled.cost_baseline_usd, pooled.cost_candidate_usd) == (pytest.approx(0.002), None)


def test_retrievers_are_compared_by_hit_rate_mrr_and_ndcg_at_top_k():
    ranks = {"vector": [1] * N, "text": [2] * 30 + [None] * 30, "hybrid": [1, None] * 30}
    found = compare_within(run_of({}, ranks=ranks))
    assert {c.pairing.of for c in found} == {"retrievers"}
    assert [(c.pairing.baseline.metric, *pair) for c, pair in zip(found, names(found), strict=True)] == [
        (metric, a, b)
        for metric in ("hit_rate@2", "mrr@2", "ndcg@2")
        for a, b in (("vector", "text"), ("vector", "hybrid"), ("text", "hybrid"))
    ]
    # vector finds all at rank 1, text half of them at rank 2: 1/2 - 1, 1/4 - 1, 1 / (2 log2 3) - 1.
    differences = [found[place].difference.mean for place in (0, 3, 6)]
    assert differences == pytest.approx([-0.5, -0.75, 0.5 / np.log2(3) - 1])
    assert {found[place].verdict for place in (0, 3, 6)} == {"worse"}


def test_only_questions_with_both_values_count_and_the_test_is_clustered_by_document():
    a, b = marks(0.9, 1), marks(0.6, 2)
    a[5], b[7] = None, None
    comparison = compare_within(run_of({"m": a, "n": b}))[0]
    both = [i for i in range(N) if i not in (5, 7)]
    expected = paired_difference([b[i] for i in both], [a[i] for i in both], [i // 3 for i in both])
    assert comparison.difference == expected
    assert (comparison.n, comparison.p_adjusted) == (58, expected.p_value)
    assert comparison.mean_candidate - comparison.mean_baseline == pytest.approx(expected.mean)


@pytest.mark.parametrize("metric", ["refusal", "answer_words", "pairwise[n]", "correctness[again]", "unheard"])
def test_what_decides_nothing_by_itself_is_not_compared(metric):
    assert compare_within(run_of({"m": marks(0.5, 1), "n": marks(0.5, 2)}, metric)) == []


def test_p_values_are_adjusted_for_all_comparisons_of_the_run():
    systems = {name: marks(share, n) for n, (name, share) in enumerate([("a", 0.9), ("b", 0.7), ("c", 0.4)])}
    found = compare_within(run_of(systems, ranks={"vector": [1, 2] * 30, "text": [2, 1] * 30}))
    assert len(found) == 3 + 3
    assert [c.p_adjusted for c in found] == pytest.approx(holm([c.difference.p_value for c in found]))


def measurement(values, metric="search_latency_s"):
    subject = Subject(name="text", is_retriever=True)
    return Measurement(subject=subject, metric=metric, values=pd.Series(values, dtype=float))


def test_less_latency_is_better():
    random = np.random.default_rng(0)
    fast = {q: random.random() for q in QUESTION_IDS}
    slow = {q: random.random() + 1 for q in QUESTION_IDS}
    documents = pd.Series(range(N), index=QUESTION_IDS)
    pairing = Pairing(baseline=measurement(slow), candidate=measurement(fast))
    comparison = compare_values([pairing], documents)[0]
    assert (comparison.verdict, comparison.difference.mean < 0) == ("better", True)


def test_values_without_a_common_question_are_no_test_and_count_in_no_correction():
    documents = pd.Series(range(N), index=QUESTION_IDS)
    one, other = ({q: float(i % 3) for i, q in enumerate(half)} for half in (QUESTION_IDS[:30], QUESTION_IDS[30:]))
    apart = Pairing(baseline=measurement(one), candidate=measurement(other))
    later = measurement({q: v + (i > 3) for i, (q, v) in enumerate(one.items())})
    shifted = Pairing(baseline=measurement(one), candidate=later)
    none, some = compare_values([apart, shifted], documents)
    assert (none.n, none.difference, none.p_adjusted, none.verdict) == (0, None, None, "too few questions")
    assert some.p_adjusted == some.difference.p_value
    row = comparison_table([none]).to_pylist()[0]
    assert (row["n"], row["mean_baseline"], row["difference"], row["p_value"]) == (0, None, None, None)
    assert comparison_rows(comparison_table([none]))[0]["difference [95 %]"] == "unknown"


@pytest.fixture(scope="module")
def priced():
    systems = {"small": marks(0.65, 2), "large": marks(0.65, 1), "poor": [0.0] * N}
    return run_of(systems, costs={"large": 0.0051, "small": 0.0003, "poor": None})


def test_the_table_holds_every_figure_so_that_it_can_be_recomputed(priced):
    found = comparison_table(compare_within(priced))
    assert found.schema.equals(COMPARISONS, check_metadata=True)
    large, small = marks(0.65, 1), marks(0.65, 2)
    expected = paired_difference(large, small, [i // 3 for i in range(N)])
    row = found.to_pylist()[0]
    assert (row["baseline"], row["candidate"], row["of"], row["differ_in"]) == ("small", "large", "systems", "model")
    assert (row["metric"], row["n"]) == ("correctness", N)
    assert (row["difference"], row["ci_low"], row["ci_high"]) == (expected.mean, expected.low, expected.high)
    assert (row["better"], row["worse"], row["tied"]) == (expected.better, expected.worse, expected.tied)
    means = (row["mean_baseline"], row["mean_candidate"])
    assert means == (pytest.approx(np.mean(small)), pytest.approx(np.mean(large)))
    costs = (row["cost_baseline_usd"], row["cost_candidate_usd"])
    assert costs == (pytest.approx(0.0003), pytest.approx(0.0051))


def test_the_words_stand_beside_the_price(priced):
    found = comparison_table(compare_within(priced))
    rows = comparison_rows(found)
    # 0.0051 - 0.0003 = 0.0048 dollars an answer, 17 times as much.
    assert (rows[0]["candidate - baseline"], rows[0]["differ in"], rows[0]["cost of candidate - baseline"]) == (
        "large - small",
        "model",
        "+$4.800 per 1,000, 17 times the price",
    )
    assert rows[0]["the candidate is"] == "too few questions"
    assert (rows[1]["the candidate is"], rows[1]["adjusted p"], rows[1]["cost of candidate - baseline"]) == (
        "worse",
        "< 0.001",
        "unknown",
    )
    assert re.fullmatch(r"-0\.\d{3} \[-0\.\d{3}, -0\.\d{3}\]", rows[1]["difference [95 %]"])
    brief = brief_comparison_rows(found)
    assert [row["candidate - baseline"] for row in brief] == [row["candidate - baseline"] for row in rows]
    assert [row["the candidate is"] for row in brief[:2]] == ["too few questions, at 17 times the price", "worse"]


def test_the_headline_names_the_price_of_what_is_not_better(priced):
    summary = summarize(priced.questions, priced.retrieval, priced.answers, priced.scores, 2)
    sentence = headline(summary, comparison_table(compare_within(priced)))[0]
    leads = sum(marks(0.65, 1)) > sum(marks(0.65, 2))
    best, other, price = ("large", "small", "17 times") if leads else ("small", "large", "1/17 of")
    assert f"({best}). Question by question: it is better than poor; there are too few questions to tell it" in sentence
    assert sentence.endswith(f" from {other} (at {price} the price).")


@pytest.mark.parametrize(
    ("candidate", "baseline", "words"),
    [
        (0.3, 0.1, "3 times the price"),
        (0.2, 3.4, "1/17 of the price"),
        (1234.0, 1.0, "1,234 times the price"),
        (1.04, 1.0, "the same price"),
        (1.0, 1.5, "1/1.5 of the price"),
    ],
)
def test_ratios_of_prices_have_about_two_figures(candidate, baseline, words):
    assert price_words(price_ratio({"cost_candidate_usd": candidate, "cost_baseline_usd": baseline})) == words


@pytest.mark.parametrize(("candidate", "baseline"), [(None, 1.0), (1.0, None), (0.0, 1.0), (1.0, 0.0)])
def test_a_price_that_is_unknown_or_nothing_has_no_ratio(candidate, baseline):
    assert price_ratio({"cost_candidate_usd": candidate, "cost_baseline_usd": baseline}) is None


def test_intervals_are_drawn_to_one_scale_and_hold_nothing_but_numbers_and_colours():
    half = DrawnInterval(mean=0.1, low=0.0, high=0.2, colour=GOOD)
    whole = DrawnInterval(mean=-0.2, low=-0.9, high=0.1, colour=GOOD)
    first, second, empty = intervals([half, whole, None])
    # The scale reaches to 0.6, three times the farthest mean: 94 units from the middle at 100.
    assert f'M100.0 10H{100 + 94 * 0.2 / 0.6:.1f}"' in first
    assert f'cx="{100 + 94 * 0.1 / 0.6:.1f}"' in first
    assert "M6.0 10H" in second  # -0.9 lies beyond the edge
    assert "circle" not in empty
    assert not re.search(r"#| id=|href|url", first + second)


def test_groups_follow_the_order_of_metrics():
    run = run_of({"m": marks(0.5, 1), "n": marks(0.5, 2)}, ranks={"vector": [1] * N, "text": [2] * N})
    groups = comparison_groups(comparison_table(compare_within(run)))
    assert [group.metric for group in groups] == ["correctness", "hit_rate@2", "mrr@2", "ndcg@2"]
    assert [len(group.rows) for group in groups] == [1, 1, 1, 1]


def test_100_000_questions_of_two_systems_take_seconds():
    n, random = 100_000, np.random.default_rng(0)
    ids, metrics = [f"q{i}" for i in range(n)], ("cosine", "correctness", "relevance")

    def big(schema, copies, **columns):
        size = n * copies
        filled = {f.name: columns.get(f.name, pa.nulls(size, f.type)) for f in schema}
        empty = {f.name: pa.array([[]] * size, f.type) for f in schema if pa.types.is_list(f.type)}
        filled |= {name: array for name, array in empty.items() if name not in columns}
        return pa.table(filled).cast(pa.schema([f.with_nullable(True) for f in schema]))

    asked = big(
        QUESTIONS, 1, question_id=ids, relevant_ids=[[f"d{i // 5}"] for i in range(n)], relevant_grades=[[1]] * n
    )
    shared = {"question_id": ids * 2, "system": ["m"] * n + ["k"] * n}
    replied = big(ANSWERS, 2, **shared, cost_usd=random.random(2 * n))
    scored = pa.concat_tables(
        big(SCORES, 2, **shared, metric=[m] * 2 * n, status=["ok"] * 2 * n, value=random.random(2 * n)) for m in metrics
    )
    run = RunTables(
        name="run", manifest=MANIFEST, documents=DOCUMENTS.empty_table(), questions=asked,
        systems=table(SYSTEMS, [{"system": name, **parts(model=name)} for name in "mk"]),
        retrieval=RETRIEVAL.empty_table(), answers=replied, scores=scored,
    )  # fmt: skip
    start = time.thread_time()  # whatever else the machine does
    found = compare_within(run)
    assert time.thread_time() - start < 10
    assert [c.n for c in found] == [n] * 3
