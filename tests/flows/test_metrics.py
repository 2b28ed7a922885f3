"""What a flow pushes to a Pushgateway is what its tables say; a gateway that is no help costs a warning at most."""

import base64
import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow.compute as pc
import pytest

from rageval.config.evaluation import EvaluationConfig
from rageval.engine.counts import ModelCounts
from rageval.engine.request_engine import RequestEngine
from rageval.errors import ConfigError
from rageval.pipeline import pushgateway
from rageval.pipeline.flow_metrics import FlowMetrics
from rageval.pipeline.pushgateway import VARIABLE, gateway, pushed_metrics
from tasks.process import watching, working
from tests.evaluations import Outcome, Rageval
from tests.fake_llm import Body, FakeLLM, Reply, default_reply, is_judgement, prompt
from tests.fake_pushgateway import FakePushgateway, Samples, value
from tests.flows.test_cost import PRICES, spent
from tests.processes import PATIENCE_S

RUN = "/at/metrics/job/rageval/flow/evaluate"
SUCCESS = "/at/metrics/job/rageval_success/flow/evaluate"
KEY = "sk-very-secret"


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePushgateway]:
    """A gateway that the environment names, and that is waited for."""
    monkeypatch.setattr(pushgateway, "_TIMEOUT_S", PATIENCE_S)
    monkeypatch.setattr(pushgateway, "_LAST_S", PATIENCE_S)
    with FakePushgateway() as server:
        monkeypatch.setenv(VARIABLE, server.url)
        yield server


def troubled(body: Body) -> str | Reply:
    """Refuse one question once, break on another once, and never answer a third."""
    seen[prompt(body)] += 1
    first = seen[prompt(body)] == 1
    if "need a worker?" in prompt(body) and first:
        return Reply(status=429, headers={"retry-after-ms": "10"})
    if "explain: worker" in prompt(body) and first and not is_judgement(body):
        return Reply(status=500)
    if "explain: flow" in prompt(body):
        return Reply(status=400, error=f"{KEY} is refused")
    return default_reply(body)


seen: Counter[str] = Counter()


