"""The report says what the tables say, and shows hostile data as text."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from statistics import mean

import numpy as np
import pyarrow as pa
import pytest

from rageval.comparison.comparisons import compare_within, comparison_table
from rageval.comparison.measurements import RunTables
from rageval.comparison.summary import summarize
from rageval.config.evaluation import EvaluationConfig
from rageval.metrics.correctness import ANSWER_LABELS
from rageval.pages import formats, plots
from rageval.report.empty_searches import empty_searches
from rageval.report.failures import failures
from rageval.report.headline import headline
from rageval.report.markdown import render_markdown
from rageval.report.page import render_page
from rageval.report.report_data import ReportData
from rageval.report.worst import worst_answers
from rageval.runs.manifest import Manifest, RunStart, RunTotals
from rageval.statistics.intervals import mean_interval
from rageval.tables import SCHEMAS
from tests.made_runs import question_row

START = datetime(2025, 1, 1, tzinfo=UTC)
HOSTILE = (
    "<script>alert(1)</script></style></pre></details></td><img src=https://evil.example/x onerror=alert(1)>"
    "\" onmouseover=\"alert(2)' autofocus '{{ 7 * 7 }}{% raw %}<!-- $x^2$ | `b` [a](https://evil.example)\n"
    "\u202eesrever\x00\x1b[31m\u2028&lt;&#60;javascript:alert(3)"
)
TOKENS = {"cached_tokens": None, "reasoning_tokens": None}


def build(n=12, models=("alpha", "beta"), text="plain words", seed=0, status="complete", quality=(0.8, 0.5)):
    """A run of `n` questions over n/3 documents; every 7th answer failed, every 5th verdict is unreadable."""
    random = np.random.default_rng(seed)
    documents = [
        {"document_id": f"d{i}", "title": f"Title {text}", "text": text * 3, "metadata": {text: f"{text} {i % 2}"}}
        | {"content_hash": ""}
        for i in range(max(6, n // 3))
    ]
    questions = [
        question_row(f"q{i}", f"d{i // 3}", question=f"{i}? {text}", filter_value=text, references=[text * 3])
        for i in range(n)
    ]
    retrieval = [
        {"question_id": f"q{i}", "retriever": retriever, "document_ids": found_for(i)}
        | {"scores": [2.0, 1.0], "first_relevant_rank": 1 if i % 4 else None, "latency_s": 0.01 * (i + 1)}
        for retriever in ("vector", "text")
        for i in range(n)
    ]
    answers, scores = [], []
    for model, good in zip(models, quality, strict=False):
        for i in range(n):
            key = {"question_id": f"q{i}", "system": model, "repeat": 1}
            answers.append(key | {"context_ids": found_for(i)} | answer(i % 7 != 6, f"{i} {text}", random, text))
            value = float(np.clip(random.normal(good, 0.1), -1, 1))
            scores += [key | score for score in scores_of(i, value, good, random, text)]
    rows = {
        "documents": documents,
        "questions": questions,
        "systems": [system_row(model, text) for model in models],
        "retrieval": retrieval,
        "answers": answers,
        "scores": scores,
    }
    tables = {name: pa.Table.from_pylist(rows[name], schema=SCHEMAS[name]) for name in rows}
    summary = summarize(
        *(tables[name] for name in ("questions", "retrieval", "answers", "scores")), top_k=2, cutoffs=[1]
    )
    facts = manifest(models, text, status)
    comparisons = comparison_table(compare_within(RunTables(name="run", manifest=facts, **tables)))
    return ReportData(
        **tables, verdicts=tables["scores"], summary=summary, comparisons=comparisons, manifest=facts
    )  # fmt: skip


def found_for(i):
    """The right document first, or, for every fourth question, two others."""
    return [f"d{i // 3 + j}" for j in ((0, 1) if i % 4 else (1, 2))]


def system_row(model, text):
    text = " ".join(text.splitlines())  # each line of a prompt is an element of its own
    return {
        "system": model, "kind": "pipeline", "retriever": "vector", "prompt": "default", "prompt_hash": "0" * 32,
        "prompt_system": text, "prompt_user": f"{text} {{{{ question }}}}", "model": model, "parameters": "{}",
    }  # fmt: skip


def answer(ok, words, random, text):
    return {
        "status": "ok" if ok else "failed",
        "answer": words if ok else None,
        "error": None if ok else f"timed out after 60 s, request {random.integers(1000)}: {text}",
        "attempts": 1,
        "finish_reason": "stop",
        "prompt_tokens": 100 if ok else None,
        "completion_tokens": 20 if ok else None,
        "cost_usd": 0.001 if ok else None,
        "latency_s": 1.5 if ok else None,
        "request_fingerprint": "",
        "started_at": START,
    } | TOKENS


def scores_of(i, value, good, random, text):
    blank = {"value": None, "label": None, "reason": None, "error": None, "raw_reply": text, "judge_model": None}
    blank |= {"metric_version": "1", "attempts": 0, "prompt_tokens": None, "completion_tokens": None}
    blank |= {"cost_usd": None, "latency_s": None, "request_fingerprint": None} | TOKENS
    judged = blank | {"metric": "correctness", "judge_model": text, "attempts": 1}
    if i % 7 == 6:
        yield blank | {"metric": "cosine", "status": "skipped", "error": "no answer"}
        yield judged | {"status": "skipped", "error": "no answer"}
        return
    yield blank | {"metric": "cosine", "status": "ok", "value": value}
    if i % 5 == 4:
        yield judged | {"status": "unscored", "error": f"not JSON at character {i}"}
        return
    rest = (1 - min(good, 1)) / 2
    label = str(random.choice(list(ANSWER_LABELS), p=[1 - 2 * rest, rest, rest]))
    yield judged | {"status": "ok", "value": ANSWER_LABELS[label], "label": label, "reason": text}


AT = "2025-01-01T00:00:00Z"


def changed(run, **values):
    return run.manifest.model_copy(update=values)


def manifest(models, text, status):
    named = [re.sub(r"[\x00-\x1f]", "", m) for m in models]
    config = EvaluationConfig.model_validate({"models": named, "retrieval": {"top_k": 2, "cutoffs": [1]}})
    return Manifest(
        run_id=f"run {text}",
        status=status,
        started_at="2025-01-01T00:00:00Z",
        finished_at="2025-01-01T00:10:00Z",
        config=config,
        notes=(text,),
        totals=RunTotals(requests=1234, cost_usd=None),
        versions={"rageval": text},
        git_revision=text,
    )


class Page(HTMLParser):
    """The page as a reader and a browser meet it: elements with attributes, words, and rows of tables."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.words, self.rows = [], [], {}
        self.section, self.in_cell = "", False
        self.feed(html)
        self.rows = {
            name: [[" ".join(cell.split()) for cell in row] for row in rows] for name, rows in self.rows.items()
        }
        self.text = " ".join("".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, tuple(attrs)))
        self.section = dict(attrs).get("id", self.section) if tag == "section" else self.section
        if tag == "tr":
            self.rows.setdefault(self.section, []).append([])
        if tag in ("td", "th"):
            self.rows[self.section][-1].append("")
        self.in_cell = self.in_cell or tag in ("td", "th")

    def handle_endtag(self, tag):
        self.in_cell = self.in_cell and tag not in ("td", "th")

    def handle_data(self, data):
        self.words.append(data)
        if self.in_cell:
            self.rows[self.section][-1][-1] += data


