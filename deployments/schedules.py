"""Schedules of a file + those on the server -> those that hold: what the UI says wins until its entry changes."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleUpdate, DeploymentUpdate, VariableCreate, VariableUpdate
from prefect.client.schemas.objects import DeploymentSchedule
from prefect.client.schemas.responses import DeploymentResponse
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Schedule

Memory = dict[str, Any]
"""What `rageval serve` remembers of a deployment: `schedules`, a fingerprint of each entry that it has applied, and
`paused`, whether it has paused the deployment itself."""


def remembered(client: SyncPrefectClient, deployment: DeploymentResponse | None) -> Memory:
    """Return what was remembered of a deployment at the last time, if it was served before."""
    found = client.read_variable_by_name(_variable(deployment)) if deployment else None
    return dict(found.value) if found and isinstance(found.value, dict) else {}


def remember(client: SyncPrefectClient, deployment: DeploymentResponse, memory: Memory) -> None:
    """Keep it on the server, where whoever serves the deployment next finds it."""
    name = _variable(deployment)
    if client.read_variable_by_name(name):
        client.update_variable(VariableUpdate(name=name, value=memory))
    else:
        client.create_variable(VariableCreate(name=name, value=memory, tags=["rageval"]))


def with_slugs(entries: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the schedules of a deployment in the file by their slugs; without one, the position stands for it."""
    return {
        slug: {**entry, "slug": slug}
        for number, entry in enumerate(entries, start=1)
        for slug in [str(entry.get("slug") or f"schedule-{number}")]
    }


def fingerprints(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return what tells an entry from the same one with another content."""
    return {
        slug: hashlib.sha256(json.dumps(entry, sort_keys=True, default=str).encode()).hexdigest()[:12]
        for slug, entry in entries.items()
    }


def apply_schedules(
    client: SyncPrefectClient,
    deployment: DeploymentResponse,
    entries: Mapping[str, Mapping[str, Any]],
    applied: Mapping[str, str],
) -> list[DeploymentSchedule]:
    """Bring entries of the file that are new or have changed to the server, and take off those that are gone.

    What was set, added or removed in the UI since an entry was applied stays as it is.

    Args:
        client: Of the server.
        deployment: As it is there.
        entries: By their slugs.
        applied: The fingerprints of those that were applied before.

    Returns:
        The schedules that hold from now on.
    """
    now = fingerprints(entries)
    changed = {slug for slug in entries if applied.get(slug) != now[slug]}
    gone = [found for found in deployment.schedules if found.slug in applied and found.slug not in entries]
    for schedule in gone:
        client.delete_deployment_schedule(deployment.id, schedule.id)
    if changed:
        kept = [found for found in deployment.schedules if found not in gone and found.slug not in changed]
        client.update_deployment(
            deployment.id,
            DeploymentUpdate(schedules=[*map(_as_it_is, kept), *(_of(entries[slug]) for slug in sorted(changed))]),
        )
    return client.read_deployment(deployment.id).schedules


def _variable(deployment: DeploymentResponse | None) -> str:
    return f"rageval-serve-{deployment.id}" if deployment else ""


def _as_it_is(found: DeploymentSchedule) -> DeploymentScheduleUpdate:
    return DeploymentScheduleUpdate(
        **found.model_dump(include={"active", "max_scheduled_runs", "parameters", "slug"}), schedule=found.schedule
    )


def _of(entry: Mapping[str, Any]) -> DeploymentScheduleUpdate:
    [schedule] = (
        RunnerDeployment(name="-", flow_name="-", entrypoint="-", schedules=[Schedule(**entry)]).schedules or []
    )
    return DeploymentScheduleUpdate(
        **schedule.model_dump(include={"active", "parameters", "slug"}), schedule=schedule.schedule
    )
