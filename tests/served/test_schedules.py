"""What `rageval serve` makes of schedules: the file's, and those that somebody has set in the UI."""

from collections.abc import Iterator
from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.responses import DeploymentResponse
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.schedules import apply_schedules, fingerprints, remember, remembered, with_slugs
from tests.served.deployed import Server

NIGHTLY = {"slug": "nightly", "cron": "30 2 * * *", "timezone": "Europe/Berlin", "active": False}
WEEKLY = {"slug": "weekly", "cron": "0 4 * * 0", "active": False, "parameters": {"config": {"data": {"sample": 5}}}}


@pytest.fixture
def client(server: Server) -> Iterator[SyncPrefectClient]:
    with (
        temporary_settings({PREFECT_API_URL: server.environment["PREFECT_API_URL"]}),
        get_client(sync_client=True) as client,
    ):
        yield client


@pytest.fixture
def deployment(client: SyncPrefectClient) -> DeploymentResponse:
    flow_id = client.create_flow_from_name("scheduled")
    client.create_deployment(flow_id, "scheduled")
    return client.read_deployment_by_name("scheduled/scheduled")


def test_a_schedule_set_in_the_ui_stays_until_its_entry_in_the_file_changes(
    server: Server, client: SyncPrefectClient, deployment: DeploymentResponse
) -> None:
    schedules = f"/deployments/{deployment.id}/schedules"

    def served(*entries: dict[str, Any]) -> set[tuple[str | None, str, bool]]:
        """Start to serve with these entries; returns slug, cron and switch of the schedules that hold."""
        now = client.read_deployment(deployment.id)
        wanted = with_slugs(entries)
        found = apply_schedules(client, now, wanted, remembered(client, now).get("schedules", {}))
        remember(client, now, {"schedules": fingerprints(wanted)})
        return {(one.slug, one.schedule.cron, one.active) for one in found}  # type: ignore[union-attr]  # all are crons

    night, week = ("nightly", "30 2 * * *", False), ("weekly", "0 4 * * 0", False)
    assert served(NIGHTLY, WEEKLY) == {night, week}

    ids = {one.slug: one.id for one in client.read_deployment(deployment.id).schedules}
    server.request("PATCH", f"{schedules}/{ids['nightly']}", {"active": True}).raise_for_status()
    of_the_ui = [{"schedule": {"cron": "0 12 * * *"}, "active": True}]
    server.post(schedules, of_the_ui).raise_for_status()
    switched_on, added = ("nightly", "30 2 * * *", True), (None, "0 12 * * *", True)
    assert served(NIGHTLY, WEEKLY) == {switched_on, week, added}

    assert served(NIGHTLY, WEEKLY | {"active": True}) == {switched_on, ("weekly", "0 4 * * 0", True), added}
    assert served(NIGHTLY | {"cron": "0 3 * * *"}, WEEKLY) == {("nightly", "0 3 * * *", False), week, added}
    [weekly] = [one for one in client.read_deployment(deployment.id).schedules if one.slug == "weekly"]
    assert weekly.parameters == WEEKLY["parameters"]

    server.request("DELETE", f"{schedules}/{weekly.id}").raise_for_status()
    assert served(NIGHTLY | {"cron": "0 3 * * *"}, WEEKLY) == {("nightly", "0 3 * * *", False), added}
    assert served() == {added}
