"""Every flow run ends in a sentence: its final state says what came out, or what went wrong and what to do."""

from pathlib import Path
from typing import Any

import pytest

from rageval.config.evaluation import EvaluationConfig
from rageval.errors import DataError
from tests.fake_llm import FakeLLM
from tests.made_runs import write_run
from tests.processes import eventually


def _config(corpus: Path, llm: FakeLLM, **data: Any) -> EvaluationConfig:
    files = {"documents": str(corpus / "documents.json"), "ground_truth": str(corpus / "questions.csv")}
    settings = {
        "data": files | {"sample": 4} | data,
        "retrievers": ["text", "vector"],
        "models": [{"name": "m1", "base_url": llm.url}],
        "judge": {"enabled": False},
        "run": {"output": str(corpus / "runs"), "run_id": "r1"},
    }
    return EvaluationConfig.model_validate(settings)


def test_an_evaluation_says_what_came_out_and_returns_its_result(
    prefect_server: None, corpus: Path, llm: FakeLLM
) -> None:
    from flows.evaluate import evaluate

    state = evaluate(_config(corpus, llm), return_state=True)

    message = str(state.message)
    assert message.startswith("complete: 4 questions, cosine 0.")
    assert "hit_rate@5 text " in message
    assert message.endswith(f"report: {corpus}/runs/r1/report.html")
    result = evaluate(_config(corpus, llm))
    assert (result.run_id, result.status) == ("r1", "complete")


def test_a_run_has_its_tags_and_its_tasks_have_none_that_a_server_would_have_to_look_up(
    prefect_server: None, corpus: Path
) -> None:
    from prefect import tags
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    from flows.compare import compare

    a, b = (write_run(corpus / name, scores={"m": {"cosine": [0.2, 0.4] * 20}}) for name in ("a", "b"))
    with tags("rageval"):
        run_id = compare(a.folder, b.folder, return_state=True).state_details.flow_run_id

    assert run_id
    with get_client(sync_client=True) as client:
        assert client.read_flow_run(run_id).tags == ["rageval"]
        own = FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))
        # The server stores them from events, a moment later.
        tasks = eventually("its tasks", lambda: client.read_task_runs(flow_run_filter=own))
    assert {tag for task in tasks for tag in task.tags} == set()


def test_an_evaluation_that_cannot_work_says_what_to_do(prefect_server: None, corpus: Path, llm: FakeLLM) -> None:
    from prefect.client.orchestration import get_client

    from flows.evaluate import evaluate

    config = _config(corpus, llm, documents=str(corpus / "nothing.json"))

    state = evaluate(config, return_state=True)
    assert state.is_failed()
    assert "nothing.json" in str(state.message)
    assert "exception" not in str(state.message)
    with get_client(sync_client=True) as client:
        name = client.read_flow_run(state.state_details.flow_run_id).name
    assert name.startswith("m1; 4 questions: ")
    assert "nothing.json" in name, "the name heads the run's page"
    with pytest.raises(DataError, match=r"nothing\.json"):
        evaluate(config)


def test_a_comparison_and_an_index_say_what_they_found(prefect_server: None, corpus: Path, llm: FakeLLM) -> None:
    from flows.compare import compare
    from flows.index_documents import index_documents

    a = write_run(corpus / "a", scores={"m": {"cosine": [0.2, 0.4] * 20}})
    b = write_run(corpus / "b", scores={"m": {"cosine": [0.7, 0.8] * 20}})
    compared = compare(a.folder, b.folder, metrics=("cosine",), return_state=True)
    indexed = index_documents(_config(corpus, llm), return_state=True)

    assert str(compared.message).startswith(
        "b against a: The candidate is better than the baseline in cosine of m (+0.450"
    )
    assert "10 documents, built" in str(indexed.message)
    assert indexed.result().documents == 10


def test_a_deployment_may_leave_every_parameter_out(prefect_server: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.client.orchestration import get_client
    from prefect.flow_engine import run_flow_sync
    from prefect.runtime import flow_run

    from flows import evaluate, generate_ground_truth, index_documents, nightly, sweep

    named = []
    for module in (evaluate, generate_ground_truth, index_documents, nightly, sweep):
        flow = getattr(module, module.__name__.rpartition(".")[2])

        monkeypatch.setattr(module, "end_in_words", lambda body: flow_run.name)
        with get_client(sync_client=True) as client:
            # As a worker does it: the engine gets what the deployment has stored, and no defaults.
            run = client.create_flow_run(flow, parameters={})
        named.append(run_flow_sync(flow, flow_run=run, parameters={}))

    assert named == [
        "local; all questions",
        "questions from sample:documents",
        "index sample:documents",
        "nightly: local; all questions",
        "sweep sample:documents",
    ]
