"""What a report says about its judges, from tables whose verdicts are known."""

import re
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from rageval.comparison.summary import summarize
from rageval.judging.section import judging_section, trust_sentences
from rageval.judging.table import judging_table, unfit_metrics
from rageval.metrics.correctness import ANSWER_LABELS
from rageval.metrics.names import AGAIN, SINGLE, detail_of
from rageval.metrics.truthfulness import TRUTHFULNESS
from rageval.report.comparison_rows import comparison_rows
from rageval.report.headline import headline
from rageval.report.worst import worst_answers
from rageval.statistics.corrected import prediction_powered_share
from rageval.tables import COMPARISONS, HUMAN_LABELS, SCHEMAS
from tests.made_runs import question_row

LABELS = tuple(ANSWER_LABELS)
RIGHT, PARTLY, WRONG = LABELS
WITH, WITHOUT = "correctness", "relevance"
N = 120


def table(name, rows):
    blank = {field.name: None for field in SCHEMAS[name]}
    return pa.Table.from_pylist([blank | row for row in rows], schema=SCHEMAS[name])


class MadeRun:
    """A run of N questions over N / 3 documents and two models, to which verdicts are added."""

    def __init__(self, models=("alpha", "beta")):
        random = np.random.default_rng(4)
        self.keys = [{"question_id": f"q{i}", "system": model} for model in models for i in range(N)]
        self.words = random.integers(1, 40, size=len(self.keys))
        self.questions = table(
            "questions",
            [question_row(f"q{i}", f"d{i // 3}", question="?", filter_value="c") for i in range(N)],
        )
        started = {"started_at": datetime(2025, 1, 1, tzinfo=UTC), "request_fingerprint": "", "attempts": 1}
        self.answers = table(
            "answers",
            [key | started | {"status": "ok", "answer": "word " * int(words), "context_ids": []}
             for key, words in zip(self.keys, self.words, strict=True)],
        )  # fmt: skip
        self.rows, self.labels = [], []

    def judge(self, metric, labels, judge="gpt", where=slice(None), values=ANSWER_LABELS):
        for key, label in zip(self.keys[where], labels, strict=True):
            row = key | {"metric": metric, "status": "ok", "label": label, "value": values.get(label)}
            self.rows.append(row | {"judge_model": judge, "metric_version": "1", "attempts": 1})
        return self

    def cosine(self, values):
        for key, value in zip(self.keys, values, strict=True):
            row = key | {"metric": "cosine", "status": "ok", "value": float(value)}
            self.rows.append(row | {"metric_version": "1", "attempts": 0})
        return self

    def people(self, labels, where):
        self.labels = [key | {"label": label} for key, label in zip(self.keys[where], labels, strict=True)]
        return self

    @property
    def scores(self):
        return table("scores", self.rows)

    def judging(self, minimum=0.4, remarks=()):
        labels = pa.Table.from_pylist(self.labels, schema=HUMAN_LABELS)
        return judging_table(self.questions, self.answers, self.scores, labels, minimum, remarks)


def drawn(n, seed=0):
    return np.random.default_rng(seed).choice(LABELS, size=n, p=(0.5, 0.2, 0.3)).tolist()


def noisy(labels, share, seed=1):
    random = np.random.default_rng(seed)
    return np.where(random.random(len(labels)) < share, random.choice(LABELS, size=len(labels)), labels).tolist()


def statistic(judging, name, **wanted):
    rows = [row for row in judging.to_pylist() if row["statistic"] == name]
    rows = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
    assert len(rows) == 1, rows
    return rows[0]


def verdict(judging, metric=WITH):
    return statistic(judging, "verdict", metric=metric)


