"""What a run of Prefect's API may name: real settings, files and servers, in a process that Prefect has started."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from rageval.config.evaluation import EvaluationConfig
from rageval.config.existing_index import ExistingIndexConfig
from rageval.config.models import ModelConfig
from rageval.corpus.files import load_documents
from rageval.embedding.embedder import load_embedder
from rageval.engine.request_engine import RequestEngine
from rageval.errors import ConfigError
from rageval.functions import load_function
from rageval.ground_truth.config import GenerationConfig
from rageval.monitoring.config import MonitoringConfig
from rageval.monitoring.watch import read_rules
from rageval.pipeline.allowed import KINDS, allow_named, check_allowed
from rageval.runs.folders import open_run
from rageval.runs.run import Run
from rageval.safety.credentials import VARIABLE_NAME
from rageval.safety.urls import check_location
from rageval.search.existing_index import ExistingIndex
from rageval.sweep.config import SweepConfig
from tests.fake_llm import FakeLLM

ROOT = Path(__file__).parents[2]
THIEF = "http://127.0.0.2:9/v1"


@pytest.fixture(autouse=True)
def _started_by_prefect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be the process of a run that a worker in the checkout has started, with secrets in its environment."""
    monkeypatch.chdir(ROOT)
    for name in ("PAYROLL_PASSWORD", "ELASTICSEARCH_API_KEY", "PREFECT_API_KEY", "OPENAI_API_KEY", "TEAM_TOKEN"):
        monkeypatch.setenv(name, f"c4n4ry-{name}")
    for name in (
        "VARIABLES",
        "ENDPOINTS",
        "OUTPUTS",
        "FILES",
        "MODULES",
        "INDEXES",
        "HEADERS",
        "KEY_FILES",
        "COMMANDS",
    ):
        monkeypatch.delenv(f"RAGEVAL_ALLOW_{name}", raising=False)
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "00000000-0000-0000-0000-000000000000")


def evaluation(**settings: Any) -> dict[str, Any]:
    return {"config": EvaluationConfig.model_validate(settings)}


def asking(**settings: Any) -> dict[str, Any]:
    return evaluation(models=[{"name": "m1", **settings}])


def retrieving(**settings: Any) -> dict[str, Any]:
    return evaluation(retrievers=[{"method": "elasticsearch", "elasticsearch": settings}])


@pytest.mark.parametrize(
    "parameters",
    [
        asking(api_key_env="PAYROLL_PASSWORD"),
        asking(api_key_env="ELASTICSEARCH_API_KEY"),
        asking(api_key_env="PREFECT_API_KEY"),
        asking(api_key_env="RAGEVAL_CHAT_API_KEY"),
        asking(extra_body={"metadata": {"user": "${PAYROLL_PASSWORD}"}}),
        asking(headers={"x-team": {"env": "PAYROLL_PASSWORD"}}),
        asking(headers={"x-portkey-custom-host": THIEF}),
        asking(key_header="x-portkey-custom-host"),
        asking(key_file="/etc/passwd"),
        asking(key_file="examples/../.env"),
        asking(key_command=["touch", "/var/tmp/of-a-stranger"]),
        asking(tls={"ca_file": "/etc/passwd"}),
        asking(tls={"client_certificate": "data/of-another-run.pem"}),
        evaluation(judge={"panel": [{"name": "j", "key_command": ["id"]}]}),
        asking(base_url=THIEF),
        asking(base_url="https://api.openai.com.example/v1"),
        asking(base_url="https://api.openai.com?@127.0.0.2/v1"),
        asking(base_url="https://api.openai.com/v1/../../elsewhere"),
        asking(base_url="https://api.openai.com:8443/v1"),
        asking(base_url="http://api.openai.com/v1"),
        asking(base_url="http://127.0.0.2/${OPENAI_API_KEY}"),
        evaluation(judge={"model": {"name": "j", "base_url": THIEF}}),
        evaluation(judge={"panel": [{"name": "j", "base_url": THIEF}]}),
        evaluation(judge={"human_labels": "/etc/passwd"}),
        evaluation(prompts=[{"name": "p", "file": "/etc/passwd"}]),
        evaluation(prompts=[{"name": "p", "file": "http://127.0.0.2:9/p.md?key=${OPENAI_API_KEY}"}]),
        evaluation(data={"documents": "/etc/passwd"}),
        evaluation(data={"documents": ".env"}),
        evaluation(data={"documents": "examples/../.env"}),
        evaluation(data={"documents": "file:///etc/passwd"}),
        evaluation(data={"documents": "http://127.0.0.2:9/x.json?key=${OPENAI_API_KEY}"}),
        evaluation(data={"ground_truth": "latest:/srv/other/questions.csv"}),
        evaluation(run={"output": "/var/tmp/of-a-stranger"}),
        evaluation(run={"output": "runs/../rageval"}),
        evaluation(run={"output": "s3://of-a-stranger/runs"}),
        evaluation(run={"dask_scheduler": "tcp://127.0.0.2:8786"}),
        evaluation(index={"embedding_model": "stranger/with-code"}),
        evaluation(retrievers=[{"method": "python", "function": "os:system"}]),
        evaluation(retrievers=[{"method": "python", "function": "examples/ask.py:main"}]),
        retrieving(index="payroll"),
        retrieving(index="*"),
        retrieving(index="faq", query_file="/etc/passwd"),
        retrieving(index="faq", embedding_model="stranger/with-code"),
        {"config": MonitoringConfig.model_validate({"alerts": {"rules": "/etc/passwd"}})},
        {"config": MonitoringConfig.model_validate({"judging": {"model": {"name": "j", "base_url": THIEF}}})},
        {"config": SweepConfig.model_validate({"grid": {"embedding_models": ["stranger/with-code"]}})},
        {"folder": "/srv/other/runs/demo"},
        {"run_a": "runs/a", "run_b": "runs/b", "html": "/var/tmp/page.html"},
    ],
    ids=repr,
)
def test_what_the_environment_of_the_worker_does_not_name_is_refused_in_one_sentence(
    parameters: dict[str, Any],
) -> None:
    with pytest.raises(ConfigError, match="Prefect's API") as refused:
        check_allowed(parameters)

    assert "c4n4ry" not in str(refused.value)


