"""What counts as a verdict, and that nothing else does."""

import json
import pickle

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rageval.judging import replies as judge
from rageval.judging.replies import MAX_REPLY_CHARS, UnreadableVerdictError, Verdict, verdict_of
from rageval.metrics.catalogue import of_kind
from rageval.metrics.correctness import CORRECTNESS
from rageval.metrics.faithfulness import FAITHFULNESS
from rageval.metrics.metric import JudgeMetric
from rageval.metrics.relevance import RELEVANCE
from rageval.metrics.toxicity import TOXICITY

GOOD = '{"reason": "All of it is right.", "label": "RELEVANT"}'
labels = st.sampled_from(sorted(CORRECTNESS.labels))
anything = st.text(st.characters(codec=None), max_size=60)  # lone surrogates too
space = st.text(" \t\r\n", max_size=4)


def verdict_json(reason: str, label: str) -> str:
    return json.dumps({"reason": reason, "label": label})


def read_verdict(reply):
    return judge.read_verdict(reply, verdict_of(CORRECTNESS.scale))


def test_the_bounds_the_best_and_the_worst_label_of_a_judge_metric_follow_from_its_values():
    assert (CORRECTNESS.scale, CORRECTNESS.bounds) == (("RELEVANT", "PARTLY_RELEVANT", "NON_RELEVANT"), (0.0, 1.0))
    assert (CORRECTNESS.counted, CORRECTNESS.worst) == ("RELEVANT", "NON_RELEVANT")
    # Of toxicity less is better: the label whose share is looked at is the one to look at.
    assert (TOXICITY.scale, TOXICITY.counted, TOXICITY.worst) == (("NOT_TOXIC", "TOXIC"), "TOXIC", "TOXIC")
    assert all(metric.good == metric.scale[0] for metric in of_kind(JudgeMetric))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"good": "FINE"}, "the good label 'FINE' is none of YES, NO"),
        ({"instructions": "YES: it is."}, "the instructions do not say what NO means"),
    ],
)
def test_a_judge_metric_that_nobody_could_judge_by_is_refused_where_it_is_made(change, message):
    parts = {"good": "YES", "instructions": "Is it?\nYES: it is.\nNO: it is not."} | change
    with pytest.raises(ValueError, match=message):
        JudgeMetric(
            name="x", version="1", title="X", description="x", sees=("answer",), labels={"YES": 1.0, "NO": 0.0}, **parts
        )


@pytest.mark.parametrize(
    "reply",
    [
        GOOD,
        f"\n  {GOOD}\n",
        f"```json\n{GOOD}\n```",
        f"  ```json\r\n  {GOOD}\r\n```\n",
        '{"label": " RELEVANT\\n", "reason": "All of it is right."}',
        f"```\n{GOOD}\n```",
        f"```JSON {GOOD}```",
    ],
)
def test_one_json_object_alone_or_in_a_fence_is_a_verdict(reply):
    verdict = read_verdict(reply)
    assert (verdict.reason, verdict.label) == ("All of it is right.", "RELEVANT")


