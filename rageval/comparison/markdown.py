"""A comparison or a gate -> Markdown for a comment on a change, a summary of CI, or a Prefect artifact."""

from rageval.comparison.gating import Gate
from rageval.comparison.run_comparison import RunComparison
from rageval.comparison.sentences import (
    READING,
    beside_rows,
    comparison_rows,
    gate_reading,
    gate_rows,
    gate_sentence,
    refused_rows,
    sentences,
    setting_rows,
)
from rageval.pages.markdown import escape, section


def render_comparison(comparison: RunComparison) -> str:
    """Return a comparison as Markdown: verdicts, warnings, differences, what was refused, cost, settings."""
    a, b = escape(comparison.a.name), escape(comparison.b.name)
    parts = [
        f"# {b} against {a}",
        f"The baseline is **{a}**, the candidate **{b}**; every difference is candidate - baseline. "
        f"{comparison.questions:,} questions were compared.",
        *(f"> **{escape(warning)}.**" for warning in comparison.warnings),
        *(escape(sentence) for sentence in sentences(comparison)),
        section("Differences", comparison_rows(comparison)),
        escape(READING),
        section("Not compared", refused_rows(comparison)),
        section("Cost, latency and length", beside_rows(comparison)),
        section("Settings that differ", setting_rows(comparison)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def render_gate(gate: Gate) -> str:
    """Return a gate as Markdown: the sentence, the table, all reasons."""
    parts = [
        f"# Gate: {escape(gate.b)} against {escape(gate.a)}",
        f"**{escape(gate_sentence(gate))}**",
        section("Metrics", gate_rows(gate)),
        "\n".join(f"- {escape(reason)}" for reason in gate.reasons[1:]),
        escape(gate_reading(gate)) if gate.rows else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
