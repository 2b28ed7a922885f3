"""What a flow's own process, as a worker or `rageval serve` starts it, logs and sends to a collector of traces."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from tests.evaluations import server_variables
from tests.fake_llm import FakeLLM, Reply, prompt
from tests.processes import PATIENCE_S, ROOT, eventually
from tests.served.deployed import allowing

pytestmark = pytest.mark.slow

RAGEVAL = Path(sys.executable).parent / "rageval"
KEY = "sk-very-secret"
FLOW = """
import json, sys
from flows.evaluate import evaluate
from rageval.config.evaluation import EvaluationConfig

evaluate(EvaluationConfig.model_validate(json.loads(sys.argv[1])))
"""


def config_of(corpus: Path, llm: FakeLLM) -> dict[str, Any]:
    return {
        "data": {"documents": str(corpus / "documents.json"), "ground_truth": str(corpus / "questions.csv")},
        "retrievers": [{"method": "text"}],
        "models": [{"name": "m1", "base_url": llm.url}],
        "judge": {"enabled": False},
        "run": {"output": str(corpus / "runs"), "run_id": "r1", "max_failed_share": 0, "chunk_size": 10},
    }


def environment_with(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "OTEL_"))}
    return kept | {
        **server_variables(),
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        "RAGEVAL_LOG_FORMAT": "json",
        "OPENAI_API_KEY": KEY,
        **variables,
    }


@contextmanager
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """Run a collector of traces; yields its address and the bodies that it got."""
    bodies: list[bytes] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *message: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", bodies
        server.shutdown()


def test_a_flow_logs_json_from_where_it_starts_whoever_starts_it(
    prefect_server: None, corpus: Path, llm: FakeLLM
) -> None:
    (corpus / "documents.json").unlink()

    done = subprocess.run(
        [sys.executable, "-c", FLOW, json.dumps(config_of(corpus, llm))],
        cwd=ROOT, env=environment_with(), capture_output=True, text=True, check=False,
    )  # fmt: skip

    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    begun = next(line for line in lines if line.get("task_run_name") == "begin-r1")
    assert begun["run_id"] == "r1"
    [told] = [line for line in lines if "Finished in state Failed" in line["message"] and "task_run_id" not in line]
    assert told["flow_run_id"] == begun["flow_run_id"]
    assert "no such file" in told["message"]


def test_every_line_of_serve_and_of_its_runs_is_json_and_spans_reach_the_collector(
    prefect_server: None, corpus: Path, llm: FakeLLM
) -> None:
    llm.reply = lambda body: (
        Reply(status=400, error=f"{KEY} is refused") if "Please explain: flow" in prompt(body) else "an answer"
    )
    tick = threading.Event()
    with collector() as (address, bodies):
        environment = environment_with(OTEL_EXPORTER_OTLP_ENDPOINT=address, **allowing(corpus))
        with (
            httpx.Client(base_url=environment["PREFECT_API_URL"], timeout=PATIENCE_S) as api,
            (corpus / "serve.log").open("wb") as log,
            subprocess.Popen([RAGEVAL, "serve"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=log)
            as process,
        ):  # fmt: skip
            while not api.get("/deployments/name/index_documents/index").is_success:  # it comes last
                assert process.poll() is None
                tick.wait(0.2)
            ad_hoc = api.get("/deployments/name/evaluate/ad-hoc").json()["id"]
            body = {"parameters": {"config": config_of(corpus, llm)}}
            run = api.post(f"/deployments/{ad_hoc}/create_flow_run", json=body).raise_for_status().json()
            while run["state_type"] not in {"COMPLETED", "FAILED", "CRASHED"}:
                tick.wait(0.2)
                run = api.get(f"/flow_runs/{run['id']}").json()
            # The run's process sends its last spans after it has told the server how it ended.
            eventually("the spans", lambda: any(span.name == "evaluate" for span in spans_in(bodies)))
            process.send_signal(signal.SIGINT)
            process.wait()

    text = (corpus / "serve.log").read_text(encoding="utf-8")
    assert run["state_type"] == "FAILED", text  # one of twenty answers failed, and none may
    lines = [json.loads(line) for line in text.splitlines()]
    assert all(line.keys() >= {"time", "level", "logger", "message"} for line in lines)
    assert {line["flow_run_id"] for line in lines if "flow_run_id" in line} == {run["id"]}
    assert {line["run_id"] for line in lines if "run_id" in line} == {"r1"}
    assert {line.get("stage") for line in lines} >= {"documents", "index", "retrieval", "answers", "scores"}
    assert KEY not in text

    assert {name_of(resource) for resource in resources_in(bodies)} == {"rageval"}
    spans = {span.span_id: span for span in spans_in(bodies)}
    calls = [span for span in spans.values() if span.kind == Span.SPAN_KIND_CLIENT and span.name == "chat m1"]
    assert len(calls) == len(llm.requests) == 20
    assert {spans[call.parent_span_id].name for call in calls} == {"answers of m1"}
    [whole] = [span for span in spans.values() if span.name == "evaluate"]
    assert {span.trace_id for span in calls} == {whole.trace_id}
    sent = b"".join(bodies)
    assert KEY.encode() not in sent
    assert b"Please explain" not in sent


def resources_in(bodies: list[bytes]) -> list[ResourceSpans]:
    return [found for body in bodies for found in ExportTraceServiceRequest.FromString(body).resource_spans]


def spans_in(bodies: list[bytes]) -> list[Span]:
    return [span for one in resources_in(bodies) for scope in one.scope_spans for span in scope.spans]


def name_of(resource: ResourceSpans) -> str:
    [name] = [one.value.string_value for one in resource.resource.attributes if one.key == "service.name"]
    return str(name)