def test_flip_rate_and_kappa_with_itself_are_those_of_the_answers_judged_twice():
    first, again = drawn(2 * N), noisy(drawn(2 * N)[:40], 0.3)
    judging = MadeRun().judge(WITH, first).judge(detail_of(WITH, AGAIN), again, where=slice(0, 40)).judging()
    flips = statistic(judging, "flip_rate", against="itself")
    assert flips["value"] == pytest.approx(np.mean([a != b for a, b in zip(first, again, strict=False)]))
    assert flips["n"] == 40
    assert flips["ci_low"] < flips["value"] < flips["ci_high"]
    kappa = statistic(judging, "kappa", against="itself")
    assert kappa["value"] == pytest.approx(cohen_kappa_score(first[:40], again))
    linear = statistic(judging, "kappa_linear", against="itself")["value"]
    assert linear == pytest.approx(cohen_kappa_score(first[:40], again, labels=LABELS, weights="linear"))
    assert verdict(judging)["label"] == "fit"
    assert "Whether people would agree with it is not checked." in verdict(judging)["note"]


def test_combined_and_single_verdicts_agree_as_far_as_the_tables_say():
    combined = drawn(2 * N)
    single = [WRONG if label == RIGHT else RIGHT for label in combined[:9]] + combined[9:40]
    tone, tone_alone = drawn(2 * N, seed=3), drawn(2 * N, seed=3)[:20]
    run = MadeRun().judge(WITHOUT, combined).judge(detail_of(WITHOUT, SINGLE), single, where=slice(0, 40))
    run.judge(WITH, tone).judge(detail_of(WITH, SINGLE), tone_alone, where=slice(0, 20))
    judging = run.judging()
    agreement = statistic(judging, "agreement", against="single verdicts", metric=WITHOUT)
    assert (agreement["value"], agreement["n"]) == (31 / 40, 40)
    kappa = statistic(judging, "kappa", against="single verdicts", metric=WITHOUT)
    assert kappa["value"] == pytest.approx(cohen_kappa_score(combined[:40], single))
    # 31 of 40 and 20 of 20 are 51 of 60.
    said = "Combined and single verdicts of gpt agree in 85 % of 60 (relevance 78 %, correctness 100 %)."
    assert trust_sentences(judging)[-1] == said
    parts = {part.title: part for part in judging_section(judging).parts}
    assert [row["same label"] for row in parts["Combined and single"].rows] == ["77.5 %", "100.0 %"]
    assert "Within the panel" not in parts
    assert verdict(judging, WITHOUT)["label"] == "not checked", "agreeing with its other prompt is no trust"


def test_a_judge_that_contradicts_itself_is_unfit_and_nothing_is_ranked_by_it():
    run = MadeRun().cosine(np.linspace(0, 1, 2 * N)).judge(WITH, drawn(2 * N))
    run.judge(detail_of(WITH, AGAIN), drawn(60, seed=9), where=slice(0, 60))
    judging = run.judging()
    assert verdict(judging)["label"] == "unfit"
    assert unfit_metrics(judging) == {WITH, TRUTHFULNESS.name}
    assert trust_sentences(judging) == [f"Judge gpt: unfit for {WITH}, so nothing is ranked by that."]
    assert re.match(r"Kappa with itself is -?0\.\d+ \[.*\] over 60 answers\. At least 0\.400", verdict(judging)["note"])
    summary = summarize(run.questions, SCHEMAS["retrieval"].empty_table(), run.answers, run.scores, 5)
    assert any(WITH in sentence for sentence in headline(summary))
    assert all(WITH not in sentence for sentence in headline(summary, unfit={WITH}))
    assert "cosine" in headline(summary, unfit={WITH})[0]
    assert headline(summary, unfit={WITH, "cosine"}) == [
        "Nothing is ranked: the judge is unfit, and nothing else was scored."
    ]
    documents = SCHEMAS["documents"].empty_table()
    worst = worst_answers(documents, run.questions, run.answers, run.scores, limit=2, unfit={WITH})
    shown = [score.value for case in worst["alpha"] for score in case.scores if score.metric == "cosine"]
    assert shown == [0.0, pytest.approx(1 / (2 * N - 1))]  # by cosine, whatever the judge says


def test_comparisons_by_an_unfit_judge_say_so():
    row = {field.name: None for field in COMPARISONS} | {"metric": WITH, "verdict": "better", "n": 3, "clusters": 1}
    row |= {"of": "systems", "differ_in": "model", "baseline": "a", "candidate": "b"}
    rows = pa.Table.from_pylist([row, row | {"metric": "cosine"}], schema=COMPARISONS)
    shown = [row["the candidate is"] for row in comparison_rows(rows, unfit={WITH})]
    assert shown == ["better (unfit judge)", "better"]


