"""Deployments served from one process: deployments/prefect.yaml -> `prefect.serve`."""

import os
import sys
from pathlib import Path
from typing import Any

import yaml
from prefect import Flow, serve
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.flows import load_flow_from_entrypoint
from prefect.schedules import Schedule
from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL
from rich.table import Table

from flows.console import console, plain
from flows.server import running_server
from rageval.errors import ConfigError
from rageval.yaml_text import DuplicateKeyError, load_yaml


def serve_deployments(file: Path, limit: int) -> None:
    """Serve all deployments of a file until Ctrl-C, then pause them.

    Args:
        file: A `prefect.yaml` in a folder of the checkout; its entrypoints start from the checkout.
        limit: The most runs at once.

    Raises:
        ConfigError: If there is no such file, or no server is configured.
        ServiceError: If the server does not answer.
    """
    settings = _read(file)
    with running_server() as client:
        os.chdir(file.absolute().parents[1])
        sys.path.insert(0, str(Path.cwd()))
        deployments = [_deployment(one) for one in settings]
        for deployment in deployments:
            _take_from_pool(client, deployment.full_name)
    _show(deployments)
    serve(*deployments, pause_on_shutdown=True, print_starting_message=False, limit=limit)
    console.print("Stopped. The deployments are paused until they are served, or deployed, again.")


def _read(file: Path) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = load_yaml(file.read_text(encoding="utf-8"))["deployments"]
    except FileNotFoundError:
        raise ConfigError(
            f"no deployments at {file.absolute()}; run this in the checkout, or name its deployments/prefect.yaml with "
            "--file"
        ) from None
    except DuplicateKeyError as error:
        raise ConfigError(f"{file} cannot be used: {error}") from None
    except (yaml.YAMLError, KeyError, TypeError):
        raise ConfigError(f"{file} is no prefect.yaml: a list `deployments` was expected") from None
    return found


def _deployment(settings: dict[str, Any]) -> RunnerDeployment:
    """Return a deployment with the name, parameters, schedules, tags and limit that `prefect deploy` would give it."""
    flow: Flow[..., Any] = load_flow_from_entrypoint(settings["entrypoint"])
    return RunnerDeployment.from_flow(
        flow,
        settings["name"],
        description=settings["description"],
        tags=settings["tags"],
        parameters=settings["parameters"],
        schedules=[Schedule(**schedule) for schedule in settings.get("schedules", [])],
        concurrency_limit=_concurrency_limit(settings),
        paused=False,  # it may be what an earlier Ctrl-C has paused
    )


def _take_from_pool(client: SyncPrefectClient, name: str) -> None:
    """Remove a deployment that lies in a work pool; its runs stay.

    Prefect would leave it in its pool, with the pool's way to the code, and every run of it would crash here.
    """
    try:
        found = client.read_deployment_by_name(name)
    except ObjectNotFound:
        return
    if found.work_pool_name:
        client.delete_deployment(found.id)
        console.print(plain(f"{name} is taken from the work pool {found.work_pool_name}."), highlight=False)


def _concurrency_limit(settings: dict[str, Any]) -> ConcurrencyLimitConfig | None:
    limit = settings.get("concurrency_limit")
    return ConcurrencyLimitConfig(**limit) if limit else None


def _show(deployments: list[RunnerDeployment]) -> None:
    table = Table(title="Serving", title_justify="left")
    table.add_column("deployment")
    table.add_column("schedules")
    for deployment in deployments:
        schedules = [f"{one.slug}{'' if one.active else ' (off)'}" for one in deployment.schedules or ()]
        table.add_row(plain(deployment.full_name), plain(", ".join(schedules)) or "-")
    console.print(table)
    ui = PREFECT_UI_URL.value() or PREFECT_API_URL.value()
    console.print(f"UI: {ui}/deployments  (Ctrl-C stops serving, and pauses the deployments)", highlight=False)
