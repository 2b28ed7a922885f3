"""`rageval audit`: documents and ground truth -> what is wrong with them, before any money is spent."""

from pathlib import Path
from typing import Annotated

import typer

from rageval.audit.findings import severity_counts
from rageval.cli.arguments import Assignments, EvaluationFile, evaluation_settings
from rageval.cli.audit_findings import show_findings
from rageval.cli.options import DATA, RUN, Given, offers
from rageval.config.evaluation import EvaluationConfig
from rageval.config.overrides import override, validate
from rageval.text.terminal import console, plain

SETTINGS = {
    DATA: {
        "--documents PATH|URL": "data.documents",
        "--ground-truth PATH|URL": "data.ground_truth",
        "--filter-by COLUMN": "data.filter_by",
        "--only VALUE": "data.only",
    },
    RUN: {"--output DIR|URL": "run.output"},
}


@offers(EvaluationConfig, SETTINGS)
def audit(
    given: Given,
    config: EvaluationFile = None,
    near: Annotated[
        float,
        typer.Option(
            help="Cosine from which two documents count as nearly the same.", min=0.0, max=1.0, rich_help_panel=DATA
        ),
    ] = 0.95,
    fix: Annotated[
        Path | None,
        typer.Option(
            help="Write a cleaned copy here, with what changes no result: repeated rows removed, identical documents "
            "merged. The input is never touched.",
            metavar="DIR",
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with status 1 also for warnings.")] = False,
    assignments: Assignments = [],  # noqa: B006 - typer copies it
) -> None:
    """Look for what is wrong with documents and ground truth, before any money is spent.

    The findings are in audit.parquet and audit.html, in the folder `audit` of the output folder. The exit status is 1
    if an error would stop a run, with --strict also if there is a warning.

    Example:

    rageval audit --documents examples/faq/documents.json --ground-truth examples/faq/ground-truth.csv --strict
    """
    settings = evaluation_settings(config)
    override(settings, given, assignments)
    configuration = validate(EvaluationConfig, settings)
    from rageval.audit.audit import audit as look
    from rageval.audit.audit import write_audit, write_fixed
    from rageval.storage.places import place

    with console.status("Reading and embedding ..."):
        found = look(configuration, near_threshold=near)
    page = write_audit(found, place(configuration.run.output) / "audit")
    show_findings(found.findings, found.document_count, found.question_count)
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