def check(model: ModelConfig) -> None:
    """Reach the endpoint of a model, as a run does before it asks."""
    with RequestEngine() as engine:
        engine.check(model)


@pytest.mark.parametrize(
    "use",
    [
        lambda: load_documents("/etc/passwd"),
        lambda: load_documents(f"{THIEF}/documents.json"),
        lambda: read_rules("/etc/passwd"),
        lambda: load_embedder("stranger/with-code", 1, None),
        lambda: load_function("os:system"),
        lambda: ExistingIndex(ExistingIndexConfig(index="payroll"), 1.0, 5),
        lambda: open_run(EvaluationConfig.model_validate({"run": {"output": "/var/tmp/of-a-stranger"}}).run).path,
        lambda: Run("/srv/other/runs/demo").read_json("run.json"),
        lambda: check(ModelConfig(name="m1", base_url=THIEF)),
        lambda: check(ModelConfig(name="m1", api_key_env="PAYROLL_PASSWORD")),
        lambda: check(ModelConfig(name="m1", headers={"x-team": "1"})),
        lambda: check(ModelConfig(name="m1", key_file="/etc/passwd")),
        lambda: check(ModelConfig(name="m1", key_command=["id"])),
        lambda: check(ModelConfig(name="m1", tls={"ca_file": "/etc/passwd"})),
    ],
    ids=[
        "documents",
        "url",
        "rules",
        "embedding model",
        "function",
        "index",
        "output",
        "folder",
        "endpoint",
        "variable",
        "header",
        "key file",
        "command",
        "authorities",
    ],
)
def test_where_a_thing_is_used_it_is_refused_too_whatever_brought_it_there(use: Callable[[], object]) -> None:
    with pytest.raises(ConfigError, match="Prefect's API"):
        use()


def test_every_setting_that_may_be_a_path_a_url_or_a_variable_is_checked() -> None:
    configurations = (EvaluationConfig, MonitoringConfig, SweepConfig, GenerationConfig)
    found = {name for configuration in configurations for name in locations(configuration)}

    assert found >= {"documents", "ground_truth", "human_labels", "file", "output", "base_url", "api_key_env"}
    assert found >= {"key_file", "ca_file", "client_certificate", "client_key", "env"}
    assert found <= set(KINDS)


