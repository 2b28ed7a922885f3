"""What runs -> OpenTelemetry spans and the fields of log lines: run, stage, model, chunk.

Spans go to the collector of `OTEL_EXPORTER_OTLP_ENDPOINT`, or wherever an OpenTelemetry SDK that is there already sends
them; with neither, the API's own no-op takes them. They hold names, counts and times: no prompt, no reply, no words of
a server, no key. Attributes of model calls are those of the GenAI semantic conventions.
"""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode

from rageval.config.models import ModelConfig
from rageval.records import Usage

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_logger = logging.getLogger("rageval")
_tracer = trace.get_tracer("rageval")
_doing: ContextVar[Mapping[str, str | int]] = ContextVar("rageval_doing", default=MappingProxyType({}))
_seconds: ContextVar[dict[str, float] | None] = ContextVar("rageval_seconds", default=None)


def export_spans() -> None:
    """Send this process's spans to a collector by OTLP over HTTP, if the environment names one and nothing does it yet.

    Address, headers, time-outs and the service's name are OpenTelemetry's own variables. Spans are sent in batches from
    a thread, the last ones when the process ends; a collector that does not answer costs spans, and never a run.
    """
    if not any(os.environ.get(name) for name in _ENDPOINTS):
        return
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError:
        _logger.warning(
            "No traces are sent: %s names a collector, but the exporter is not installed; pip install 'rageval[otel]', "
            "or unset the variable",
            " or ".join(name for name in _ENDPOINTS if os.environ.get(name)),
        )
        return
    resource = Resource.create({"service.name": "rageval"}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def doing() -> Mapping[str, str | int]:
    """Return what this thread is working on: `run_id`, `stage`, `model`, `chunk`, as far as each is known."""
    return _doing.get()


@contextmanager
def about(**fields: str | int) -> Iterator[None]:
    """Let log lines say what the block is about, also those of threads that it starts."""
    token = _doing.set({**_doing.get(), **fields})
    try:
        yield
    finally:
        _doing.reset(token)


@contextmanager
def step(name: str, **fields: str | int) -> Iterator[None]:
    """Name what the block does, for logs and traces; blocks within it belong to it, also in threads it starts.

    Args:
        name: Name of the span, such as `answers m1`.
        fields: What is known of it, as `doing` returns it; in the span each is prefixed with `rageval.`.
    """
    started = time.monotonic()
    with about(**fields), _span(name, SpanKind.INTERNAL) as span:
        if span.is_recording():
            span.set_attributes({f"rageval.{key}": value for key, value in fields.items()})
        try:
            yield
        finally:
            _note_seconds(fields, time.monotonic() - started)
        _logger.info("%s: done in %.2f s", name, time.monotonic() - started)


@contextmanager
def timed_stages() -> Iterator[Mapping[str, float]]:
    """Yield the seconds of each stage that ends within the block; chunks, which go on side by side, are none."""
    seconds: dict[str, float] = {}
    token = _seconds.set(seconds)
    try:
        yield seconds
    finally:
        _seconds.reset(token)


def _note_seconds(fields: Mapping[str, str | int], seconds: float) -> None:
    noted, stage = _seconds.get(), fields.get("stage")
    if noted is not None and stage and "chunk" not in fields:
        noted[str(stage)] = noted.get(str(stage), 0.0) + seconds


def trace_id() -> str | None:
    """Return the id of the trace that this belongs to, 32 hex digits, or None if nothing is traced."""
    context = trace.get_current_span().get_span_context()
    return format(context.trace_id, "032x") if context.is_valid else None


@contextmanager
def model_call(model: ModelConfig, url: str, attempt: int) -> Iterator[Span]:
    """Trace one request to a model; `note_reply` adds what came back."""
    with _span(f"chat {model.served_name}", SpanKind.CLIENT) as span:
        if span.is_recording():
            span.set_attributes(_asked(model, url, attempt))
        yield span


def note_reply(span: Span, usage: Usage, finish_reason: str | None) -> None:
    """Add what came back to the span of a request."""
    if not span.is_recording():
        return
    found = {
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
        "gen_ai.response.finish_reasons": (finish_reason,) if finish_reason else None,
    }
    span.set_attributes({key: value for key, value in found.items() if value is not None})


def _asked(model: ModelConfig, url: str, attempt: int) -> dict[str, Any]:
    address = urlsplit("" if "${" in url else url)  # what is filled in is not told
    found = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",  # the convention's word for whoever speaks its API
        "gen_ai.request.model": model.served_name,
        "gen_ai.request.temperature": model.temperature,
        "gen_ai.request.max_tokens": model.max_completion_tokens,
        "server.address": address.hostname,
        "server.port": address.port,
        "rageval.attempt": attempt,
    }
    return {key: value for key, value in found.items() if value is not None}


@contextmanager
def _span(name: str, kind: SpanKind) -> Iterator[Span]:
    """Open a span; of an error it keeps the kind and never the text, in which a server may have repeated a key."""
    with _tracer.start_as_current_span(name, kind=kind, record_exception=False, set_status_on_exception=False) as span:
        try:
            yield span
        except BaseException as error:
            span.set_status(StatusCode.ERROR)
            import openai  # noqa: PLC0415 - slow to import

            kind_of_error = type(error).__name__
            if isinstance(error, openai.APIStatusError):
                kind_of_error = str(error.status_code)
            span.set_attribute("error.type", kind_of_error)
            raise
