"""`rageval monitor`: new conversations -> verdicts, topics, and alerts by the rules."""

from rageval.cli.arguments import Assignments, ConfigFile, Debug
from rageval.cli.options import MODELS, RUN, Given, offers
from rageval.config.file import read_settings
from rageval.config.overrides import override, validate
from rageval.monitoring.config import MonitoringConfig

SETTINGS = {
    "Conversations": {
        "--days N": "days",
        "--share SHARE": "judging.share",
        "--max-conversations N": "judging.max_conversations",
        "--retention-days N": "retention_days",
    },
    "What is watched": {"--rules FILE": "alerts.rules", "--renew-topics": "topics.renew"},
    MODELS: {
        "--judge NAME": "judging.model",
        "--metric NAME": "judging.metrics",
        "--no-judge": "judging.enabled",
        "--base-url URL": "judging.model.base_url",
        "--api-key-env VAR": "judging.model.api_key_env",
        "--rpm N": "judging.model.rpm",
        "--tpm N": "judging.model.tpm",
        "--max-concurrency N": "judging.model.max_concurrency",
    },
    RUN: {"--max-cost-usd USD": "judging.max_cost_usd"},
}


@offers(MonitoringConfig, SETTINGS)
def monitor(
    given: Given,
    config: ConfigFile = None,
    assignments: Assignments = [],  # noqa: B006 - typer copies it
    debug: Debug = False,
) -> None:
    """Judge new conversations, tell their languages and topics, and hold the last days against the alert rules.

    Conversations are those of MONITORING_DATABASE_URL (default: sqlite:///runs/monitoring.db). Each is judged once by
    each version of a metric, so running it again asks only for what is missing. Whom to tell of alerts says
    RAGEVAL_ALERT_URLS.

    Example:

    rageval monitor --judge gpt-5-mini --share 0.2 --set drift.minimum=100
    """
    settings = read_settings(config) if config else {}
    if "judging.model" in given:
        given["judging.model"] = {"name": given["judging.model"]}
    override(settings, given, assignments)
    configuration = validate(MonitoringConfig, settings)
    from rageval.cli.monitor_run import run_monitor

    run_monitor(configuration, debug=debug)