def locations(model: type[BaseModel]) -> Iterator[str]:
    """Yield the names of all settings of a group, and of the groups in it, that are read as one of these."""
    for name, field in model.model_fields.items():
        checks = [getattr(one, "func", None) for one in field.metadata]
        if check_location in checks or any(VARIABLE_NAME in getattr(one, "pattern", "") for one in field.metadata):
            yield name
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from locations(part)


def test_what_the_deployments_of_the_project_name_is_allowed_without_any_setting() -> None:
    check_allowed(evaluation())
    check_allowed({"config": MonitoringConfig()})
    check_allowed(evaluation(data={"ground_truth": "latest:examples/faq/ground-truth.csv"}))
    check_allowed(asking(api_key_env="ANTHROPIC_API_KEY"))
    check_allowed(asking(base_url="https://api.openai.com/v1"))


def test_the_environment_of_the_worker_and_the_file_that_is_served_name_more(
    monkeypatch: pytest.MonkeyPatch, llm: FakeLLM, tmp_path: Path
) -> None:
    mine = {
        "models": [{"name": "m1", "base_url": llm.url, "api_key_env": "TEAM_TOKEN"}],
        "data": {"documents": f"{tmp_path}/documents.json", "ground_truth": f"latest:{tmp_path}/mine/questions.csv"},
        "retrievers": [
            {"method": "python", "function": "search.py:find", "function_folder": "mine"},
            {"method": "elasticsearch", "elasticsearch": {"index": "help-center"}},
        ],
    }
    monkeypatch.setenv("RAGEVAL_ALLOW_OUTPUTS", f"'{tmp_path}/with a blank' s3://mine/runs")
    for name in ("VARIABLES", "ENDPOINTS", "FILES", "MODULES", "INDEXES", "HEADERS", "KEY_FILES", "COMMANDS"):
        monkeypatch.setenv(f"RAGEVAL_ALLOW_{name}", "")

    allow_named({"config": mine})

    check_allowed(evaluation(**mine, run={"output": f"{tmp_path}/with a blank/runs"}))
    check_allowed(evaluation(**mine, run={"output": "s3://mine/runs/of/tonight"}))
    with pytest.raises(ConfigError, match="RAGEVAL_ALLOW_OUTPUTS"):
        check_allowed(evaluation(**mine, run={"output": "s3://mine/other"}))
    monkeypatch.setenv("RAGEVAL_ALLOW_VARIABLES", "ELASTICSEARCH_API_KEY")
    with pytest.raises(ConfigError, match="of a service beside the run"):
        check_allowed(asking(api_key_env="ELASTICSEARCH_API_KEY"))


def test_of_a_gateway_a_served_file_allows_what_it_says_and_nothing_beside(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("VARIABLES", "ENDPOINTS", "FILES", "HEADERS", "KEY_FILES", "COMMANDS"):
        monkeypatch.setenv(f"RAGEVAL_ALLOW_{name}", "")
    key_file = f"{tmp_path}/with a blank.key"
    headers = {"x-route": "to the west", "x-team": {"env": "TEAM_TOKEN"}}
    named = [{"name": "x-route", "value": "to the west"}, {"name": "x-team", "value": "${TEAM_TOKEN}"}]
    of_file = {"name": "m1", "headers": headers, "key_file": key_file}
    of_command = {"name": "m2", "headers": named, "key_command": ["pass", "show", "it's mine"]}

    allow_named({"config": {"models": [of_file, of_command]}})

    check_allowed(evaluation(models=[of_file, of_command]))
    for other in (
        {"headers": {"x-route": "elsewhere"}},
        {"key_command": ["pass", "show", "another"]},
        {"key_file": f"{tmp_path}/another.key"},
    ):
        with pytest.raises(ConfigError, match="Prefect's API"):
            check_allowed(asking(**other))
    with pytest.raises(ConfigError, match="RAGEVAL_ALLOW_FILES"):  # what holds a key is no text to be shown to a model
        check_allowed(evaluation(prompts=[{"name": "p", "file": key_file}]))


def test_a_run_in_a_shell_keeps_its_freedom(monkeypatch: pytest.MonkeyPatch, llm: FakeLLM) -> None:
    monkeypatch.delenv("PREFECT__FLOW_RUN_ID")

    check_allowed(evaluation(data={"documents": "/srv/mine.json"}, run={"output": "/var/tmp/mine"}))
    check(ModelConfig(name="m1", base_url=llm.url, api_key_env="PAYROLL_PASSWORD"))
