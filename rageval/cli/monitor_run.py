"""Settings of the flow `monitor` -> new conversations judged, and what has changed shown in the terminal."""

from rageval.cli.rows import print_rows
from rageval.cli.running import prefect_running, stop_on_ctrl_c
from rageval.engine.served_models import check_cache
from rageval.monitoring.config import MonitoringConfig
from rageval.monitoring.notify import addresses
from rageval.monitoring.store.database import database_url, open_database
from rageval.monitoring.summary import agreement_sentence
from rageval.monitoring.watch import read_rules, summarise
from rageval.text.terminal import console, plain


def run_monitor(config: MonitoringConfig, *, debug: bool) -> None:
    """Judge, watch and tell in this process, and show what came out.

    Raises:
        RagevalError: Whatever ended it; what was judged is stored.
    """
    read_rules(config.alerts.rules)  # what is wrong shows before Prefect starts
    addresses()
    if config.judging.enabled:
        check_cache([config.judging.model])
    database = open_database(database_url())
    with prefect_running(None, debug=debug), stop_on_ctrl_c():
        from flows.monitor import monitor as flow

        result = flow(config)
    summary = summarise(database, config, result.now)
    print_rows("The last day", summary.rows())
    print_rows("Has anything changed?", summary.drift_rows())
    for sentence in (agreement_sentence(summary.agreement), *result.evaluated):
        console.print(plain(sentence), highlight=False, soft_wrap=True)
    for alert in result.alerts:
        console.print(f"[bold red]Alert[/bold red] {plain(alert.rule)}: {plain(alert.message)}", soft_wrap=True)
    console.print(plain(result.sentence), highlight=False, soft_wrap=True)
