"""The golden signals of the chat app as Prometheus metrics: latency, traffic, errors, saturation, and what it costs.

Labels are routes, stages, kinds and the system: a fixed few. Nothing is labelled by conversation, client or text.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from rageval.monitoring.store.recorder import Recorder
from serving.assistant import Assistant, ConversationOutcome

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 120)


class Signals:
    """A registry of its own, so that several apps can live in one process."""

    def __init__(self, assistant: Assistant, recorder: Recorder) -> None:
        registry = self._registry = CollectorRegistry()

        def gauge(name: str, words: str, read: Callable[[], float]) -> None:
            Gauge(f"rageval_chat_{name}", words, registry=registry).set_function(read)

        self.requests = Counter(
            "rageval_chat_requests", "Requests that were answered", ("route", "status"), registry=registry
        )
        self.request_seconds = Histogram(
            "rageval_chat_request_seconds", "Seconds from a request to the end of its response", ("route",),
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.requests_in_flight = Gauge("rageval_chat_requests_in_flight", "Requests under way", registry=registry)
        self.turned_away = Counter(
            "rageval_chat_turned_away", "Requests that a limit or a check refused", ("reason",), registry=registry
        )
        self.votes = Counter(
            "rageval_chat_votes", "Votes that came in, changed ones again", ("thumbs",), registry=registry
        )
        self._stage_seconds = Histogram(
            "rageval_chat_stage_seconds", "Seconds of a question in search, in model (waits for limits included), "
            "and in the app itself (everything but the model)", ("stage",), buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self._failures = Counter("rageval_chat_failures", "Questions without an answer", ("kind",), registry=registry)
        self._tokens = Counter("rageval_chat_tokens", "Tokens", ("system", "kind"), registry=registry)
        self._dollars = Counter("rageval_chat_cost_usd", "US dollars of answers", ("system",), registry=registry)
        self._unpriced = Counter(
            "rageval_chat_unpriced", "Answers whose cost is unknown", ("system",), registry=registry
        )
        gauge("questions_in_flight", "Questions under way", lambda: assistant.in_flight)
        gauge("saturation_ratio", "Questions under way / what the model takes at once", lambda: assistant.saturation)
        gauge(
            "budget_used_ratio",
            "Dollars spent / max_cost_usd; 0 without one, NaN if unknown",
            lambda: assistant.budget_used,
        )
        gauge("database_up", "1 if the database took the last records", lambda: recorder.state.reachable)
        gauge("records_waiting", "Records in memory, not stored yet", lambda: recorder.state.waiting)
        gauge("records_spooled", "Records written to the spool since the start", lambda: recorder.state.spooled)
        gauge("records_refused", "Records that the database refused", lambda: recorder.state.refused)
        gauge(
            "records_forgotten",
            "Records that came after their conversation was deleted for good",
            lambda: recorder.state.forgotten,
        )
        gauge("records_lost", "Records that neither database nor disk took", lambda: recorder.state.lost)

    def note(self, answered: ConversationOutcome) -> None:
        """Count a question that has ended."""
        conversation = answered.conversation
        system = conversation.system
        if answered.failure:
            self._failures.labels(answered.failure).inc()
        for stage, seconds in (
            ("search", conversation.search_s),
            ("model", conversation.model_s),
            ("app", conversation.total_s - (conversation.model_s or 0.0)),
        ):
            if seconds is not None:
                self._stage_seconds.labels(stage).observe(seconds)
        for kind, tokens in (("prompt", conversation.prompt_tokens), ("completion", conversation.completion_tokens)):
            if tokens is not None:
                self._tokens.labels(system, kind).inc(tokens)
        if conversation.cost_usd is not None:
            self._dollars.labels(system).inc(conversation.cost_usd)
        elif conversation.status == "ok":
            self._unpriced.labels(system).inc()

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)
