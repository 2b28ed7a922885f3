"""The findings of an audit -> one self-contained HTML page; everything that comes from data is escaped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rageval.audit.findings import KINDS, Finding, Kind, Severity, grouped, severity_counts
from rageval.pages.templates import environment

SHOWN = 50
"""Findings of one kind on the page; the table has all."""


@dataclass(frozen=True, kw_only=True)
class AuditData:
    """What was looked at, and what was found."""

    documents_name: str
    ground_truth_name: str
    only: str
    """The filter value that was looked at; empty for all."""
    documents: int
    questions: int
    findings: Sequence[Finding]


@dataclass(frozen=True, kw_only=True)
class Section:
    """All findings of one kind."""

    key: str
    kind: Kind
    counts: Mapping[Severity, int]
    shown: Sequence[Finding]
    total: int


def sections(findings: Sequence[Finding]) -> list[Section]:
    """Return the findings by kind, gravest first, each with as many as a page shows."""
    return [
        Section(key=key, kind=KINDS[key], counts=severity_counts(found), shown=found[:SHOWN], total=len(found))
        for key, found in grouped(findings).items()
    ]


def verdict(findings: Sequence[Finding]) -> str:
    """Return in one sentence what the findings mean for a run."""
    counts = severity_counts(findings)
    words = ", ".join(_count(counts[severity], severity) for severity in counts)
    if counts["error"]:
        return f"A run would refuse these files until every error is corrected: {words}."
    if counts["warning"]:
        return f"A run would accept these files, but the warnings bend its results: {words}."
    return f"Nothing that bends the results of a run: {words}." if findings else "Nothing was found."


def render_audit(data: AuditData) -> str:
    """Return the page: HTML that loads nothing, runs nothing and shows all data as text."""
    template = environment().get_template("audit/page.html.j2")
    return template.render(data=data, sections=sections(data.findings), verdict=verdict(data.findings), limit=SHOWN)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