@pytest.mark.parametrize(
    "label",
    [
        "partly_relevant",
        "Partly Relevant",
        "PARTLY-RELEVANT",
        "**PARTLY_RELEVANT**",
        "__partly relevant__.",
        "'Partly_Relevant'",
        "`PARTLY  RELEVANT`.",
    ],
)
def test_a_label_is_read_in_any_case_and_with_the_marks_that_judges_put_around_it(label):
    assert read_verdict(verdict_json("why", label)).label == "PARTLY_RELEVANT"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (None, "empty reply"),
        ("", "empty reply"),
        (" \n", "empty reply"),
        ("RELEVANT", "not JSON at character 1"),
        (f"Sure! {GOOD}", "not JSON at character 1"),
        ('{"reason": "x", label: "RELEVANT"}', "not JSON at character 17"),
        ('{"reason": "x", "label": "RELEVANT"', "not JSON at character 36"),
        ("{'reason': 'x', 'label': 'RELEVANT'}", "not JSON at character 2"),
        (f"{GOOD} {GOOD}", "two JSON objects"),
        (f"{GOOD} I hope this helps", f"more text after the JSON value, at character {len(GOOD) + 2}"),
        (f"[{GOOD}]", "not a JSON object"),
        ('"RELEVANT"', "not a JSON object"),
        ('{"reason": "x", "label": "ir-relevant"}', "unknown label"),
        ('{"reason": "x", "label": "NOT RELEVANT"}', "unknown label"),
        ('{"reason": "x", "label": "RELEVANT, NON_RELEVANT"}', "unknown label"),
        ('{"reason": "x", "label": "RELEVANT: yes"}', "unknown label"),
        ('{"reason": "x", "label": "RELEVANT\u200b"}', "unknown label"),
        ('{"reason": "x", "label": "RELEVANT or not"}', "unknown label"),
        ('{"reason": "x", "label": null}', "unknown label"),
        ('{"reason": "x", "label": 1}', "unknown label"),
        ('{"reason": "x", "label": ["RELEVANT"]}', "unknown label"),
        ('{"reason": "x"}', "no label"),
        ('{"label": "RELEVANT"}', "no reason"),
        ('{"reason": null, "label": "RELEVANT"}', "reason is not a text"),
        ('{"reason": "\\ud800", "label": "RELEVANT"}', "reason is not valid Unicode"),
        ('{"reason": "x", "label": "\\ud800"}', "label is not valid Unicode"),
        ('{"reason": "\ud83d", "label": "RELEVANT"}', "reason is not valid Unicode"),
        ('{"reason": "x", "label": "RELEVANT", "score": 1}', "unknown key"),
        ('{"reason": "x", "label": "RELEVANT", "\\udfff": 1}', "unknown key"),
        ('{"reason": "x", "label": "NON_RELEVANT", "label": "RELEVANT"}', "a key stands twice in one object"),
        ('{"reason": {"label": "RELEVANT"}, "label": NaN}', "NaN is not JSON"),
        ('{"reason": "x", "label": -Infinity}', "-Infinity is not JSON"),
        (f'{{"reason": "x", "label": {"9" * 6000}}}', "unknown label"),
        (f"{GOOD[:-1]} {' ' * MAX_REPLY_CHARS}}}", f"reply longer than {MAX_REPLY_CHARS} characters"),
        ("[" * MAX_REPLY_CHARS, "JSON nested too deeply"),
        ('{"a":' * (MAX_REPLY_CHARS // 5), "JSON nested too deeply"),
        (f"```json\n{GOOD}", "code fence that is not one closed block"),
        ("```json```", "code fence that is not one closed block"),
        (f"```the verdict\n{GOOD}\n```", "not JSON at character 8"),
        (f"<think>It says {GOOD}", "not JSON at character 1"),
        (f"It says </think>{GOOD}", "not JSON at character 1"),
        (f"```json\n{GOOD}\n```\n```json\n{GOOD}\n```", "more text after the JSON value, at character 64"),
        (f"Here:\n```json\n{GOOD}\n```", "not JSON at character 1"),
        (f"\ufeff{GOOD}", "not JSON at character 1"),
    ],
)
def test_everything_else_is_unreadable_for_a_stated_reason(reply, reason):
    with pytest.raises(UnreadableVerdictError) as caught:
        read_verdict(reply)
    assert str(caught.value) == reason
    assert caught.value.__cause__ is None  # whose message would repeat the reply
    assert str(pickle.loads(pickle.dumps(caught.value))) == reason


@given(st.one_of(anything, st.text('{}[]":,`\\nlabel reasonRELEVANTjsu0d8 \n', max_size=80)))
@example("```json\n```")
@example('{"reason":' * 1500)
def test_no_text_raises_anything_but_an_unreadable_verdict(text):
    with pytest.raises(UnreadableVerdictError) as caught:
        read_verdict(text)
    assert isinstance(caught.value, ValueError)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | anything, lambda j: st.lists(j) | st.dictionaries(anything, j)
    )
)
def test_no_json_but_a_verdict_is_a_verdict(value):
    with pytest.raises(UnreadableVerdictError):
        read_verdict(json.dumps(value))


@given(reason=st.text(max_size=80), label=labels, before=space, after=space, fenced=st.booleans())
def test_a_verdict_is_read_as_it_was_written(reason, label, before, after, fenced):
    body = verdict_json(reason, label)
    verdict = read_verdict(f"{before}```json\n{body}\n```{after}" if fenced else f"{before}{body}{after}")
    assert (verdict.reason, verdict.label) == (reason, label)


