"""Traces: what stands in a span, whose child it is, and what never stands there."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags

from rageval.adapters import tracing
from tests.adapters.asking import Asker
from tests.fake_llm import FakeLLM, Reply


class RecordedSpan(NonRecordingSpan):
    """A span that keeps what it is told, by the interface that an SDK implements."""

    def __init__(self, number: int, name: str, kind: SpanKind, parent: "RecordedSpan | None") -> None:
        super().__init__(SpanContext(1, number, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED)))
        self.name, self.kind, self.parent = name, kind, parent
        self.attributes: dict[str, Any] = {}
        self.status: StatusCode | None = None
        self.events: list[Any] = []
        self.ended = False

    def is_recording(self) -> bool:
        return True

    def set_attribute(self, key: str, value: Any) -> None:
        self.attributes[key] = value

    def set_attributes(self, attributes: Any) -> None:
        self.attributes |= attributes

    def set_status(self, status: Any, description: str | None = None) -> None:
        assert description is None
        self.status = status

    def record_exception(self, exception: BaseException, *rest: Any, **more: Any) -> None:
        self.events.append(exception)

    def end(self, end_time: int | None = None) -> None:
        self.ended = True


class Recorder(trace.Tracer):
    """A tracer that keeps its spans."""

    def __init__(self) -> None:
        self.spans: list[RecordedSpan] = []

    def start_span(self, name: str, context: Any = None, kind: SpanKind = SpanKind.INTERNAL, **_: Any) -> RecordedSpan:  # type: ignore[override]  # the rest is not used here
        parent = trace.get_current_span(context)
        known = parent if isinstance(parent, RecordedSpan) else None
        self.spans.append(RecordedSpan(len(self.spans) + 1, name, kind, known))
        return self.spans[-1]

    @contextmanager
    def start_as_current_span(  # type: ignore[override]  # same
        self, name: str, context: Any = None, kind: SpanKind = SpanKind.INTERNAL, **how: Any
    ) -> Iterator[RecordedSpan]:
        span = self.start_span(name, context, kind)
        how = {key: how[key] for key in ("record_exception", "set_status_on_exception")}
        with trace.use_span(span, end_on_exit=True, **how):
            yield span


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    found = Recorder()
    monkeypatch.setattr(tracing, "_tracer", found)
    return found


@pytest.fixture
def ask(llm: FakeLLM) -> Iterator[Asker]:
    asker = Asker(llm)
    yield asker
    asker.engine.close()


def test_a_model_call_belongs_to_the_step_that_asked_across_threads(recorder: Recorder, ask: Asker) -> None:
    def work(stage: str) -> None:
        with tracing.step(stage, stage=stage, run_id="r1"):
            ask(["why is that so?"] * 2, temperature=0.5, max_completion_tokens=40)

    threads = [threading.Thread(target=work, args=(stage,)) for stage in ("answers", "scores")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    calls = [span for span in recorder.spans if span.kind is SpanKind.CLIENT]
    assert sorted(span.parent.name for span in calls if span.parent) == ["answers", "answers", "scores", "scores"]
    steps = [span for span in recorder.spans if span.kind is SpanKind.INTERNAL]
    assert [span.attributes["rageval.run_id"] for span in steps] == ["r1", "r1"]
    assert all(span.ended and span.status is None for span in recorder.spans)
    call = calls[0]
    assert call.name == "chat m"
    assert call.attributes.pop("gen_ai.usage.input_tokens") > 0
    assert call.attributes.pop("gen_ai.usage.output_tokens") > 0
    assert call.attributes.pop("server.port") > 0
    assert call.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "m",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 40,
        "gen_ai.response.finish_reasons": ("stop",),
        "server.address": "127.0.0.1",
        "rageval.attempt": 1,
    }
    assert tracing.doing() == {}


def test_a_failed_call_says_the_kind_of_error_and_none_of_the_servers_words(
    recorder: Recorder, ask: Asker, llm: FakeLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    replies = [Reply(status=500, error="sk-very-secret broke"), Reply(status=400, error="sk-very-secret is a bad key")]
    llm.reply = lambda body: replies.pop(0)

    (reply,) = ask(["a question that nobody may see"])

    assert reply.error is not None
    assert [span.attributes["error.type"] for span in recorder.spans] == ["500", "400"]
    assert [span.attributes["rageval.attempt"] for span in recorder.spans] == [1, 2]
    assert {span.status for span in recorder.spans} == {StatusCode.ERROR}
    written = repr([(span.name, span.attributes, span.events) for span in recorder.spans])
    assert "secret" not in written
    assert "question" not in written


def test_without_an_sdk_nothing_is_recorded(ask: Asker) -> None:
    with tracing.step("answers", stage="answers", model="m1", chunk=3):
        assert not trace.get_current_span().is_recording()
        assert tracing.doing() == {"stage": "answers", "model": "m1", "chunk": 3}
        assert [reply.text is not None for reply in ask(1)] == [True]
