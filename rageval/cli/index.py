"""`rageval index`: documents -> an index of them, and nothing else."""

from typing import Annotated

import typer

from rageval.cli.arguments import Assignments, Debug, EvaluationFile, evaluation_settings
from rageval.cli.options import DATA, RUN, Given, offers
from rageval.config.evaluation import EvaluationConfig
from rageval.config.overrides import override, validate
from rageval.text.terminal import console, plain

SETTINGS = {
    DATA: {"--documents PATH|URL": "data.documents", "--filter-by COLUMN": "data.filter_by"},
    RUN: {"--output DIR|URL": "run.output"},
}


@offers(EvaluationConfig, SETTINGS)
def index(
    given: Given,
    config: EvaluationFile = None,
    rebuild: Annotated[
        bool,
        typer.Option("--rebuild", help="Replace the index, also one of another embedding model.", rich_help_panel=RUN),
    ] = False,
    assignments: Assignments = [],  # noqa: B006 - typer copies it
    debug: Debug = False,
) -> None:
    """Embed and index the documents, and nothing else.

    Only documents that changed are embedded again. `evaluate` does the same by itself.

    Example:

    rageval index --documents examples/faq/documents.json
    """
    settings = evaluation_settings(config)
    override(settings, given, assignments)
    configuration = validate(EvaluationConfig, settings)
    from rageval.cli.running import prefect_running
    from rageval.corpus.files import load_documents

    load_documents(
        configuration.data.documents, configuration.data.filter_by
    )  # what is wrong with them shows before Prefect starts
    with prefect_running(configuration.run.output, debug=debug):
        from flows.index_documents import index_documents

        report = index_documents(configuration, rebuild)
    console.print(f"Index {report.name}: {report.documents} documents, {report.embedded} embedded now.")
    if report.warning:
        console.print(f"{plain(report.warning)}.", highlight=False, soft_wrap=True)