def test_too_few_pairs_or_one_label_only_leave_a_judge_unchecked():
    few = (
        MadeRun()
        .judge(WITH, drawn(2 * N))
        .judge(detail_of(WITH, AGAIN), drawn(19, seed=5), where=slice(0, 19))
        .judging()
    )
    assert verdict(few)["label"] == "not enough checked"
    assert unfit_metrics(few) == frozenset()
    constant = (
        MadeRun().judge(WITH, [RIGHT] * 2 * N).judge(detail_of(WITH, AGAIN), [RIGHT] * N, where=slice(0, N)).judging()
    )
    assert verdict(constant)["label"] == "not enough checked"
    assert "has no value over 120 answers, for all have one and the same label" in verdict(constant)["note"]
    alone = MadeRun().judge(WITH, drawn(2 * N)).judging()
    assert verdict(alone)["label"] == "not checked"
    assert verdict(alone)["note"].startswith("No answer was judged twice, and there are no human labels.")


def test_agreement_between_the_prompts_and_with_the_cosine():
    with_reference, cosine = drawn(2 * N), np.random.default_rng(2).random(2 * N).round(1)
    without = noisy(with_reference, 0.8)
    judging = MadeRun().cosine(cosine).judge(WITH, with_reference).judge(WITHOUT, without).judging()
    kappa = statistic(judging, "kappa", against=WITHOUT)
    assert kappa["value"] == pytest.approx(cohen_kappa_score(with_reference, without))
    cells = {(r["label"], r["other_label"]): r["value"] for r in judging.to_pylist() if r["statistic"] == "pairs"}
    assert cells[RIGHT, WRONG] == sum(a == RIGHT and b == WRONG for a, b in zip(with_reference, without, strict=True))
    assert sum(cells.values()) == 2 * N
    area = statistic(judging, "auc", metric=WITH)
    assert area["value"] == pytest.approx(roc_auc_score([label == RIGHT for label in with_reference], cosine))
    assert area["against"] == "cosine"


def test_a_panel_is_compared_within_itself_and_is_as_fit_as_its_checked_judges():
    truth = drawn(2 * N)
    run = MadeRun().judge(WITH, truth, judge="a + b")
    members = {"a": noisy(truth, 0.1), "b": drawn(2 * N, seed=8)}
    for name, labels in members.items():
        run.judge(detail_of(WITH, name), labels, judge=name)
    run.judge(detail_of(WITH, AGAIN), members["a"][:50], judge="a", where=slice(0, 50))
    judging = run.judging()
    for name, labels in members.items():
        kappa = statistic(judging, "kappa", judge=name, against="the majority")
        assert kappa["value"] == pytest.approx(cohen_kappa_score(labels, truth))
    between = statistic(judging, "kappa", judge="a", against="b")
    assert between["value"] == pytest.approx(cohen_kappa_score(*members.values()))
    assert verdict(judging)["judge"] == "a + b"
    assert verdict(judging)["label"] == "fit"
    assert verdict(judging)["note"].startswith("Kappa of a with itself is 1.000")
    assert statistic(judging, "member_verdict", judge="b")["label"] == "not checked"
    shown = {part.title: part for part in judging_section(judging).parts}
    assert [row["against"] for row in shown["Within the panel"].rows] == ["the majority", "the majority", "b"]


def test_position_contradictions_and_length_of_pairwise_choices():
    # Six questions. In the own order the judge takes the first answer in all, swapped it takes the first one in
    # four (another choice than before) and the second one in two (the same answer: alpha's).
    run = MadeRun()
    values = {"FIRST": 1.0, "TIE": 0.5, "SECOND": 0.0}
    swapped = {"FIRST": 0.0, "TIE": 0.5, "SECOND": 1.0}
    run.judge("pairwise[beta]", ["FIRST"] * 6, where=slice(0, 6), values=values)
    run.judge("pairwise[beta, swapped]", ["FIRST"] * 4 + ["SECOND"] * 2, where=slice(0, 6), values=swapped)
    run.judge("pairwise[beta]", ["SECOND"], where=slice(6, 7), values=values)  # one order only: not counted
    judging = run.judging()
    first = statistic(judging, "first_share")
    assert (first["value"], first["n"]) == (10 / 12, 12)
    contradictions = statistic(judging, "contradiction_share")
    assert (contradictions["value"], contradictions["n"]) == (4 / 6, 6)
    longer = statistic(judging, "longer_wins")
    clear = [(run.words[i], run.words[N + i]) for i in (4, 5)]  # alpha wins both orders
    assert longer["value"] == np.mean([alpha > beta for alpha, beta in clear])
    assert longer["n"] == 2


