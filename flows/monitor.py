"""Evaluate new conversations, hold the last days against the rules, tell of what is broken."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from prefect import get_run_logger
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run

from flows.entrance import flow
from flows.workers import THREADS
from rageval.engine.request_engine import RequestEngine
from rageval.errors import RagevalError, RunStoppedError
from rageval.monitoring.config import MonitoringConfig, OnlineJudgingConfig
from rageval.monitoring.notify import addresses
from rageval.monitoring.online import EvaluationOutcome, check_price
from rageval.monitoring.records import Alert
from rageval.monitoring.watch import read_rules
from rageval.telemetry.tracing import step
from tasks.ending import as_stop, end_in_words, say_in_name
from tasks.monitor import (
    database,
    due_metrics,
    evaluate_questions,
    forget_old,
    judge,
    publish,
    send_alerts,
    watch_windows,
)
from tasks.process import working
from tasks.report import ProgressArtifact
from tasks.runs import check_models, serve_models


@dataclass(frozen=True, kw_only=True)
class MonitorResult:
    """What one look at the conversations came to."""

    evaluated: tuple[str, ...]
    """What was evaluated, in sentences."""
    alerts: tuple[Alert, ...]
    """The alerts that are new."""
    sent: int
    """Alerts, of this or of an earlier run, that somebody was told of."""
    sentence: str
    now: datetime
    """The time that the windows are measured from."""


def _run_name() -> str:
    config = flow_run.parameters.get("config", MonitoringConfig())  # without what the deployment leaves out
    judge_words = f"judged by {config.judging.model.name}" if config.judging.enabled else "not judged"
    return f"{config.days} days, {judge_words}"


@flow(name="monitor", flow_run_name=_run_name, task_runner=THREADS)
def monitor(config: MonitoringConfig = MonitoringConfig()) -> MonitorResult:  # noqa: B008 - it is frozen
    """Evaluate new conversations, each once a metric version, and hold the last days against the rules.

    The monitoring database is that of MONITORING_DATABASE_URL; whom to tell of alerts says RAGEVAL_ALERT_URLS. A run
    that is stopped, or spends its ceiling, still looks at the rules; the next one goes on where it was.

    Args:
        config: Everything that can be set; what you leave alone stays as it is filled in.
    """
    return end_in_words(lambda: _monitor(config))


def _monitor(config: MonitoringConfig) -> tuple[MonitorResult, str]:
    now = datetime.now(UTC)
    since = now - timedelta(days=config.days)
    rules = read_rules(config.alerts.rules)
    addresses()  # wrong ones are told before anything is done
    with step("monitor"):
        database()
        if config.retention_days is not None:
            forget_old(config.retention_days, now)
        done = evaluate_questions(config, since, now)
        judged, stopped = _judge(config, since)
        done += judged
        new = watch_windows(config, rules, now)
        sent = send_alerts(config, now)
        sentence = publish(config, new, done, now)
    say_in_name(sentence)
    if stopped:
        raise stopped
    result = MonitorResult(evaluated=tuple(done), alerts=tuple(new), sent=sent, sentence=sentence, now=now)
    return result, sentence


def _judge(config: MonitoringConfig, since: datetime) -> tuple[list[str], RagevalError | None]:
    """Judge what is due; returns what was done, and the error that ended it early, or None.

    A judge that cannot be reached is no reason to look away from the rest.
    """
    due = due_metrics(config, since) if config.judging.enabled else []
    if not due:
        return [], None
    done: list[str] = []
    lost: list[str] = []
    try:
        check_price(config.judging)
        with RequestEngine(max_cost_usd=config.judging.max_cost_usd) as engine, working(engine):
            check_models([config.judging.model])
            with serve_models((), (config.judging.model,)) as models:
                futures: list[PrefectFuture[Any]] = [
                    judge.submit(metric, config, models.judges[0], since, return_state=False) for metric in due
                ]
                for judged in _ended(futures, engine):
                    done.append(judged.sentence)
                    if judged.is_beyond(config.judging.max_failed_share):
                        lost.append(judged.sentence)
    except RagevalError as error:
        get_run_logger().warning("Judging ended early: %s", error)
        return done, error
    return done, _too_many(lost, config.judging) if lost else None


def _ended(futures: list[PrefectFuture[Any]], engine: RequestEngine) -> Iterator[EvaluationOutcome]:
    """Yield what came of each metric; whatever ends that early, what runs has ended, and is stored, first."""
    try:
        with ProgressArtifact(total=len(futures), description="Metrics judged") as progress:
            for future in futures:
                yield future.result()
                progress.advance()
    except BaseException as raised:
        error = as_stop(raised)
        engine.stop(error)
        for future in futures:
            with suppress(Exception):
                future.wait()
        if error is not raised:
            raise error from None
        raise


def _too_many(lost: list[str], config: OnlineJudgingConfig) -> RagevalError:
    return RunStoppedError(
        f"too many verdicts are missing, more than judging.max_failed_share = {config.max_failed_share:g} allows: "
        f"{'; '.join(lost)}. Those that failed are asked for by the next run; once the judge is mended, "
        "--set judging.ask_again=true asks also for those that could not be read"
    )