@pytest.fixture(scope="module")
def run():
    return build()


@pytest.fixture(scope="module")
def page(run):
    return Page(render_page(run))


def test_hostile_data_changes_no_element_and_no_attribute():
    hostile_models = (f"a{HOSTILE[:150]}", f"b{HOSTILE[:150]}")
    tame = Page(render_page(build(text="tame", models=("a", "b"))))
    html = render_page(build(text=HOSTILE, models=hostile_models))
    page = Page(html)
    assert page.elements == tame.elements  # data has become none of them
    assert not {tag for tag, _ in page.elements} & {"script", "img", "iframe", "object", "form", "base"}
    assert not [name for _, attrs in page.elements for name, _ in attrs if name.startswith("on")]
    assert "<script>alert(1)</script></style>" in page.text  # shown as it is
    assert "{{ 7 * 7 }}" in page.text
    assert not re.search("[\x00-\x08\x0b-\x1f\u2028\u202a-\u202e\u2066-\u2069\ud800-\udfff]", html)
    assert "[U+202E]" in page.text


def test_lone_surrogates_of_the_manifest_do_not_stop_the_page_from_being_written(run):
    html = render_page(replace(run, manifest=changed(run, run_id="a\ud800b", notes=("\udfff",))))
    assert "a\ufffdb" in html.encode("utf-8").decode()


