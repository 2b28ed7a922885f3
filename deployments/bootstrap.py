"""Set up what the deployments need: tables, users, work pool, limits, alerts. Run again, it changes nothing.

python -m deployments.bootstrap --limit rageval-openai=100 --webhook-url-env ALERT_WEBHOOK_URL
"""

import os
import re
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.events.actions import SendNotification
from prefect.events.schemas.automations import Automation, AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectNotFound
from prefect.workers.process import ProcessWorker

from deployments.search_user import ADMIN_VARIABLE, set_up_search_user
from flows.server import running_server
from rageval.errors import ConfigError, RagevalError
from rageval.monitoring.store.database import database_url, is_configured, open_database
from rageval.safety.credentials import variable_name
from rageval.search.elasticsearch_errors import USER_VARIABLE
from rageval.storage.private_files import private_files
from rageval.text.printable import printable
from rageval.text.terminal import show_what_can_be_shown

POOL = "rageval"
"""The work pool of deployments/prefect.yaml."""
ALERTS = "rageval-alerts"
"""Name of the notification block and of the automation that uses it."""
WEBHOOK_VARIABLE = "ALERT_WEBHOOK_URL"
"""The environment variable that holds the URL for alerts, unless another one is named."""
NOT_RUN = "rageval-alerts-not-run"
"""Name of the automation for runs that their deployment's limit let not begin."""
_ALERTED_TAG = "scheduled"
_ALERTED_STATES = ("Failed", "TimedOut", "Crashed", "Late")
_FAILED = "Reports scheduled runs that failed, crashed or are late. Made by deployments/bootstrap.py."
_NOT_BEGUN = (
    "Reports scheduled runs that did not begin, for the one before was not done. Made by deployments/bootstrap.py."
)
_LIMIT_REACHED = "Deployment concurrency limit reached*"
"""What the server says of such a run. What somebody cancels by hand says something else, and needs no alert."""

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@app.command()
def bootstrap(
    limit: Annotated[
        list[str],
        typer.Option(
            "--limit",
            help="A budget that runs and workers share: the name that a model's shared_limit gives, and how many "
            "chunks of questions may be under way at once; repeat it for more.",
            metavar="NAME=SLOTS",
        ),
    ] = [],  # noqa: B006
    webhook_url_env: Annotated[
        str,
        typer.Option(
            help="Variable that holds the URL to which failed, crashed and late scheduled runs are reported: Slack, "
            "Mattermost, Teams, or anything that takes JSON with a text.  (default: ALERT_WEBHOOK_URL, if it is set)",
            metavar="VAR",
        ),
    ] = "",
) -> None:
    """Create what the deployments need on the Prefect server that PREFECT_API_URL names, where it is not there yet.

    The database of MONITORING_DATABASE_URL is given its tables, or those of this version, before anybody looks at it.
    With ELASTIC_PASSWORD, Elasticsearch is given the user of ELASTICSEARCH_USERNAME, who may use our indexes only.
    """
    limits = dict(map(_limit, limit))
    if not webhook_url_env and os.environ.get(WEBHOOK_VARIABLE, "").strip():
        webhook_url_env = WEBHOOK_VARIABLE
    webhook = _webhook_url(webhook_url_env) if webhook_url_env else ""
    if is_configured():
        _say("database", open_database(database_url()).name, "up to date")
    if admin_password := os.environ.get(ADMIN_VARIABLE, ""):
        _say("search user", os.environ.get(USER_VARIABLE, ""), set_up_search_user(admin_password))
    with running_server() as client:
        _say("work pool", POOL, _set_up_pool(client))
        for name, slots in limits.items():
            _say("shared limit", name, _set_up_limit(client, name, slots))
        if webhook:
            _say("notification", ALERTS, _set_up_notification(webhook))
            _say("automation", ALERTS, _set_up_automation(client, ALERTS, _FAILED, _ALERTED_STATES))
            _say("automation", NOT_RUN, _set_up_automation(client, NOT_RUN, _NOT_BEGUN, ("Cancelled",), _LIMIT_REACHED))
    if not webhook:
        typer.echo(
            f"No alerts were asked for: with {WEBHOOK_VARIABLE} set, those of scheduled runs are sent to its URL."
        )


def _set_up_pool(client: SyncPrefectClient) -> str:
    template = _closed_template()
    try:
        found = client.read_work_pool(POOL)
    except ObjectNotFound:
        client.create_work_pool(WorkPoolCreate(name=POOL, type=ProcessWorker.type, base_job_template=template))
        return "created"
    if found.base_job_template == ProcessWorker.get_default_base_job_template():
        client.update_work_pool(POOL, WorkPoolUpdate(base_job_template=template))
        return "changed: who starts a run no longer chooses its command and its environment"
    return "unchanged"


