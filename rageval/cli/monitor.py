"""`rageval monitor`: new conversations evaluated, and the last days held against the rules."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rageval.cli.options import MODELS, RUN, ApiKeyEnv, BaseUrl, ConfigFile, Debug, MaxConcurrency, Rpm, Tpm

if TYPE_CHECKING:
    from rageval.monitoring.config import MonitoringConfig

_CONVERSATIONS, _WATCH = "Conversations", "What is watched"


def monitor(
    config: ConfigFile = None,
    days: Annotated[
        int | None,
        typer.Option(
            help="How far back conversations are judged and rules are checked.  (default: 7)",
            rich_help_panel=_CONVERSATIONS,
        ),
    ] = None,
    sample: Annotated[
        float | None,
        typer.Option(
            help="Share of the conversations that is judged, such as 0.1.  (default: 1)",
            metavar="SHARE",
            rich_help_panel=_CONVERSATIONS,
        ),
    ] = None,
    max_conversations: Annotated[
        int | None,
        typer.Option(
            help="The most that are judged now, by each metric; the next run takes the rest.  (default: 1000)",
            rich_help_panel=_CONVERSATIONS,
        ),
    ] = None,
    retention_days: Annotated[
        int | None,
        typer.Option(
            help="Delete conversations that are older, with everything about them.  (default: delete none)",
            metavar="DAYS",
            rich_help_panel=_CONVERSATIONS,
        ),
    ] = None,
    rules: Annotated[
        str | None,
        typer.Option(
            help="YAML file of alert rules.  (default: deployments/alerts.yaml)",
            metavar="PATH",
            rich_help_panel=_WATCH,
        ),
    ] = None,
    renew_topics: Annotated[
        bool,
        typer.Option("--renew-topics", help="Make topics anew from the last days.", rich_help_panel=_WATCH),
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            help="Judge.  (default: local, the embedded one, whose verdicts are poor)",
            metavar="NAME",
            rich_help_panel=MODELS,
        ),
    ] = None,
    no_judge: Annotated[
        bool,
        typer.Option("--no-judge", help="Judge nothing; languages, topics and rules only.", rich_help_panel=MODELS),
    ] = False,
    base_url: BaseUrl = None,
    api_key_env: ApiKeyEnv = None,
    rpm: Rpm = None,
    tpm: Tpm = None,
    max_concurrency: MaxConcurrency = None,
    max_cost_usd: Annotated[
        float | None,
        typer.Option(
            help="Stop judging once so many dollars are spent; the next run goes on.",
            metavar="USD",
            rich_help_panel=RUN,
        ),
    ] = None,
    set_: Annotated[
        list[str],
        typer.Option(
            "--set",
            help="Any other setting, such as --set drift.minimum=100.",
            metavar="KEY.PATH=VALUE",
            rich_help_panel=RUN,
        ),
    ] = [],  # noqa: B006
    debug: Debug = False,
) -> None:
    """Judge new conversations, tell their languages and topics, and hold the last days against the alert rules.

    Conversations are those of MONITORING_DATABASE_URL (default: sqlite:///runs/monitoring.db). Each is judged once by
    each version of a metric, so running it again asks only for what is missing. Whom to tell of alerts says
    RAGEVAL_ALERT_URLS.
    """  # fmt: skip
    from rageval.config.file import read_settings  # noqa: PLC0415 - help must not wait for imports
    from rageval.config.overrides import put, put_text, validate  # noqa: PLC0415
    from rageval.monitoring.config import MonitoringConfig  # noqa: PLC0415

    settings: dict[str, Any] = read_settings(config) if config else {}
    for path, value in {
        "days": days, "judging.share": sample, "judging.max_conversations": max_conversations,
        "retention_days": retention_days, "alerts.rules": rules, "topics.renew": renew_topics or None,
        "judging.model": model and {"name": model}, "judging.enabled": False if no_judge else None,
        "judging.max_cost_usd": max_cost_usd,
    }.items():  # fmt: skip
        if value is not None:
            put(settings, path, value)
    for name, value in {
        "base_url": base_url, "api_key_env": api_key_env, "rpm": rpm, "tpm": tpm, "max_concurrency": max_concurrency,
    }.items():  # fmt: skip
        if value is not None:
            put(settings, f"judging.model.{name}", value)
    for assignment in set_:
        put_text(settings, assignment)
    _run(validate(MonitoringConfig, settings), debug=debug)


def _run(config: "MonitoringConfig", *, debug: bool) -> None:
    from rageval.cli.evaluation import prefect_running, print_rows, stop_on_ctrl_c  # noqa: PLC0415
    from rageval.engine.served_models import check_cache  # noqa: PLC0415
    from rageval.monitoring.notify import addresses  # noqa: PLC0415
    from rageval.monitoring.store.database import database_url, open_database  # noqa: PLC0415
    from rageval.monitoring.summary import agreement_sentence  # noqa: PLC0415
    from rageval.monitoring.watch import read_rules, summarise  # noqa: PLC0415
    from rageval.text.terminal import console, plain  # noqa: PLC0415

    read_rules(config.alerts.rules)  # what is wrong shows before Prefect starts
    addresses()
    if config.judging.enabled:
        check_cache([config.judging.model])
    database = open_database(database_url())
    with prefect_running(None, debug=debug), stop_on_ctrl_c():
        from flows.monitor import monitor as flow  # noqa: PLC0415 - imports Prefect, which takes seconds

        result = flow(config)
    summary = summarise(database, config, result.now)
    print_rows("The last day", summary.rows())
    print_rows("Has anything changed?", summary.drift_rows())
    for sentence in (agreement_sentence(summary.agreement), *result.evaluated):
        console.print(plain(sentence), highlight=False, soft_wrap=True)
    for alert in result.alerts:
        console.print(f"[bold red]Alert[/bold red] {plain(alert.rule)}: {plain(alert.message)}", soft_wrap=True)
    console.print(plain(result.sentence), highlight=False, soft_wrap=True)