def test_the_effect_of_length_is_spearmans_correlation():
    labels = drawn(2 * N)
    run = MadeRun().judge(WITH, labels)
    found = statistic(run.judging(), "length_correlation")
    expected = stats.spearmanr([ANSWER_LABELS[label] for label in labels], run.words).statistic
    assert found["value"] == pytest.approx(expected)


def test_human_labels_give_kappa_sensitivity_specificity_and_the_corrected_share():
    judged = drawn(2 * N)
    people = noisy(judged, 0.3)
    where = slice(N - 40, N + 50)  # 40 answers of alpha, 50 of beta
    judging = MadeRun().judge(WITH, judged).people(people[where], where).judging()
    ours, theirs = judged[where], people[where]
    assert statistic(judging, "kappa", against="human labels")["value"] == pytest.approx(
        cohen_kappa_score(ours, theirs)
    )
    sensitivity = np.mean([a == RIGHT for a, b in zip(ours, theirs, strict=True) if b == RIGHT])
    specificity = np.mean([a != RIGHT for a, b in zip(ours, theirs, strict=True) if b != RIGHT])
    assert statistic(judging, "sensitivity")["value"] == pytest.approx(sensitivity)
    assert statistic(judging, "specificity")["value"] == pytest.approx(specificity)
    f = np.array([label == RIGHT for label in judged[:N]], dtype=float)
    h = np.array([label == RIGHT for label in people[:N]], dtype=float)
    h[: N - 40] = np.nan
    expected = prediction_powered_share(f, h, np.arange(N) // 3)
    corrected = statistic(judging, "share_corrected", system="alpha")
    assert corrected["value"] == pytest.approx(expected.value)
    assert (corrected["ci_low"], corrected["ci_high"]) == pytest.approx((expected.low, expected.high))
    assert corrected["n"] == 40
    assert statistic(judging, "share_judged", system="alpha")["value"] == pytest.approx(f.mean())
    assert verdict(judging)["label"] == "fit"
    assert "not checked" not in verdict(judging)["note"]
    wrong = MadeRun().judge(WITH, judged).people(drawn(2 * N, seed=7)[where], where).judging()
    assert verdict(wrong)["label"] == "unfit"


def test_faithfulness_has_labels_of_its_own():
    labels = ["FAITHFUL", "PARTLY_FAITHFUL", "UNFAITHFUL", "UNFAITHFUL"] * (N // 2)
    values = {"FAITHFUL": 1.0, "PARTLY_FAITHFUL": 0.5, "UNFAITHFUL": 0.0}
    run = MadeRun().judge("faithfulness", labels, values=values)
    run.judge("faithfulness[again]", labels[:60], where=slice(0, 60), values=values).people([RIGHT], slice(0, 1))
    judging = run.judging()
    assert statistic(judging, "flip_rate")["value"] == 0
    assert verdict(judging, "faithfulness")["label"] == "fit"
    assert not [row for row in judging.to_pylist() if row["against"] == "human labels"]


def test_a_run_without_a_judge_has_no_figures_and_remarks_are_kept():
    judging = MadeRun().cosine(np.zeros(2 * N)).judging(remarks=["The labels are gone."])
    assert judging_section(judging).remarks == ["The labels are gone."]
    assert judging_section(judging).parts == judging_section(judging).verdicts == []
    assert trust_sentences(judging) == []


def test_unscored_verdicts_are_in_no_figure():
    run = MadeRun().judge(WITH, drawn(2 * N))
    run.rows[0] |= {"status": "unscored", "label": None, "value": None}
    assert statistic(run.judging(), "length_correlation")["n"] == 2 * N - 1
