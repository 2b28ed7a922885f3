"""Conversations -> verdicts, languages, topics; windows of time -> alerts, told; the summary as artifacts."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from rageval.config.models import ModelConfig
from rageval.errors import RagevalError
from rageval.metrics import catalogue
from rageval.metrics.metric import JudgeMetric
from rageval.monitoring import online, watch
from rageval.monitoring.alert_rules import Rule
from rageval.monitoring.config import MonitoringConfig
from rageval.monitoring.notify import VARIABLE
from rageval.monitoring.records import Alert
from rageval.monitoring.store.conversations import forget_before
from rageval.monitoring.store.database import Database, database_url, open_database
from rageval.monitoring.summary import Summary, summary_markdown, summary_sentence
from tasks import process
from tasks.limits import LimitSlots


def database() -> Database:
    """Return the monitoring database that the environment names; it is no parameter, because it may hold a password."""
    return open_database(database_url())


@task
def forget_old(days: int, now: datetime) -> int:
    """Delete conversations that are older than so many days, with everything about them; returns how many."""
    gone = forget_before(database(), now - timedelta(days=days))
    get_run_logger().info("%d conversations older than %d days deleted", gone, days)
    return gone


@task
def evaluate_questions(config: MonitoringConfig, since: datetime, now: datetime) -> list[str]:
    """Tell language and topic of every question that has none yet; returns what was done, in sentences."""
    done = [
        online.evaluate_languages(database(), since),
        online.evaluate_topics(database(), config.topics, since, now),
    ]
    for one in done:
        get_run_logger().info(one.sentence)
    return [one.sentence for one in done]


@task(task_run_name="judge-{metric.name}")
def judge(metric: JudgeMetric, config: MonitoringConfig, model: ModelConfig, since: datetime) -> State[Any]:
    """Ask the judge one thing about every conversation that is due; what was said is stored as it comes."""
    try:
        pending = online.to_judge(database(), metric, config.judging, since)
        process.engine().expect(online.verdicts_label(metric, model), len(pending))
        with LimitSlots([model], process.engine()) as places:
            done = online.judge_conversations(database(), metric, pending, model, places.ask)
    except RagevalError as error:
        return Failed(message=str(error), data=error)
    done = replace(done, more=len(pending) == config.judging.max_conversations)
    return Completed(message=done.sentence, data=done)


def due_metrics(config: MonitoringConfig, since: datetime) -> list[JudgeMetric]:
    """Return the judged metrics that any conversation is due for: without any, no judge has to be there."""
    one = config.judging.model_copy(update={"max_conversations": 1})
    wanted = catalogue.judged(config.judging.metrics)
    return [metric for metric in wanted if online.to_judge(database(), metric, one, since)]


@task
def watch_windows(config: MonitoringConfig, rules: Sequence[Rule], now: datetime) -> list[Alert]:
    """Hold the windows of the last days against the rules; returns the alerts that are new, which are stored."""
    new = watch.watch(database(), config, tuple(rules), now)
    for alert in new:
        get_run_logger().warning("Alert %s: %s", alert.rule, alert.message)
    return new


@task
def send_alerts(config: MonitoringConfig, now: datetime) -> int:
    """Tell everybody of the alerts that nobody was told of; returns how many they were told of."""
    alerts, told = watch.send_alerts(database(), config, now)
    for failure in told.failures:
        get_run_logger().warning("Not told: %s%s", failure, "" if told.reached else "; the next run tries again")
    if alerts and not told.addresses:
        get_run_logger().warning("Alerts that were sent to nobody: %d; %s is not set", len(alerts), VARIABLE)
    return len(alerts) if told.reached else 0


@task
def publish(config: MonitoringConfig, new: Sequence[Alert], done: Sequence[str], now: datetime) -> str:
    """Publish figures, drift and alerts as artifacts; returns the sentence that the run ends with."""
    summary: Summary = watch.summarise(database(), config, now)
    sentence = summary_sentence(summary, new)
    create_markdown_artifact(key="rageval-monitor", markdown=summary_markdown(summary, new, done), description=sentence)
    create_table_artifact(key="rageval-monitor-table", table=summary.rows(), description=sentence)
    return sentence
