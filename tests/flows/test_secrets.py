"""Secrets that a run needs reach whom they are for, and are in nothing that the run leaves behind or says."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import get_current_settings
from prefect.utilities.callables import parameter_schema

from deployments import bootstrap
from flows.evaluate import evaluate
from rageval.monitoring.publish import publish
from rageval.monitoring.store.database import open_database
from rageval.runs.run import Run
from tests.evaluations import Rageval
from tests.fake_llm import Body, FakeLLM, Reply, default_reply, prompt
from tests.guarded_website import guarded_website

CANARY = "c4n4ry"
"""Stands in every secret of these tests."""
SIGNATURE, PASSWORD, TEAM = f"{CANARY}%2Fsig", f"{CANARY}-password", f"{CANARY}-team"
KEY = f"sk-proj-{CANARY}AbCdEfGh12345678"


def holding(text: str, folder: Path) -> list[str]:
    """Return the files below a folder, and those of Prefect's database, that hold a text, and the names that do."""
    url = get_current_settings().server.database.connection_url
    assert url is not None
    database = Path(url.get_secret_value().partition(":///")[2])
    files = [*(path for path in folder.rglob("*") if path.is_file()), *database.parent.glob(f"{database.name}*")]
    assert database in files
    return [str(path) for path in files if text in str(path) or text.encode() in path.read_bytes()]


@pytest.fixture
def host(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("FAQ_SIG", SIGNATURE)
    monkeypatch.setenv("FAQ_PASSWORD", PASSWORD)
    monkeypatch.setenv("FAQ_LOGIN", f"somebody:{PASSWORD}")
    monkeypatch.setenv("TEAM", TEAM)
    with guarded_website(corpus, query=f"sig={SIGNATURE}", login=f"somebody:{PASSWORD}") as website:
        yield website


def test_what_is_filled_in_is_used_and_is_in_no_file_no_database_and_no_word_of_a_run(
    rageval: Rageval, corpus: Path, llm: FakeLLM, host: str
) -> None:
    """Signed documents, questions and an endpoint behind a password, a token in a parameter; the server repeats all."""

    def reply(body: Body) -> str | Reply:
        if "Why would I need a flow?" in prompt(body):
            return Reply(status=400, error=f"{body['user']} with {PASSWORD} may not ask that")
        return default_reply(body)

    llm.reply = reply
    (corpus / "labels.csv").write_text("question_id,system\nq,m1\n")
    run = rageval(
        "--documents", f"http://{host}/documents.json?sig=${{FAQ_SIG}}",
        "--ground-truth", f"http://somebody:${{FAQ_PASSWORD}}@{host}/questions.csv",
        "--set", f"judge.human_labels=http://{host}/labels.csv?sig=${{FAQ_SIG}}",
        "--set", "models=[{name: m1, extra_body: {user: '${TEAM}'}}]", "--debug",
        base_url=llm.url.replace("http://", "http://${FAQ_LOGIN}@"),
    )  # fmt: skip
    assert run.status == 0, run.err
    assert {body["user"] for body in llm.requests} == {TEAM}
    assert "[key] with [key] may not ask that" in str(run.table("answers")["error"].to_pylist())
    assert f"http://{host}/labels.csv: missing columns: label" in (run.folder / "report.html").read_text()

    publish(open_database(f"sqlite:///{corpus}/runs/monitoring.db"), Run(str(run.folder)))
    assert holding(CANARY, corpus / "runs") == []
    assert CANARY not in run.out + run.err
    assert holding("${FAQ_SIG}", corpus / "runs"), "which is looked for in the right places"


def test_what_the_command_line_is_given_with_a_secret_is_refused_before_it_is_a_parameter(
    rageval: Rageval, corpus: Path, llm: FakeLLM
) -> None:
    for options in (
        ["--documents", f"https://user:{CANARY}@host/documents.json"],
        ["--ground-truth", f"https://host/questions.csv?sig={CANARY}"],
        ["--output", f"s3://key:{CANARY}@bucket/runs"],
        ["--api-key-env", f"{CANARY}0123456789abcdef", "--model", "local"],
        ["--base-url", f"https://user:{CANARY}@host/v1", "--model", "local"],
        ["--set", f"models=[{{name: m1, extra_body: {{api_key: {CANARY}}}}}]"],
        ["--set", f"models=[{{name: m1, extra_body: {{api_key: {CANARY}"],
    ):
        run = rageval(*options)
        assert run.status == 2, options
        assert run.err.count("Error: ") == 1
        assert CANARY not in run.out + run.err
    assert holding(CANARY, corpus) == []
    assert llm.requests == []


def test_prefects_server_refuses_a_secret_before_it_stores_it(prefect_server: None, tmp_path: Path) -> None:
    def config(**model: Any) -> dict[str, Any]:
        return {"models": [{"name": "m", **model}]}

    schema = parameter_schema(evaluate).model_dump_for_openapi()
    with get_client(sync_client=True) as client:
        deployment = client.create_deployment(
            client.create_flow(evaluate), name="guarded", parameter_openapi_schema=schema, enforce_parameter_schema=True
        )
        for refused in (
            {"data": {"documents": f"https://user:{CANARY}@host/documents.json"}},
            {"data": {"ground_truth": f"https://host/questions.csv?a=1&X-Amz-Signature={CANARY}"}},
            {"judge": {"human_labels": f"https://host/labels.csv?token={CANARY}"}},
            {"run": {"output": f"s3://key:{CANARY}@bucket/runs"}},
            config(base_url=f"https://user:{CANARY}@host/v1"),
            config(api_key_env=KEY),
            config(extra_body=[{"name": "api_key", "value": f"{CANARY}-key"}]),
            config(extra_body=[{"name": "extra_headers", "value": f'{{"X-Api-Key": "{CANARY}-key"}}'}]),
            config(headers=[{"name": "x-api-key", "value": f"{CANARY}-key"}]),
        ):
            with pytest.raises(PrefectHTTPStatusError, match="409"):
                client.create_flow_run_from_deployment(deployment, parameters={"config": refused})
        body = [{"name": "api_key", "value": "${KEY}"}, {"name": "seed", "value": "1"}]
        headers = [{"name": "x-api-key", "value": "${KEY}"}, {"name": "x-team", "env": "TEAM_TOKEN"}]
        filled_in = config(base_url="https://host/v1?sig=${SIG}", extra_body=body, headers=headers)
        client.create_flow_run_from_deployment(deployment, parameters={"config": filled_in})
    assert holding(CANARY, tmp_path) == []


def test_a_url_in_the_place_of_its_variable_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    url = f"https://hooks.example.org/services/{CANARY}"
    monkeypatch.setattr(sys, "argv", ["bootstrap", "--webhook-url-env", url])
    with pytest.raises(SystemExit) as ended:
        bootstrap.main()
    out, err = capfd.readouterr()
    assert ended.value.code == 2
    assert "--webhook-url-env: expected the name of an environment variable" in err
    assert CANARY not in out + err