def _closed_template() -> dict[str, Any]:
    """Return what a run may set of its process: neither its command nor its environment, nor where it works.

    In Prefect's own template whoever may start a run may have the worker do anything.
    """
    template = ProcessWorker.get_default_base_job_template()
    for name in ("command", "env", "working_dir"):
        del template["job_configuration"][name]
        del template["variables"]["properties"][name]
    return template


def _set_up_limit(client: SyncPrefectClient, name: str, slots: int) -> str:
    try:
        before = client.read_global_concurrency_limit_by_name(name).limit
    except ObjectNotFound:
        before = None
    client.upsert_global_concurrency_limit_by_name(name, slots)
    if before is None:
        return f"created, {slots} slots"
    return f"unchanged, {slots} slots" if before == slots else f"changed from {before} to {slots} slots"


def _set_up_notification(url: str) -> str:
    """Store the URL as the block's secret, which the server encrypts."""
    wanted = CustomWebhookNotificationBlock(
        name=ALERTS, url="{{url}}", json_data={"text": "{{subject}}\n{{body}}"}, secrets={"url": url}
    )
    try:
        found: CustomWebhookNotificationBlock | None = CustomWebhookNotificationBlock.load(ALERTS)  # type: ignore[assignment]  # not async here
    except ValueError:
        found = None
    if found and _settings(found) == _settings(wanted):
        return "unchanged"
    wanted.save(ALERTS, overwrite=True)
    return "changed" if found else "created"


def _settings(block: CustomWebhookNotificationBlock) -> tuple[Any, ...]:
    return block.url, block.json_data, block.secrets.get_secret_value()["url"]


def _set_up_automation(
    client: SyncPrefectClient, name: str, description: str, states: Sequence[str], message: str = ""
) -> str:
    """Report scheduled runs that come into one of some states, if asked for with a message of some form."""
    block = client.read_block_document_by_name(ALERTS, CustomWebhookNotificationBlock.get_block_type_slug())
    wanted = AutomationCore(
        name=name,
        description=description,
        trigger=EventTrigger(
            expect={f"prefect.flow-run.{state}" for state in states},
            match={"prefect.resource.id": "prefect.flow-run.*"}
            | ({"prefect.state-message": message} if message else {}),
            match_related=[
                {"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{_ALERTED_TAG}"},
                # A flow within a flow has no deployment: its end is told by the flow around it.
                {"prefect.resource.role": "deployment", "prefect.resource.id": "prefect.deployment.*"},
            ],
            posture=Posture.Reactive,
        ),
        actions=[
            SendNotification(
                block_document_id=block.id,
                subject="{{ flow.name }}/{{ deployment.name }}: {{ flow_run.state.name }}",
                body="{{ flow_run.name }}\n{{ flow_run.state.message or '' }}\n{{ flow_run|ui_url }}",
            )
        ],
    )
    found = client.read_automations_by_name(name)
    if not found:
        client.create_automation(wanted)
        return "created"
    # Whoever has switched it off in the UI meant it.
    wanted.enabled = found[0].enabled
    if _content(found[0]) == _content(wanted):
        return "unchanged"
    client.update_automation(found[0].id, wanted)
    return "changed"


def _content(automation: Automation | AutomationCore) -> dict[str, Any]:
    return automation.model_dump(include={"description", "trigger", "actions"}, exclude={"trigger": {"id"}})


def _limit(assignment: str) -> tuple[str, int]:
    """Return name and slots of a limit.

    Raises:
        ConfigError: If it is not a name, "=", and at least 1.
    """
    found = re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9._-]*)=([1-9][0-9]{0,5})", assignment)
    if not found:
        raise ConfigError(
            "--limit takes NAME=SLOTS, such as rageval-openai=100: letters, digits, dots, dashes and underscores, and "
            f"at least one slot; found {assignment!r}"
        )
    return found[1], int(found[2])


def _webhook_url(variable: str) -> str:
    """Return the URL that a variable holds.

    Raises:
        ConfigError: If it holds none, or is no name of one. What it holds is not shown: it is a secret.
    """
    try:
        url = os.environ.get(variable_name(variable), "").strip()
    except ValueError as error:
        raise ConfigError(f"--webhook-url-env: {error}") from None
    if not re.fullmatch(r"https?://\S+", url):
        raise ConfigError(
            f"--webhook-url-env names {variable!r}, which should hold a URL that starts with https:// or http://, but "
            f"{'is not set' if not url else 'holds something else'}; export it first"
        )
    return url


def _say(kind: str, name: str, what: str) -> None:
    typer.echo(printable(f"{kind:<13} {name:<22} {what}"))


def main() -> None:
    """Run it; every expected error is one sentence and status 2."""
    show_what_can_be_shown()
    try:
        with private_files():
            app()
    except RagevalError as error:
        typer.secho(f"Error: {error}", fg="red", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