def test_the_figures_of_a_run_are_those_of_its_tables(
    rageval: Rageval, llm: FakeLLM, pushed: FakePushgateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("RAGEVAL_LOG_FORMAT", "json")
    seen.clear()
    llm.reply = troubled
    run = rageval(
        "--model", "m1", *PRICES, "--set", f"models.0.base_url={llm.url}", "--max-cost-usd", "1000",
        "--set", "judge.again_share=0",
    )  # fmt: skip

    assert run.status == 0, run.err
    assert pushed.groups.keys() == {RUN, SUCCESS}
    samples, answers, scores = pushed.groups[RUN], run.table("answers"), run.table("scores")
    verdicts = scores.filter(pc.is_valid(scores["request_fingerprint"]))
    assert sum(requests(samples).values()) == len(llm.requests)
    for role, table in (("answers", answers), ("verdicts", verdicts)):
        of = {"model": "m1", "role": role}
        ok = table.filter(pc.equal(table["status"], "ok"))
        assert value(samples, "requests", **of) == pc.sum(table["attempts"]).as_py()
        assert value(samples, "requests", **of, outcome="ok") == ok.num_rows
        assert value(samples, "records_expected", **of) >= table.num_rows
        assert value(samples, "records", **of, outcome="ok") == ok.num_rows
        assert value(samples, "records", **of, outcome="failed") == table.num_rows - ok.num_rows
        assert value(samples, "request_seconds_count", **of) == ok.num_rows
        assert value(samples, "request_seconds_sum", **of) == pytest.approx(pc.sum(ok["latency_s"]).as_py())
        longest = pc.sum(pc.less_equal(ok["latency_s"], 0.25)).as_py()
        assert value(samples, "request_seconds_bucket", **of, le="0.25") == longest
        assert value(samples, "request_seconds_bucket", **of, le="+Inf") == ok.num_rows
        for kind in ("prompt", "completion"):
            assert value(samples, "tokens", **of, kind=kind) == pc.sum(table[f"{kind}_tokens"]).as_py()
        assert value(samples, "cost_usd", **of) == pytest.approx(pc.sum(table["cost_usd"]).as_py())
        assert value(samples, "requests_in_flight", **of) == 0
    # Of the answers: one is refused once, one breaks once, one fails for good.
    assert requests(samples, role="answers") == {"ok": 19, "refused": 1, "failed": 2, "dropped": 0}
    assert value(samples, "retries", role="answers") == 2
    assert value(samples, "budget_used_ratio") == pytest.approx(spent(run) / 1000)
    assert value(samples, "saturation_ratio", model="m1") == 0
    assert value(samples, "state", state="completed") == value(samples, "state") == 1
    started, ended = value(samples, "started_timestamp_seconds"), value(samples, "ended_timestamp_seconds")
    assert started < ended <= value(pushed.groups[SUCCESS], "last_success_timestamp_seconds")
    stages = {dict(labels)["stage"]: seconds for (name, labels), seconds in samples.items() if name == "stage_seconds"}
    assert stages.keys() == {"documents", "index", "retrieval", "answers_and_scores", "report"}
    assert 0 < sum(stages.values()) <= ended - started
    (start,) = run.manifest["starts"]  # type: ignore[misc]
    # The manifest's time is taken around the stage's own, and rounded to milliseconds.
    assert 0 < stages["answers_and_scores"] <= start["seconds"]["answers_and_scores"] + 0.001
    assert_silent(run)


def requests(samples: Samples, **labels: str) -> dict[str, float]:
    return {
        outcome: value(samples, "requests", outcome=outcome, **labels)
        for outcome in ("ok", "refused", "failed", "dropped")
    }


def assert_silent(run: Outcome) -> None:
    """Nothing is said of the gateway, and no secret is in what the command wrote."""
    assert "Pushgateway" not in run.err
    assert not any(secret in run.err + run.out for secret in (KEY, "s3cret"))


def test_a_run_can_be_watched_and_one_that_fails_keeps_the_time_of_the_last_that_did_not(
    rageval: Rageval, llm: FakeLLM, pushed: FakePushgateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pushgateway, "_EVERY_S", 0.01)
    watched = threading.Event()
    under_way: list[Samples] = []

    def look(path: str, samples: Samples) -> None:
        # Four probes go out, and no more until one is answered.
        if path == RUN and any(name == "requests_in_flight" and number == 4 for (name, _), number in samples.items()):
            under_way.append(samples)
            watched.set()

    def answer(_: Body) -> str:
        assert watched.wait(PATIENCE_S)
        return "an answer"

    pushed.on_push, llm.reply = look, answer
    done = rageval("--no-judge", "--retriever", "text")

    assert done.status == 0, done.err
    first = under_way[0]
    assert value(first, "state", state="running") == 1
    assert not any(name == "ended_timestamp_seconds" for name, _ in first)
    assert value(first, "saturation_ratio", model="m1") == 1
    assert value(first, "records_expected", model="m1") == 20

    succeeded = pushed.groups[SUCCESS]
    llm.reply = lambda _: Reply(status=400, error="the prompt was flagged")
    failed = rageval("--no-judge", "--retriever", "text", run_id="r2")

    assert failed.status == 3
    assert value(pushed.groups[RUN], "state", state="failed") == 1
    assert value(pushed.groups[RUN], "records", outcome="failed") == 20
    assert pushed.groups[SUCCESS] == succeeded


@pytest.mark.parametrize(
    ("trouble", "told"),
    [("away", "cannot be reached (Connection refused)"), ("hangs", "cannot be reached (no answer within 0.2 s)"),
     ("500", "refused them with HTTP 500"), ("401", "refused them with HTTP 401")],
)  # fmt: skip
def test_a_gateway_that_takes_nothing_costs_one_warning_and_no_run(
    rageval: Rageval, pushed: FakePushgateway, monkeypatch: pytest.MonkeyPatch, trouble: str, told: str
) -> None:
    monkeypatch.setenv("RAGEVAL_LOG_FORMAT", "json")
    monkeypatch.setattr(pushgateway, "_EVERY_S", 0.05)
    if trouble == "hangs":
        monkeypatch.setattr(pushgateway, "_TIMEOUT_S", 0.2)
    if trouble == "away":
        monkeypatch.setenv(VARIABLE, "http://us%20er:s3cret@127.0.0.1:9")
    pushed.hangs = trouble == "hangs"
    pushed.status = int(trouble) if trouble.isdigit() else 200

    run = rageval("--no-judge", "--retriever", "text")

    assert run.status == 0, run.err
    assert run.table("answers").num_rows == 20
    warnings = [line for line in map(json.loads, run.err.splitlines()) if line["level"] == "WARNING"]
    assert [line["message"] for line in warnings if VARIABLE in line["message"]] == [
        f"Metrics are missing: the Pushgateway of {VARIABLE} {told}"
    ]
    assert "s3cret" not in run.err + run.out
    assert trouble == "away" or pushed.pushed >= 2
    assert pushed.groups == {}


@pytest.mark.parametrize(
    "address",
    ["https://user:s3cret#1@host", "http://user:12/s3cret@host", "ftp://user:s3cret@host", "http://:9091",
     "http://user:pass@host:s3cret", "s3cret host:99999"],
)  # fmt: skip
def test_what_is_no_address_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv(VARIABLE, address)
    with pytest.raises(ConfigError, match=f"{VARIABLE} is no address of a Pushgateway") as raised:
        gateway()
    assert "s3cret" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("address", ["host:9091", "http://host:9091/", "https://user:p%40ss@host/prefix"])
def test_a_host_alone_is_an_address(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv(VARIABLE, address)
    found = gateway()
    assert found is not None
    assert "@" not in found.url
    assert (found.user, found.password) == (("user", "p@ss") if "@" in address else (None, ""))


def test_a_night_is_told_of_as_one_flow_with_what_its_evaluation_has_asked(
    prefect_server: None, corpus: Path, llm: FakeLLM, pushed: FakePushgateway
) -> None:
    from flows.nightly import nightly

    files = {"documents": str(corpus / "documents.json"), "ground_truth": str(corpus / "questions.csv"), "sample": 4}
    settings = {
        "data": files, "retrievers": ["text"],
        "models": [{"name": "m1", "base_url": llm.url}], "judge": {"again_share": 0},
        "run": {"output": str(corpus / "runs"), "run_id": "r1"},
    }  # fmt: skip
    nightly(EvaluationConfig.model_validate(settings))

    assert pushed.groups.keys() == {f"/at/metrics/job/{job}/flow/nightly" for job in ("rageval", "rageval_success")}
    samples = pushed.groups["/at/metrics/job/rageval/flow/nightly"]
    assert value(samples, "requests") == len(llm.requests) == 12  # an answer and two verdicts for each question
    assert value(samples, "stage_seconds", stage="report") > 0


def test_a_deployment_is_a_group_of_its_own_and_a_flow_that_is_cut_off_says_so(pushed: FakePushgateway) -> None:
    with pytest.raises(KeyboardInterrupt), pushed_metrics("evaluate", "smoke test/1"):
        raise KeyboardInterrupt
    ((path, samples),) = pushed.groups.items()
    name = base64.urlsafe_b64encode(b"smoke test/1").decode()  # as the gateway wants names with a slash
    assert path == f"/at/metrics/job/rageval/deployment@base64/{name}/flow/evaluate"
    assert value(samples, "state", state="crashed") == 1


def test_a_flow_that_asks_nobody_yet_has_spent_nothing_and_its_metrics_follow_its_engine_once_it_is_open() -> None:
    metrics = FlowMetrics({})
    assert {s.name for family in metrics.collect() for s in family.samples if s.labels.keys() & {"model"}} == set()
    assert [family.samples[0].value for family in metrics.collect() if "budget" in family.name] == [0.0]
    with watching(metrics), RequestEngine(max_cost_usd=4.0, spent_usd=1.0) as engine, working(engine):
        engine.expect("relevance by a judge of mine", 2)
    names = {(s.labels["model"], s.labels["role"]) for f in metrics.collect() for s in f.samples if "role" in s.labels}
    assert names == {("a judge of mine", "relevance")}
    assert [family.samples[0].value for family in metrics.collect() if "budget" in family.name] == [0.25]


def test_what_is_unknown_has_no_sample_instead_of_nothing_used() -> None:
    metrics = FlowMetrics({})
    metrics.engine = engine = RequestEngine(max_cost_usd=4.0, spent_usd=None)
    engine.counts["answers of m1"] = ModelCounts(done=2, unpriced=2, without_usage=2)
    engine.counts["answers of m2"] = ModelCounts(done=2, unpriced=1, prompt_tokens=9, completion_tokens=3, cost_usd=0.5)
    engine.counts["answers of m3"] = ModelCounts(expected=2)
    samples = {family.name.removeprefix("rageval_flow_"): family.samples for family in metrics.collect()}

    assert {s.labels["model"]: s.value for s in samples["cost_usd"]} == {"m2": 0.5, "m3": 0.0}
    assert {s.labels["model"] for s in samples["tokens"]} == {"m2", "m3"}
    assert {s.labels["model"]: s.value for s in samples["without_usage"]} == {"m1": 2, "m2": 0, "m3": 0}
    assert samples["budget_used_ratio"] == []
    engine.close()


def test_without_an_address_nothing_is_started() -> None:
    with pushed_metrics("evaluate", ""):
        assert "pushgateway" not in {thread.name for thread in threading.enumerate()}
