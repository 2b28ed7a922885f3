"""The best of several settings, its figures where it had no say, and the page that shows them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pytest

from rageval.statistics.intervals import mean_interval
from rageval.statistics.paired import paired_difference
from rageval.sweep.page import render_sweep, sweep_rows, sweep_sentences
from rageval.sweep.result import SweepPlan, SweepResult, sweep_result
from rageval.sweep.settings import SearchSetting
from rageval.sweep.tables import SWEEP, SWEEP_RETRIEVAL
from rageval.tables import QUESTIONS
from tests.made_runs import question_row

EVIL = "</script><img src=x onerror=alert(1)>{{ 7 * 7 }}"
TEXT = SearchSetting(method="text", question_boost=3.0)
VECTOR = SearchSetting(method="vector", embedding_model=EVIL, index_options="flat")
HYBRID = SearchSetting(method="hybrid", question_boost=3.0, embedding_model=EVIL, index_options="flat", candidates=50)
DOCUMENTS = 12
"""Two questions each; those of even documents are the tuning part."""
Ranks = Sequence[int | None]


def result_of(ranks: Mapping[SearchSetting, Ranks], **plan: Any) -> tuple[SweepResult, SweepPlan]:
    """A sweep whose settings find the right document of question i at the given rank."""
    n = 2 * DOCUMENTS
    questions = [question_row(f"q{i}", f"d{i // 2}") for i in range(n)]
    rows = [
        {
            "setting": setting.name,
            "part": "held-out" if i // 2 % 2 else "tuning",
            "question_id": f"q{i}",
            "document_ids": [f"x{k}" for k in range(1, rank or 4)] + ([f"d{i // 2}"] if rank else []),
            "first_relevant_rank": rank,
            "latency_s": 0.001 * (i + 1),
        }
        for setting, of_setting in ranks.items()
        for i, rank in enumerate(of_setting)
    ]
    made = SweepPlan(
        **{"settings": tuple(ranks), "default": TEXT, "metric": "mrr@3", "cutoffs": (1, 3), "accept_alternates": False}
        | plan
    )
    tables = pa.Table.from_pylist(questions, schema=QUESTIONS), pa.Table.from_pylist(rows, schema=SWEEP_RETRIEVAL)
    return sweep_result(*tables, made), made


def split(tuning: Ranks, held_out: Ranks) -> Ranks:
    """Ranks of all questions from those of each part, in the order of the documents."""
    return [(held_out if i // 2 % 2 else tuning)[i // 4 * 2 + i % 2] for i in range(2 * DOCUMENTS)]


def test_the_setting_is_chosen_on_the_tuning_part_and_reported_on_the_other() -> None:
    good, bad, mixed = [1] * 12, [None] * 12, [1, 2] * 6
    result, plan = result_of({TEXT: split(bad, good), VECTOR: split(mixed, bad), HYBRID: split(good, mixed)})
    assert result.best == HYBRID
    figures = {(row["setting"], row["part"], row["metric"]): row for row in result.statistics.to_pylist()}
    assert len(figures) == 3 * 2 * 2 * 6
    assert figures[HYBRID.name, "tuning", "mrr@3"]["mean"] == 1.0
    held_out = figures[HYBRID.name, "held-out", "mrr@3"]
    # Ranks 1, 2, 1, 2, ...: (1 + 1/2) / 2, in 6 documents with 1 and 1/2 each.
    assert (held_out["mean"], held_out["n"]) == (0.75, 12)
    interval = mean_interval([1, 0.5] * 6, [i // 2 for i in range(12)], bounds=(0, 1))
    assert interval is not None
    assert (held_out["ci_low"], held_out["ci_high"]) == pytest.approx((interval.low, interval.high))
    assert figures[HYBRID.name, "held-out", "hit_rate@1"]["mean"] == 0.5
    # The default finds everything first there: 0 or 1/2 more, over the held-out questions alone.
    expected = paired_difference([1, 0.5] * 6, [1.0] * 12, [i // 2 for i in range(12)])
    assert result.difference == expected
    assert result.difference is not None
    assert result.difference.mean == -0.25
    assert [row["is_default"] for row in figures.values()] == [row["setting"] == TEXT.name for row in figures.values()]
    assert result.statistics.schema.equals(SWEEP, check_metadata=True)
    assert plan.default == TEXT


def test_of_equally_good_settings_the_simplest_is_chosen() -> None:
    ranks = split([1, 2, 3] * 4, [1] * 12)
    result, plan = result_of({TEXT: split([3] * 12, [1] * 12), VECTOR: ranks, HYBRID: ranks})
    assert result.best == VECTOR
    assert "the highest mrr@3 on the tuning part: 0.611" in sweep_sentences(result, plan)[0]  # (1 + 1/2 + 1/3) / 3


def test_a_default_that_is_the_best_is_compared_with_nothing() -> None:
    result, plan = result_of({TEXT: split([1] * 12, [2] * 12), VECTOR: split([2] * 12, [1] * 12)})
    assert (result.best, result.difference, result.verdict) == (TEXT, None, None)
    assert sweep_sentences(result, plan)[1:] == ["It is the default setting."]


def test_six_documents_are_too_few_to_call_anything_better() -> None:
    result, plan = result_of({TEXT: split([3] * 12, [3] * 12), VECTOR: split([1] * 12, [1] * 12)})
    assert result.verdict == "too few questions"
    assert "too few questions. The difference on the same questions is +0.667" in sweep_sentences(result, plan)[1]


def test_latency_is_that_of_the_questions_of_the_part() -> None:
    result, _ = result_of({TEXT: [1] * 24})
    # The tuning part has the questions 0, 1, 4, 5, ..., 20, 21 with 1, 2, 5, 6, ..., 21, 22 ms: between 10 and 13.
    medians = [row["latency_p50_s"] for row in result.statistics.to_pylist() if row["part"] == "tuning"]
    assert medians == pytest.approx([0.0115] * len(medians))


def test_rows_for_the_terminal_have_the_best_first_and_say_what_it_is() -> None:
    result, plan = result_of({TEXT: split([3] * 12, [1] * 12), VECTOR: split([1] * 12, [2] * 12)})
    first, second = sweep_rows(result, plan)
    assert first["setting"].endswith("(best)")
    assert second["setting"] == "text (default)"  # the boost is the only one, so it is left out
    assert first["mrr@3, tuning"].startswith("1.000 [")
    assert first["mrr@3, held-out"].startswith("0.500 [")


def test_the_page_loads_and_runs_nothing_and_escapes_what_the_configuration_says() -> None:
    ranks = {TEXT: split([3] * 12, [1] * 12), VECTOR: split([1] * 12, [2] * 12), HYBRID: [2] * 24}
    result, plan = result_of(ranks)
    manifest = {"sweep_id": EVIL, "config": {"grid": EVIL}, "dataset": {"documents": 12, "questions": 24} | {
        "tuning": 12, "held_out": 12, "notes": [EVIL],
    }}  # fmt: skip
    page = render_sweep(result, plan, manifest)
    assert EVIL not in page
    assert "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;{{ 7 * 7 }}" in page
    assert not re.search(r"<(script|img|iframe|link(?! rel=\"icon\" href=\"data:,\"))", page)
    assert page.count('class="track tuning"') == page.count('class="track held-out"') == 3
    assert page == render_sweep(result, plan, manifest)
    # Every mark lies on the plot.
    places = [float(place) for place in re.findall(r"left: ([0-9.]+)%", page)]
    assert len(places) == 12
    assert all(0 <= place <= 100 for place in places)
