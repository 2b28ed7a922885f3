"""`rageval feedback`: what went badly, reviewed by a person -> questions accepted into the ground truth."""

import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from rageval.cli.arguments import Assignments
from rageval.cli.options import DATA, RUN, Given, offers
from rageval.cli.rows import print_rows
from rageval.config.evaluation import EvaluationConfig
from rageval.config.overrides import override, validate
from rageval.errors import ConfigError
from rageval.text.terminal import console, plain

_GROUND_TRUTH = {"--ground-truth PATH|URL": "data.ground_truth"}
SETTINGS = {
    DATA: {"--documents PATH|URL": "data.documents", "--filter-by COLUMN": "data.filter_by", **_GROUND_TRUTH},
    RUN: {"--output DIR|URL": "run.output"},
}
FORGET_SETTINGS = {DATA: _GROUND_TRUTH}

ConversationId = Annotated[
    str, typer.Argument(help="Id of a conversation, or its first eight characters or more.", metavar="CONVERSATION")
]
Versions = Annotated[
    str,
    typer.Option(
        help="Folder of the versions of the ground truth.  (default: RAGEVAL_GROUND_TRUTH_DIR, else where the ground "
        "truth is)",
        metavar="DIR",
        rich_help_panel=DATA,
    ),
]

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode="rich")


@app.callback()
def feedback() -> None:
    """Review what went badly, and take questions of users into the ground truth."""


@app.command()
@offers(EvaluationConfig, SETTINGS)
def review(
    given: Given,
    days: Annotated[float, typer.Option(min=0.01, help="How far back.", metavar="DAYS")] = 7,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="The most that are listed.", metavar="N")] = 20,
    ask: Annotated[
        bool | None,
        typer.Option("--ask/--list", help="Go through them one by one, or list them.  (default: ask in a terminal)"),
    ] = None,
    versions: Versions = "",
    assignments: Assignments = [],  # noqa: B006 - typer copies it
) -> None:
    """List conversations with a thumbs down or a bad verdict, worst first, that nobody has reviewed yet.

    In a terminal they are gone through one by one: accept the question with its right documents, dismiss it, or skip.

    Example:

    rageval feedback review --days 30 --list
    """
    from rageval.cli.reviews import ask_about, row_of
    from rageval.monitoring.store.database import database_url, open_database
    from rageval.monitoring.store.reviews import open_cases

    cases = open_cases(open_database(database_url()), datetime.now(UTC) - timedelta(days=days), limit)
    if not cases:
        console.print(f"Nothing to review in the last {days:g} days.", highlight=False)
    elif sys.stdin.isatty() and sys.stdout.isatty() if ask is None else ask:
        ask_about(cases, _configuration(given, assignments), versions)
    else:
        print_rows("To be reviewed, worst first", [row_of(case) for case in cases])
        console.print(
            "Go on with:\n"
            "  rageval feedback accept CONVERSATION --document ID\n"
            "  rageval feedback dismiss CONVERSATION\n"
            "Without --document, accept shows which documents it may be.",
            highlight=False,
            soft_wrap=True,
        )


@app.command()
@offers(EvaluationConfig, SETTINGS)
def accept(
    given: Given,
    conversation: ConversationId,
    document: Annotated[
        list[str],
        typer.Option(help="Id of a right document; repeat the option for several, best first.", metavar="ID"),
    ] = [],  # noqa: B006 - typer copies it
    question: Annotated[
        str | None, typer.Option(help="What is to be asked.  (default: the user's question)", metavar="TEXT")
    ] = None,
    versions: Versions = "",
    assignments: Assignments = [],  # noqa: B006 - typer copies it
) -> None:
    """Write a new version of the ground truth, with the question of a conversation and its right documents.

    Without --document nothing is written: the documents that it may be are shown, those that the model was shown and
    those that a search finds. Runs whose ground truth is latest:PATH use the new version.

    Example:

    rageval feedback accept 1f0c88a2 --document er-001
    """
    config = _configuration(given, assignments)
    from rageval.cli import reviews
    from rageval.monitoring.review import not_accepted
    from rageval.monitoring.store.database import database_url, open_database

    if document:
        reviews.accept(conversation, document, config, question, versions)
        return
    reviews.show_candidates(not_accepted(open_database(database_url()), conversation), config)
    raise ConfigError("nothing is accepted yet: name the right document, or several, with --document")


@app.command()
def dismiss(conversation: ConversationId) -> None:
    """Mark a conversation as reviewed; nothing follows from it, and it is not listed again.

    Example:

    rageval feedback dismiss 1f0c88a2
    """
    from rageval.cli import reviews

    reviews.dismiss(conversation)


@app.command()
@offers(EvaluationConfig, FORGET_SETTINGS)
def forget(
    given: Given,
    conversation: ConversationId,
    versions: Versions = "",
    assignments: Assignments = [],  # noqa: B006 - typer copies it
) -> None:
    """Delete a conversation, with its votes, verdicts and review, and say where its question still stands.

    It stays deleted: what a chat app has not stored of it yet is dropped. Such a conversation is named by its whole id.

    Example:

    rageval feedback forget 1f0c88a2
    """
    from rageval.monitoring import review as stage
    from rageval.monitoring.store.database import database_url, open_database
    from rageval.monitoring.store.recorder import DEFAULT_SPOOL

    ground_truth = _configuration(given, assignments).data.ground_truth
    left = stage.forget(open_database(database_url()), conversation, ground_truth, versions)
    done = "is deleted" if left.was_stored else "was not in the database; it is not stored any more if it comes"
    console.print(plain(f"Conversation {left.conversation_id} {done}."), highlight=False, soft_wrap=True)
    if left.waiting:
        console.print(f"Records removed from {DEFAULT_SPOOL}: {left.waiting}", highlight=False, soft_wrap=True)
    for file in left.versions:
        console.print(plain(f"Its question still stands in {file}; remove the row there if it has to go."))


def _configuration(given: Given, assignments: list[str]) -> EvaluationConfig:
    settings: Given = {}
    override(settings, given, assignments)
    return validate(EvaluationConfig, settings)