def test_the_page_loads_nothing_and_runs_nothing(run, page):
    for tag, attrs in page.elements:
        for name, value in attrs:
            assert name not in {"src", "srcset", "data", "action", "poster", "background", "xlink:href"}
            if name == "href":
                assert re.fullmatch(r"#[a-z]+|data:,", value), (tag, value)
            assert "url(" not in (value or "")
    html = render_page(run)
    assert "@import" not in html
    assert "url(" not in html
    assert not re.search(r"https?://", html)
    assert "default-src 'none'" in html


def test_ids_are_unique_and_links_lead_somewhere(page):
    ids = [value for _, attrs in page.elements for name, value in attrs if name == "id"]
    links = [value[1:] for tag, attrs in page.elements for name, value in attrs if tag == "a" and name == "href"]
    assert len(set(ids)) == len(ids)
    assert set(links) <= set(ids)


def test_the_answers_table_equals_a_recomputation_from_the_scores(run, page):
    header, *body = page.rows["answers"]
    assert header == ["metric", "alpha", "beta"]
    assert [line[0] for line in body] == ["correctness", "cosine"]
    scores, document = run.scores.to_pylist(), {f"q{i}": f"d{i // 3}" for i in range(12)}
    for metric, *line in body:
        for model, shown in zip(("alpha", "beta"), line, strict=True):
            rows = [s for s in scores if (s["system"], s["metric"]) == (model, metric) and s["value"] is not None]
            values = [s["value"] for s in rows]
            limits = (-1, 1) if metric == "cosine" else (0, 1)
            interval = mean_interval(values, [document[s["question_id"]] for s in rows], bounds=limits)
            assert shown == f"{mean(values):.3f} [{interval.low:.3f}, {interval.high:.3f}] {len(values)}/12"


def test_the_retrieval_table_and_the_rank_plots_count_the_same_misses(page):
    # Questions 0, 4 and 8 of 12 find nothing; all others find their document first: 9/12 for both metrics.
    columns = list(zip(*page.rows["retrieval"][:9], strict=True))
    header, vector, text = columns
    deeper = page.rows["retrieval"][9:]
    assert header[1:7] == ("hit_rate@2", "mrr@2", "recall@2", "precision@2", "ndcg@2", "map@2")
    assert vector[0] == "vector"
    assert vector[1].startswith("0.750 [")
    assert vector[1].endswith("12/12")
    assert vector[2] == vector[1]
    assert vector[7] == "65.0 ms"  # median of 10, 20, ..., 120 ms
    assert text[0] == "text"
    # The second table has every metric at both depths, after a row that names the retriever.
    assert deeper[:2] == [["metric", "@1", "@2"], ["vector"]]
    assert deeper[2][0] == "hit_rate"
    assert [shown.partition(" ")[0] for shown in deeper[2][1:]] == ["0.750", "0.750"]
    assert [row[0] for row in deeper[2:8]] == ["hit_rate", "mrr", "recall", "precision", "ndcg", "map"]
    assert deeper[8] == ["text"]
    assert page.text.count("not among the first 2 for 3 of 12 (25.0 %)") == 2


def test_unknown_cost_is_unknown_and_partly_known_sums_say_so(run, page):
    costs = {row[0]: row for row in page.rows["cost"]}
    # Question 6 failed: 11 of 12 answers at 0.001 dollars and 100 + 20 tokens each.
    assert costs["alpha"][1:] == ["1.5 s", "1.5 s", "1,100 (11/12)", "220 (11/12)", "$0.011000 (11/12)", "$0.001000"]
    assert costs["plain words"] == ["plain words", "24", "unknown", "unknown", "unknown"]
    assert "costunknown" in page.text  # the run's total: name and value


def test_the_labels_table_counts_every_verdict_with_its_failures(run, page):
    rows = [row for row in page.rows["distributions"] if row[0] in ("alpha", "beta")]
    for row in rows:
        counts = [int(cell) for cell in row[2:]]
        labels = [s["label"] for s in run.scores.to_pylist() if s["system"] == row[0] and s["label"]]
        # Of 12 questions, number 6 has no answer, and the verdicts of 4 and 9 are unreadable.
        assert counts == [*(labels.count(label) for label in ANSWER_LABELS), 2, 0, 1]


def test_failures_that_differ_only_in_numbers_are_one_reason(run):
    found = failures(run.questions, run.answers, run.scores)
    assert [(f.what, f.status, f.n, dict(f.systems)) for f in found] == [
        ("correctness", "unscored", 4, {"alpha": 2, "beta": 2}),
        ("answer", "failed", 2, {"alpha": 1, "beta": 1}),
    ]
    assert found[0].reason == "not JSON at character 4"
    assert found[0].question == "4? plain words"


