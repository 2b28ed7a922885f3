"""Alerts as they are stored: what their rules are about."""

from dataclasses import replace
from datetime import timedelta

from rageval.monitoring.alert_rules import Rule, WindowStatistic, alerts_of
from rageval.monitoring.store.alert_log import record_alerts, unsent_alerts
from rageval.monitoring.store.database import Database
from rageval.monitoring.windows import Window
from tests.monitoring.made import NOW

DAY = timedelta(days=1)


def test_an_alert_keeps_what_its_rule_is_about_as_it_was_last(database: Database) -> None:
    rule = Rule(name="errors", statistic="error_share", above=0.1, system="s1", filter_value="c", minimum=1)
    days = [
        WindowStatistic(window=Window(start=NOW + n * DAY, end=NOW + (n + 1) * DAY), value=0.5, n=10) for n in range(2)
    ]

    (first,) = record_alerts(database, alerts_of(rule, days[:1], NOW))
    assert (first.system, first.filter_value) == ("s1", "c")
    assert unsent_alerts(database, NOW) == [first]

    (longer,) = alerts_of(rule.model_copy(update={"system": "", "filter_value": "d"}), days, NOW)
    assert record_alerts(database, [longer]) == []
    assert unsent_alerts(database, NOW) == [replace(longer, raised_at=first.raised_at)]
