"""`deployments/prefect.yaml` as it stands: keys, entrypoints, parameters, schedules, and the form that comes of it."""

import importlib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from rageval.config.evaluation import EvaluationConfig
from rageval.corpus.files import load_corpus
from rageval.monitoring.config import MonitoringConfig
from tests.processes import ROOT
from tests.served.deployed import DEPLOYMENTS, name_of

each_deployment = pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=name_of)


@each_deployment
def test_every_key_is_one_that_prefect_knows(deployment: dict[str, Any]) -> None:
    # Prefect ignores a key that it does not know, so a slip of the pen would go unnoticed.
    from prefect.cli.deploy._models import ConcurrencyLimitSpec, DeploymentConfig, RawScheduleConfig, WorkPoolConfig

    assert deployment.keys() <= DeploymentConfig.model_fields.keys()
    assert deployment["work_pool"].keys() <= WorkPoolConfig.model_fields.keys()
    assert deployment.get("concurrency_limit", {}).keys() <= ConcurrencyLimitSpec.model_fields.keys()
    for schedule in deployment.get("schedules", []):
        assert schedule.keys() <= RawScheduleConfig.model_fields.keys()


@each_deployment
def test_every_entrypoint_is_a_flow_that_is_called_like_its_file(deployment: dict[str, Any]) -> None:
    from prefect import Flow

    path, _, function = deployment["entrypoint"].partition(":")
    module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    flow = getattr(module, function)
    assert isinstance(flow, Flow)
    assert module.__file__ == str(ROOT / path)
    assert flow.name == function == Path(path).stem
    assert deployment["parameters"].keys() <= flow.parameters.properties.keys()


@each_deployment
def test_the_stored_parameters_are_a_valid_configuration(
    deployment: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    scheduled = [schedule["parameters"] for schedule in deployment.get("schedules", []) if "parameters" in schedule]
    for parameters in [deployment["parameters"], *scheduled]:
        if deployment["name"] == "monitor":
            watched = MonitoringConfig.model_validate(parameters["config"])
            assert watched.judging.model.is_local, "a deployment as it comes must cost nothing"
            assert (ROOT / watched.alerts.rules).exists()
            continue
        config = EvaluationConfig.model_validate(parameters["config"])

        assert all(model.is_local for model in config.models), "a deployment as it comes must cost nothing"
        assert config.run.run_id == "", "a fixed run id would resume the first run for ever"
        assert load_corpus(config.data).questions


@each_deployment
def test_nothing_runs_by_itself_until_somebody_switches_it_on(deployment: dict[str, Any]) -> None:
    assert not any(schedule["active"] for schedule in deployment.get("schedules", []))


@pytest.mark.parametrize("config", [EvaluationConfig, MonitoringConfig])
def test_every_setting_of_the_form_has_a_place_a_title_and_a_help(config: type[BaseModel]) -> None:
    # Postgres forgets the order of an object's keys, so the form needs positions.
    schema = config.model_json_schema()
    groups = schema["properties"]
    assert sorted(groups, key=lambda name: groups[name]["position"]) == [*config.model_fields]
    for name, definition in schema["$defs"].items():
        assert definition["description"], name
        for setting, field in definition["properties"].items():
            assert field["description"], (name, setting)
            assert "_" not in field["title"], (name, setting)
        assert [field["position"] for field in definition["properties"].values()] == [
            *range(len(definition["properties"]))
        ]