def test_worst_answers_come_by_judge_then_cosine_with_their_contexts(run):
    tables = (run.documents, run.questions, run.answers, run.scores)
    worst = worst_answers(*tables, limit=4)
    assert list(worst) == ["alpha", "beta"]
    scores = {(s["question_id"], s["metric"]): s["value"] for s in run.scores.to_pylist() if s["system"] == "beta"}

    def rank(i):
        judged = scores[(f"q{i}", "correctness")]
        return (judged is None, judged or 0, scores[(f"q{i}", "cosine")])

    expected = sorted((i for i in range(12) if i != 6), key=rank)[:4]
    assert [case.question for case in worst["beta"]] == [f"{i}? plain words" for i in expected]
    case = worst_answers(*tables, limit=99)["alpha"][0]
    number = int(case.question.split("?")[0])
    assert [c.document_id for c in case.contexts] == found_for(number)
    assert [c.right for c in case.contexts] == [number % 4 != 0, False]


def test_a_complete_run_has_no_warning_and_an_incomplete_one_counts_what_is_there(run, page):
    assert "not complete" not in page.text
    partial = build(status="incomplete", models=("alpha", "beta"), quality=(0.8,))  # beta was never asked
    text = Page(render_page(partial)).text
    assert "This run is not complete." in text
    assert "answers: 11 of 24 (45.8 %)" in text
    assert "correctness: 9 of 24 (37.5 %)" in text


def test_an_incomplete_run_says_why_and_a_resumed_one_adds_up_its_starts(run):
    starts = (
        RunStart(started_at=AT, seconds={"answers": 50.0, "scores": 40.0}),
        RunStart(started_at=AT, notes=("killed",)),
        RunStart(started_at=AT, seconds={"answers": 300.5}),
    )
    ended = changed(run, status="incomplete", reason="10 % of answers <failed>", starts=starts)
    text = Page(render_page(replace(run, manifest=ended))).text
    assert "This run is not complete. 10 % of answers <failed>. Its values" in text
    assert "working time6 min 30 s" in text  # 50 + 40 + 300.5 seconds
    assert "starts.3.seconds.answers300.500" in text


def said_of(run):
    return headline(run.summary, run.comparisons)


def test_the_headline_says_what_the_comparison_says_and_never_more():
    clear = said_of(build(n=60, quality=(0.9, 0.2)))
    value = r"0\.\d+ \[0\.\d+, 0\.\d+\]"
    assert re.fullmatch(
        rf"The highest mean correctness is {value} \(alpha\)\. Question by question: it is better than beta "
        r"\(at the same price\)\.",
        clear[0],
    )
    alike = said_of(build(n=60, quality=(0.6, 0.6)))
    assert "too few questions to tell it from" in alike[0]
    assert "better" not in alike[0]
    alone = said_of(build(models=("alpha",)))
    assert "nothing to compare it with" in alone[0]
    tied = build(n=4, models=("alpha", "beta"), quality=(20, 20), seed=1)  # cosine is 1.0 for all
    only_cosine = tied.summary.filter(pa.compute.equal(tied.summary["metric"], "cosine"))
    assert "too few questions" in headline(only_cosine, tied.comparisons)[0]
    assert "it was not compared with" in headline(build(n=60).summary)[0]


def test_a_search_that_finds_nothing_for_most_questions_is_named_at_the_top(run):
    rows = run.retrieval.to_pylist()
    assert empty_searches(run.retrieval) == []
    for empty, sentences in ((6, 0), (7, 1)):  # of 12 questions
        for row in [row for row in rows if row["retriever"] == "text"][:empty]:
            row |= {"document_ids": [], "scores": [], "first_relevant_rank": None}
        retrieval = pa.Table.from_pylist(rows, schema=run.retrieval.schema)
        assert len(empty_searches(retrieval)) == sentences
    said = "The retriever text found no document at all for 7 of 12 questions"
    assert said in render_page(replace(run, retrieval=retrieval)).partition("<nav")[0]
    assert said in render_markdown(replace(run, retrieval=retrieval))


def test_the_embedded_model_is_announced_for_what_it_is(page):
    note = "The embedded 270M model is there to try the pipeline, not to judge by."
    assert note not in page.text
    assert note in Page(render_page(build(models=("local", "beta")))).text


