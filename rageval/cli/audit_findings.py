"""What an audit found -> the terminal: counts by kind, what each means, and some of them."""

from rageval.audit.findings import Finding
from rageval.audit.page import sections, verdict
from rageval.text.terminal import console, plain

_EXAMPLES = 3


def show_findings(findings: tuple[Finding, ...], documents: int, questions: int) -> None:
    """Print the findings by kind: counts, what the kind means, and some of them."""
    console.print(f"{documents:,} documents, {questions:,} questions. {verdict(findings)}", highlight=False)
    for section in sections(findings):
        counts = ", ".join(f"{n:,} {severity}{'s' if n > 1 else ''}" for severity, n in section.counts.items() if n)
        console.print(f"\n[bold]{plain(section.kind.title)}[/bold]: {counts}", highlight=False)
        console.print(plain(section.kind.meaning), style="dim", highlight=False)
        for finding in section.shown[:_EXAMPLES]:
            question = f'"{finding.question[:100]}": ' if finding.question else ""
            where = f" [{finding.rows[0]}]" if finding.rows else ""
            console.print(plain(f"  - {question}{finding.what[:400]}{where}"), highlight=False)
            console.print(plain(f"    {finding.fix}"), style="dim", highlight=False)
        if section.total > _EXAMPLES:
            console.print(f"  and {section.total - _EXAMPLES:,} more", style="dim", highlight=False)
    console.print()
