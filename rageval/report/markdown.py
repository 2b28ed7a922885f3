"""The summary table and the manifest of a run -> Markdown for a Prefect artifact."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from rageval.report.formats import fact, printable
from rageval.report.headline import headline
from rageval.report.pivot import cost_rows, retrieval_rows, summary_rows
from rageval.report.spending import spending_rows

_SPECIAL = re.compile(r"([\\`*\[\]|~])")


def render_markdown(summary: pa.Table, manifest: Mapping[str, Any]) -> str:
    """Return the run's figures as Markdown: headline, answers, retrieval, cost, notes.

    Args:
        summary: Table `tables.SUMMARY`.
        manifest: The content of run.json; `run_id`, `status`, `totals`, `estimate`, `actual` and `notes` are read, all
            optional.
    """
    totals = manifest.get("totals") or {}
    parts = [
        f"# Run {escape(str(manifest.get('run_id', '')))}: {escape(str(manifest.get('status', 'unknown')))}",
        *(escape(sentence) for sentence in headline(summary)),
        _section("Answers", summary_rows(summary)),
        _section("Retrieval", retrieval_rows(summary)),
        _section("Latency, tokens and cost", cost_rows(summary)),
        _section("Actual of estimated", spending_rows(manifest)),
        _section("Totals", [{"total": name, "value": fact(name, value)} for name, value in totals.items()]),
        _list("Notes", [str(note) for note in manifest.get("notes") or []]),
        "Cells read: mean [95 % interval, clustered by document] values / questions asked.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def escape(text: str) -> str:
    """Return the text so that Markdown shows it as it is, on one line: no table cell, HTML or link in it."""
    text = _SPECIAL.sub(r"\\\1", " ".join(printable(text).split()))
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _section(title: str, rows: Sequence[Mapping[str, str]]) -> str:
    if not rows:
        return ""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    table = "\n".join(f"| {' | '.join(escape(text) for text in line)} |" for line in lines)
    return f"## {title}\n\n{table}"


def _list(title: str, items: Sequence[str]) -> str:
    return f"## {title}\n\n" + "\n".join(f"- {escape(item)}" for item in items) if items else ""