@given(quoted=labels, label=labels, around=st.text(max_size=20))
def test_a_verdict_quoted_from_the_answer_does_not_become_the_verdict(quoted, label, around):
    answer = f'{around}{verdict_json("great", quoted)}{around}```json\n{verdict_json("x", quoted)}\n```"}}'
    assert read_verdict(verdict_json(f"The answer says {answer}", label)).label == label


@given(quoted=labels, before=st.text(max_size=20), after=st.text(max_size=20))
def test_a_verdict_inside_other_words_is_none(quoted, before, after):
    reply = f"{before}{verdict_json('x', quoted)}{after}"
    if before.strip() or after.strip():
        with pytest.raises(UnreadableVerdictError):
            read_verdict(reply)
    else:
        assert read_verdict(reply).label == quoted


def test_each_kind_of_verdict_has_its_own_labels_and_the_same_strictness():
    for own, other in ((CORRECTNESS.scale, FAITHFULNESS.scale), (FAITHFULNESS.scale, CORRECTNESS.scale)):
        kind = verdict_of(own)
        for label in own:
            verdict = judge.read_verdict(verdict_json("why", label), kind)
            assert (type(verdict), verdict.reason, verdict.label) == (kind, "why", label)
        for label in other:
            with pytest.raises(UnreadableVerdictError, match="unknown label"):
                judge.read_verdict(verdict_json("why", label), kind)
        with pytest.raises(UnreadableVerdictError, match="unknown key"):
            judge.read_verdict(json.dumps({"reason": "x", "label": next(iter(own)), "score": 1}), kind)


BOTH = {"relevance": verdict_of(RELEVANCE.scale), "toxicity": verdict_of(TOXICITY.scale)}
KIND = '{"reason": "kind", "label": "NOT_TOXIC"}'
CUT = f'{{"relevance": {GOOD}, "toxicity": {KIND}'


@pytest.mark.parametrize(
    ("reply", "relevance", "toxicity"),
    [
        (f'{{"relevance": {GOOD}, "toxicity": {KIND}}}', "RELEVANT", "NOT_TOXIC"),
        (f'```json\n{{"toxicity": {KIND}, "relevance": {GOOD}}}\n```', "RELEVANT", "NOT_TOXIC"),
        (f'{{"relevance": {GOOD}}}', "RELEVANT", "no verdict on toxicity"),
        # A label of another verdict is none.
        (f'{{"relevance": {KIND}, "toxicity": {GOOD}}}', "unknown label", "unknown label"),
        (f'{{"relevance": {GOOD}, "toxicity": "NOT_TOXIC"}}', "RELEVANT", "not a JSON object"),
        (f'{{"relevance": [{GOOD}], "toxicity": {KIND}}}', "not a JSON object", "NOT_TOXIC"),
        (f'{{"relevance": {GOOD}, "toxicity": {{"reason": "x", "label": "TOXIC", "label": "NOT_TOXIC"}}}}',
         "RELEVANT", "a key stands twice in one object"),
        (f'{{"relevance": {{"reason": "x", "label": "RELEVANT", "score": 1}}, "toxicity": {KIND}}}',
         "unknown key", "NOT_TOXIC"),
    ],
)  # fmt: skip
def test_each_of_several_verdicts_is_read_or_refused_for_itself(reply, relevance, toxicity):
    found = judge.read_verdicts(reply, BOTH)
    said = {name: one.label if isinstance(one, Verdict) else str(one) for name, one in found.items()}
    assert said == {"relevance": relevance, "toxicity": toxicity}


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (None, "empty reply"),
        (GOOD, "unknown key"),
        (f"[{GOOD}, {KIND}]", "not a JSON object"),
        (f'{{"relevance": {GOOD}, "toxicity": {KIND}, "verdict": {GOOD}}}', "unknown key"),
        (f'{{"relevance": {GOOD}, "toxicity": {KIND}, "relevance": {GOOD}}}', "a key stands twice in one object"),
        (f'{{"relevance": {GOOD}}} {{"toxicity": {KIND}}}', "two JSON objects"),
        (CUT, f"not JSON at character {len(CUT) + 1}"),
    ],
)
def test_a_reply_that_is_not_one_object_of_these_verdicts_has_none(reply, reason):
    with pytest.raises(UnreadableVerdictError) as caught:
        judge.read_verdicts(reply, BOTH)
    assert str(caught.value) == reason
