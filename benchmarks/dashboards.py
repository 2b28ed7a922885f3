"""Every dashboard panel over a million conversations in Postgres: `python -m benchmarks.dashboards`.

Without `--url` a Postgres is started for it, with its settings as they come. All conversations are judged, a fifth have
a vote.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from rageval.metrics.catalogue import online
from rageval.monitoring.figures import PageWindow
from rageval.monitoring.panels.catalogue import Panel, panels
from rageval.monitoring.panels.scope import Scope
from rageval.monitoring.store.database import Database, connect
from tests.postgres import new_postgres

DAYS = 180
END = datetime(2026, 11, 1, tzinfo=UTC)

# Random numbers come from a fixed seed; ids are hashes, so they are spread as those of real conversations are.
CONVERSATIONS = """
insert into conversations (conversation_id, asked_at, filter_value, question, status, answer, error, model, system,
  retriever, prompt_version, contexts, top_score, prompt_tokens, completion_tokens, cost_usd, search_s, model_s,
  total_s, latency_bucket, source)
select md5(i::text)::uuid::text,
  cast(:end as timestamptz) - cast(:days as integer) * (1 - (i - 0.5) / cast(:n as integer)) * interval '1 day',
  (array['', 'data-engineering', 'machine-learning', 'mlops', 'llm'])[1 + i % 5],
  'How do I ' || md5((i % 5000)::text) || '?',
  case when r < 0.02 then 'failed' else 'ok' end, case when r >= 0.02 then repeat(md5(i::text) || ' ', 9) end,
  case when r < 0.01 then 'HTTP 429: slow down, request ' || i when r < 0.02 then 'no reply within 60 s' end,
  (array['gpt-small', 'gpt-large', 'local'])[1 + (i / 7) % 3],
  (array['gpt-small', 'gpt-large', 'local'])[1 + (i / 7) % 3], 'hybrid', '1',
  (select json_agg(json_build_object('document_id', d, 'score', 0.5, 'section', 'General', 'question', 'Which?', 'text',
    repeat(md5((i + d)::text), 8))) from generate_series(1, 3) d),
  0.4 + 0.2 * r, 800 + i % 400, 80 + i % 90, 0.0004 + 0.0001 * r, 0.02, 1 + r, 1.02 + r,
  70 + floor(20 * (r + random()) / 2)::int, 'simulated'
from (select i, random() as r from generate_series(1, cast(:n as integer)) i) rows
"""
EVALUATIONS = """
insert into evaluations (conversation_id, metric, metric_version, judge, status, value, label, reason, asked_at,
  filter_value, system, evaluated_at)
select conversation_id, cast(:metric as text), '1', cast(:judge as text), 'ok', 1,
  (cast(:labels as text[]))[1 + floor(random() ^ 2 * cast(:kinds as integer))::int],
  case when cast(:judge as text) <> '' then 'The answer says what the question asks for, as far as one can tell.' end,
  asked_at, filter_value, system, asked_at
from conversations where status = 'ok'
"""
FEEDBACK = """
insert into feedback (conversation_id, source, voter, thumbs, comment, given_at, asked_at, filter_value, system)
select conversation_id, 'user', md5(conversation_id), case when random() < 0.7 then 1 else -1 end, 'a comment',
  asked_at + interval '1 minute', asked_at, filter_value, system
from conversations where status = 'ok' and random() < 0.2
"""
METRICS = {
    **{metric.name: ("judge", metric.scale) for metric in online()},
    "language": ("", ["en", "en", "de", "es"]),
    "topic": ("", [f"1-{number}" for number in range(20)]),
}


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long a panel's SQL takes until its last row is here, in seconds; the best of three."""

    name: str
    month_s: float
    everything_s: float


def generate(database: Database, conversations: int) -> None:
    """Fill an empty Postgres."""
    with database.writing() as connection:
        connection.execute(sa.text("select setseed(0.5)"))
        connection.execute(sa.text("set local session_replication_role = replica"))  # foreign keys hold by construction
        connection.execute(sa.text(CONVERSATIONS), {"n": conversations, "end": END, "days": DAYS})
        for metric, (judge, labels) in METRICS.items():
            values = {"metric": metric, "judge": judge, "labels": labels, "kinds": len(labels)}
            connection.execute(sa.text(EVALUATIONS), values)
        connection.execute(sa.text(FEEDBACK))
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("vacuum analyze"))  # autovacuum does it by and by


def measure(database: Database, shown: Sequence[Panel]) -> Iterator[Timing]:
    """Yield what each panel takes for a month and for everything."""
    month = PageWindow(since=END - timedelta(days=30), until=END)
    everything = PageWindow(since=END - timedelta(days=DAYS), until=END)
    for panel in shown:
        yield Timing(
            name=panel.description.name,
            month_s=min(_seconds(database, panel, month) for _ in range(3)),
            everything_s=min(_seconds(database, panel, everything) for _ in range(3)),
        )


def explain(database: Database, panel: Panel) -> str:
    """Return Postgres' plan of a panel for everything, with times."""
    everything = PageWindow(since=END - timedelta(days=DAYS), until=END)
    statement = panel.select(Scope.of(everything)).compile(database.engine, compile_kwargs={"render_postcompile": True})
    with database.reading() as connection:
        rows = connection.exec_driver_sql(f"explain (analyze, buffers) {statement}", statement.params)
        return "\n".join(row[0] for row in rows)


def _seconds(database: Database, panel: Panel, window: PageWindow) -> float:
    with database.reading() as connection:
        start = time.perf_counter()
        connection.execute(panel.select(Scope.of(window))).all()
        return time.perf_counter() - start


@contextmanager
def _database(url: str | None) -> Iterator[Database]:
    if url:
        yield connect(url)
        return
    with new_postgres() as server, server.running():
        database = connect(server.new_url())
        yield database
        database.close()


def main() -> None:
    """Generate, measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dashboards")
    parser.add_argument("--url", help="an empty Postgres database, or one that an earlier call filled")
    parser.add_argument("--conversations", type=int, default=1_000_000)
    parser.add_argument("--explain", metavar="PANEL", help="print the plan of a panel, too")
    options = parser.parse_args()
    with _database(options.url) as database:
        database.migrate()
        with database.reading() as connection:
            filled = connection.execute(sa.text("select 1 from conversations limit 1")).first()
        if not filled:
            generate(database, options.conversations)
        print("| panel | 30 days, s | everything, s |\n|---|---|---|")
        for timing in measure(database, panels()):
            print(f"| {timing.name} | {timing.month_s:.2f} | {timing.everything_s:.2f} |", flush=True)
        if options.explain:
            [panel] = [panel for panel in panels() if panel.description.name == options.explain]
            print(explain(database, panel))


if __name__ == "__main__":
    main()