def test_long_texts_are_cut_and_say_how_much_is_missing():
    assert formats.cut("abcdef", 4) == "abcd… (2 more characters)"
    assert formats.cut("abcd", 4) == "abcd"
    long = build(text="w" * 2500)
    html = render_page(replace(long, manifest=changed(long, notes=(), versions={}, git_revision=None, run_id="r")))
    assert f"{'w' * 1998}… (502 more characters)" in html  # an answer: "0 " and 2,500 letters
    assert f"{'w' * 2000}… (5,500 more characters)" in html  # a reference of 7,500
    assert "w" * 2001 not in html[html.index('id="worst"') :]


def test_a_run_without_a_single_row_still_has_a_page():
    empty = {name: schema.empty_table() for name, schema in SCHEMAS.items()}
    text = Page(render_page(ReportData(**empty, manifest=manifest(("m",), "", "incomplete")))).text
    assert "No answer could be scored." in text
    assert "Nothing was retrieved." in text


def test_the_same_run_gives_the_same_page(run):
    assert render_page(run) == render_page(run)


def test_1830_questions_and_3_models_make_a_page_below_1_mb():
    words = 'Use `docker run -it` & check that the "port" isn\'t taken, then retry <the command>. ' * 30
    big = build(n=1830, models=("alpha", "beta", "gamma"), text=words, quality=(0.8, 0.7, 0.6))
    assert len(render_page(big).encode()) < 1_000_000


def test_figures_are_drawn_to_scale_in_colours_of_the_page():
    bar = plots.stacked_bar({plots.GOOD: 3, plots.MIDDLE: 0, plots.BAD: 1})
    widths = {colour: float(width) for width, colour in re.findall(r'width="([\d.]+)" \S+ fill="var\(--(\w+)\)"', bar)}
    assert widths["good"] == pytest.approx(3 * widths["bad"])  # 3 to 1, and nothing for nothing
    assert set(widths) == {"good", "bad"}
    histogram = plots.histograms([np.array([-0.2, 0.5, 0.99]), np.array([])])[0]
    assert "#" not in histogram
    assert "font-family" not in histogram
    assert " id=" not in histogram


@pytest.mark.parametrize(
    ("top", "steps"), [(1, "0 1"), (5, "0 2 4"), (40, "0 10 20 30 40"), (12_000, "0 5,000 10,000"), (3, "0 1 2 3")]
)
def test_a_figure_has_at_most_four_steps_of_round_numbers(top: int, steps: str) -> None:
    figure = plots.rank_bars([{"1": top, "none": 0}])[0]
    assert re.findall(r'text-anchor="end">([\d,]+)<', figure) == steps.split()
    assert re.findall(r'height="([\d.]+)" fill', figure) == ["95", "0"], "the highest bar is as high as the axis"


def test_markdown_tables_hold_hostile_names_in_their_cells():
    hostile = build(text=HOSTILE, models=(f"a{HOSTILE[:150]}", "b|c"))
    text = render_markdown(hostile)
    assert "<" not in text
    assert "](" not in text.replace("\\](", "")
    tables = re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE)
    assert len(tables) == 5  # answers, comparisons, retrieval, cost, totals
    for table in tables:
        columns = {len(re.findall(r"(?<!\\)\|", line)) for line in table.strip().splitlines()}
        assert len(columns) == 1
    assert "b\\|c" in text


def test_markdown_shows_the_same_figures_as_the_page(run, page):
    text = render_markdown(run).replace("\\", "")
    for row in page.rows["answers"][1:]:
        assert f"| {' | '.join(row)} |" in text


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (formats.share(1829, 1830), "1,829 of 1,830 (99.9 %)"),
        (formats.share(1, 5000), "1 of 5,000 (0.1 %)"),
        (formats.share(0, 0), "0 of 0"),
        (formats.number(-0.0001), "0.000"),
        (formats.number(None), "unknown"),
        (formats.duration(0.0123), "12.3 ms"),
        (formats.duration(1872), "31 min 12 s"),
        (formats.duration(7384), "2 h 3 min"),
        (formats.usd(0), "$0.000"),
        (formats.usd(0.000203), "$0.000203"),
        (formats.usd(3.1274), "$3.127"),
        (formats.usd(1e-9), "less than $0.000001"),
        (formats.fact("wall_s", 90), "90.0 s"),
        (formats.fact("calls", 16470), "16,470"),
        (formats.fact("resumed", True), "True"),
    ],
)
def test_values_have_one_form(shown, expected):
    assert shown == expected
