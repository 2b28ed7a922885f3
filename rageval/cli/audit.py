"""`rageval audit`: what is wrong with documents and ground truth, before any money is spent."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rageval.cli.options import DATA, ConfigFile, Documents, GroundTruth

if TYPE_CHECKING:
    from rageval.audit.findings import Finding

_EXAMPLES = 3


def audit(
    config: ConfigFile = None,
    documents: Documents = None,
    ground_truth: GroundTruth = None,
    course: Annotated[str | None, typer.Option(help="Look at this course only.", rich_help_panel=DATA)] = None,
    near: Annotated[
        float,
        typer.Option(
            help="Cosine from which two documents count as nearly the same.", min=0.0, max=1.0, rich_help_panel=DATA
        ),
    ] = 0.95,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Folder of audit.parquet and audit.html.  (default: audit in the output folder of runs)", metavar="DIR"
        ),
    ] = None,
    fix: Annotated[
        Path | None,
        typer.Option(
            help="Write a cleaned copy here, with what changes no result: repeated rows removed, identical documents "
            "merged. The input is never touched.",
            metavar="DIR",
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with status 1 also for warnings.")] = False,
) -> None:
    """Look for what is wrong with documents and ground truth, before any money is spent.

    Exit status: 0, or 1 if an error would stop a run (with --strict also if there is a warning).
    """
    from rageval.audit.audit import audit as look  # noqa: PLC0415
    from rageval.audit.audit import write_audit, write_fixed  # noqa: PLC0415
    from rageval.audit.findings import severity_counts  # noqa: PLC0415
    from rageval.config.evaluation import EvaluationConfig  # noqa: PLC0415
    from rageval.config.file import read_settings  # noqa: PLC0415
    from rageval.config.overrides import put, validate  # noqa: PLC0415
    from rageval.storage.places import place  # noqa: PLC0415
    from rageval.text.terminal import console, plain  # noqa: PLC0415 - help must not wait for imports

    settings = read_settings(config) if config else {}
    given = {"data.documents": documents, "data.ground_truth": ground_truth, "data.course": course}
    for path, value in given.items():
        if value is not None:
            put(settings, path, value)
    configuration = validate(EvaluationConfig, settings)
    with console.status("Reading and embedding ..."):
        found = look(configuration, near_threshold=near)
    page = write_audit(found, output or place(configuration.run.output) / "audit")
    _show(found.findings, found.document_count, found.question_count)
    if fix:
        done = write_fixed(found, fix)
        console.print(
            f"Cleaned copy in {plain(str(fix))}:" if done else f"Copy in {plain(str(fix))}: nothing to clean."
        )
        for sentence in done:
            console.print(plain(f"  {sentence}"), highlight=False, soft_wrap=True)
    console.print(f"All findings: {plain(str(page))} and {plain(str(page.with_name('audit.parquet')))}", soft_wrap=True)
    counts = severity_counts(found.findings)
    if counts["error"] or (strict and counts["warning"]):
        raise typer.Exit(1)


def _show(findings: "tuple[Finding, ...]", documents: int, questions: int) -> None:
    """Print the findings by kind: counts, what the kind means, and some of them."""
    from rageval.audit.page import sections, verdict  # noqa: PLC0415
    from rageval.text.terminal import console, plain  # noqa: PLC0415

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
