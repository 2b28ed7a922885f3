"""Deployments served from one process: deployments/prefect.yaml -> deployments on the server, and their runs."""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import ConcurrencyLimitConfig, DeploymentSchedule
from prefect.client.schemas.responses import DeploymentResponse
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound
from prefect.flows import load_flow_from_entrypoint
from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL
from prefect.types.entrypoint import EntrypointType
from prefect.utilities.templating import apply_values
from rich.table import Table

from deployments.build_steps import read_evaluation
from deployments.runner import Runner, ServedDeployment
from deployments.schedules import Memory, apply_schedules, fingerprints, remember, remembered, with_slugs
from flows.server import running_server
from rageval.errors import ConfigError, RagevalError
from rageval.pipeline.allowed import allow_named
from rageval.safety.allowances import FILES, allow
from rageval.text.terminal import console, plain
from rageval.text.yaml_text import DuplicateKeyError, load_yaml

_READ_EVALUATION = f"{read_evaluation.__module__}.{read_evaluation.__name__}"
_FILLED = ("parameters", "schedules")


@dataclass(frozen=True, kw_only=True)
class _Deployment:
    """A deployment of the file, as it is on the server."""

    name: str
    entrypoint: str
    on_server: DeploymentResponse
    schedules: Sequence[DeploymentSchedule]
    memory: Memory


def serve_deployments(file: Path, limit: int) -> None:
    """Serve all deployments of a file until Ctrl-C, then pause them, or until SIGTERM.

    Args:
        file: A `prefect.yaml`, anywhere. Its entrypoints start from the folder above its own if they are there, else
            from the checkout that is installed; those that are modules work in its own folder.
        limit: The most runs at once of a deployment without a limit of its own.

    Raises:
        ConfigError: If there is no such file, its flows are not found, or no server is configured.
        ServiceError: If the server does not answer, or refuses what serving needs later on.
    """
    settings = _read(file)
    file = file.absolute()
    with running_server() as client:
        os.chdir(_folder(file, settings))
        sys.path.insert(0, str(Path.cwd()))
        _allow(file, settings)
        deployments = [_deployed(client, one) for one in settings]
    _show(deployments)
    served = {
        one.on_server.id: ServedDeployment(
            name=one.name,
            entrypoint=one.entrypoint,
            limited=one.on_server.global_concurrency_limit is not None,
        )
        for one in deployments
    }
    if Runner(served=served, limit=limit).run() == signal.SIGINT:
        _pause(deployments)
    else:
        console.print("Stopped. What is due meanwhile starts when the deployments are served again.")


def _allow(file: Path, settings: Sequence[dict[str, Any]]) -> None:
    """Let runs use what the file names and what lies beside it: it was chosen here, unlike what the server says."""
    allow(FILES, [str(file.parent)])
    for one in settings:
        allow_named(one.get("parameters"))
        allow_named([schedule.get("parameters") for schedule in one.get("schedules") or ()])


def _pause(deployments: Sequence[_Deployment]) -> None:
    """Pause what runs by itself, as nobody is there to run it; what somebody has paused in the UI stays theirs."""
    try:
        with running_server() as client:
            for one in deployments:
                if not client.read_deployment(one.on_server.id).paused:
                    client.pause_deployment(one.on_server.id)
                    remember(client, one.on_server, one.memory | {"paused": True})
    except (RagevalError, httpx.HTTPError):
        console.print(
            "Stopped. The server does not answer, so the deployments are not paused: their runs will be late."
        )
        return
    console.print("Stopped. The deployments are paused until they are served, or deployed, again.")


def _read(file: Path) -> list[dict[str, Any]]:
    try:
        content = load_yaml(file.read_text(encoding="utf-8"))
        found: list[dict[str, Any]] = content["deployments"]
    except FileNotFoundError:
        raise ConfigError(
            f"no deployments at {file.absolute()}; run this where `rageval init` has written a prefect.yaml, or in "
            "the checkout, or name the file with --file"
        ) from None
    except DuplicateKeyError as error:
        raise ConfigError(f"{file} cannot be used: {error}") from None
    except (yaml.YAMLError, KeyError, TypeError):
        raise ConfigError(f"{file} is no prefect.yaml: a list `deployments` was expected") from None
    return _filled(found, content.get("build") or (), file.absolute().parent)


