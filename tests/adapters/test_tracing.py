"""Traces: what stands in a span, whose child it is, and what never stands there."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from rageval.telemetry import tracing
from tests.adapters.asking import Asker
from tests.fake_llm import FakeLLM, Reply


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """The spans that have ended, as the SDK keeps them."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("rageval"))
    return exporter


@pytest.fixture
def ask(llm: FakeLLM) -> Iterator[Asker]:
    asker = Asker(llm)
    yield asker
    asker.engine.close()


def calls_in(spans: tuple[ReadableSpan, ...]) -> list[ReadableSpan]:
    return [span for span in spans if span.kind is SpanKind.CLIENT]


def test_a_model_call_belongs_to_the_step_that_asked_across_threads(ended: InMemorySpanExporter, ask: Asker) -> None:
    def work(stage: str) -> None:
        with tracing.step(stage, stage=stage, run_id="r1"):
            ask(["why is that so?"] * 2, temperature=0.5, max_completion_tokens=40)

    threads = [threading.Thread(target=work, args=(stage,)) for stage in ("answers", "scores")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    spans = ended.get_finished_spans()
    calls = calls_in(spans)
    steps = {span.context.span_id: span for span in spans if span.kind is SpanKind.INTERNAL}
    assert sorted(steps[span.parent.span_id].name for span in calls if span.parent) == [
        "answers", "answers", "scores", "scores",
    ]  # fmt: skip
    assert [span.attributes["rageval.run_id"] for span in steps.values() if span.attributes] == ["r1", "r1"]
    assert {span.status.status_code for span in spans} == {StatusCode.UNSET}
    call = calls[0]
    assert call.name == "chat m"
    attributes = dict(call.attributes or {})
    for number in ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "server.port"):
        found = attributes.pop(number)
        assert isinstance(found, int)
        assert found > 0
    assert attributes == {
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
    ended: InMemorySpanExporter, ask: Asker, llm: FakeLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    replies = [Reply(status=500, error="sk-very-secret broke"), Reply(status=400, error="sk-very-secret is a bad key")]
    llm.reply = lambda body: replies.pop(0)

    (reply,) = ask(["a question that nobody may see"])

    assert reply.error is not None
    spans = ended.get_finished_spans()
    assert [span.attributes["error.type"] for span in spans if span.attributes] == ["500", "400"]
    assert [span.attributes["rageval.attempt"] for span in spans if span.attributes] == [1, 2]
    assert {span.status.status_code for span in spans} == {StatusCode.ERROR}
    assert [span.status.description for span in spans] == [None, None]
    written = "".join(span.to_json() for span in spans)
    assert "secret" not in written
    assert "question" not in written


def test_without_an_sdk_nothing_is_recorded(ask: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    tracing.export_spans()

    with tracing.step("answers", stage="answers", model="m1", chunk=3):
        assert not trace.get_current_span().is_recording()
        assert tracing.doing() == {"stage": "answers", "model": "m1", "chunk": 3}
        assert [reply.text is not None for reply in ask(1)] == [True]


def test_a_collector_without_its_exporter_costs_the_traces_and_says_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:secret@127.0.0.1:4318")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)

    tracing.export_spans()

    [said] = [record.getMessage() for record in caplog.records if "traces" in record.getMessage()]
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in said
    assert "pip install 'rageval[otel]'" in said
    assert "secret" not in said


def test_a_collector_that_is_down_costs_the_traces_and_not_the_run() -> None:
    code = "from rageval.telemetry import tracing\ntracing.export_spans()\nwith tracing.step('answers'): print('done')"
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://user:secret@127.0.0.1:1", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}

    ran = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | variables, capture_output=True, text=True, check=False
    )

    assert (ran.returncode, ran.stdout) == (0, "done\n")
    assert "Failed to export" in ran.stderr
    assert "secret" not in ran.stderr