def _filled(settings: list[dict[str, Any]], steps: Sequence[Any], folder: Path) -> list[dict[str, Any]]:
    """Return the deployments with what our build step reads; other steps are for those that `prefect deploy` makes."""
    read: dict[str, Any] = {}
    for step in steps:
        inputs = step.get(_READ_EVALUATION) if isinstance(step, Mapping) else None
        if inputs:
            with chdir(folder):
                read[inputs["id"]] = read_evaluation(inputs["file"])
    filled: list[Any] = []
    for one in settings:
        parts: Any = apply_values({name: one[name] for name in _FILLED if name in one}, read, remove_notset=False)
        filled.append(one | parts)
    return filled


def _folder(file: Path, settings: Sequence[dict[str, Any]]) -> Path:
    """Return the folder that the entrypoints start from, and that runs work in."""
    installed = Path(__file__).parents[1]
    flows = _files(settings)
    if not flows:
        return file.absolute().parent
    folders = list(dict.fromkeys([*file.absolute().parents[1:2], installed]))
    for folder in folders:
        if all((folder / flow).is_file() for flow in flows):
            return folder
    missing = next(flow for flow in sorted(flows) if not (installed / flow).is_file())
    raise ConfigError(
        f"{file} has an entrypoint in {missing}, which is neither in {' nor in '.join(map(str, folders))}; entrypoints "
        "start from the folder above that of the file, or from the checkout that is installed"
    )


def _files(settings: Sequence[dict[str, Any]]) -> set[str]:
    """Return the files of the flows; one that is named by its module has none."""
    return {file for file, colon, _ in (one["entrypoint"].rpartition(":") for one in settings) if colon}


def _deployed(client: SyncPrefectClient, settings: dict[str, Any]) -> _Deployment:
    """Bring a deployment to the server, with all that `prefect deploy` would give it; what was set in the UI stays."""
    flow: Flow[..., Any] = load_flow_from_entrypoint(settings["entrypoint"])
    name = f"{flow.name}/{settings['name']}"
    before = _found(client, name)
    memory = remembered(client, before)
    wanted = RunnerDeployment.from_flow(
        flow,
        settings["name"],
        description=settings["description"],
        tags=settings["tags"],
        parameters=settings["parameters"],
        concurrency_limit=_concurrency_limit(settings),
        # What an earlier Ctrl-C has paused goes on; what somebody has paused since it was served does not.
        paused=bool(before and before.paused and memory and not memory.get("paused")),
        entrypoint_type=EntrypointType.FILE_PATH if ":" in settings["entrypoint"] else EntrypointType.MODULE_PATH,
    )
    if before and before.work_pool_name:
        # Prefect would leave it in its pool, with the pool's way to the code, and every run of it would crash here.
        client.delete_deployment(before.id)  # its runs stay
        console.print(plain(f"{name} is taken from the work pool {before.work_pool_name}."), highlight=False)
    wanted.apply()
    on_server = client.read_deployment_by_name(name)
    entries = with_slugs(settings.get("schedules") or ())
    schedules = apply_schedules(client, on_server, entries, memory.get("schedules", {}))
    memory = {"schedules": fingerprints(entries)}
    remember(client, on_server, memory)
    return _Deployment(
        name=name, entrypoint=settings["entrypoint"], on_server=on_server, schedules=schedules, memory=memory
    )


def _found(client: SyncPrefectClient, name: str) -> DeploymentResponse | None:
    try:
        return client.read_deployment_by_name(name)
    except ObjectNotFound:
        return None


def _concurrency_limit(settings: dict[str, Any]) -> ConcurrencyLimitConfig | None:
    limit = settings.get("concurrency_limit")
    return ConcurrencyLimitConfig(**limit) if limit else None


def _show(deployments: Sequence[_Deployment]) -> None:
    table = Table(title="Serving", title_justify="left")
    table.add_column("deployment")
    table.add_column("schedules")
    for deployment in deployments:
        schedules = [f"{one.slug or 'of the UI'}{'' if one.active else ' (off)'}" for one in deployment.schedules]
        name = f"{deployment.name}{' (paused in the UI)' if deployment.on_server.paused else ''}"
        table.add_row(plain(name), plain(", ".join(schedules)) or "-")
    console.print(table)
    ui = PREFECT_UI_URL.value() or PREFECT_API_URL.value()
    console.print(f"UI: {ui}/deployments  (Ctrl-C stops serving, and pauses the deployments)", highlight=False)
