"""`rageval feedback`: what went badly, reviewed by a person; questions accepted into the ground truth."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from rageval.cli.options import DATA, Documents, GroundTruth, Output

if TYPE_CHECKING:
    from rageval.config.evaluation import EvaluationConfig
    from rageval.monitoring.records import Conversation
    from rageval.monitoring.review import Candidate
    from rageval.monitoring.store.database import Database
    from rageval.monitoring.store.reviews import Case

ConversationId = Annotated[
    str, typer.Argument(help="Id of a conversation, or its first eight characters or more.", metavar="CONVERSATION")
]
Folder = Annotated[
    str,
    typer.Option(
        "--out",
        help="Folder of the versions of the ground truth.  (default: RAGEVAL_GROUND_TRUTH_DIR, else where the ground "
        "truth is)",
        metavar="DIR",
        rich_help_panel=DATA,
    ),
]

feedback_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Review what went badly, and take questions of users into the ground truth.",
)


@feedback_app.command()
def review(
    days: Annotated[float, typer.Option(min=0.01, help="How far back.")] = 7,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="The most that are listed.")] = 20,
    ask: Annotated[
        bool | None,
        typer.Option("--ask/--list", help="Go through them one by one, or list them.  (default: ask in a terminal)"),
    ] = None,
    documents: Documents = None,
    ground_truth: GroundTruth = None,
    out: Folder = "",
    output: Output = None,
) -> None:
    """List conversations with a thumbs down or a bad verdict, worst first, that nobody has reviewed yet.

    In a terminal they are gone through one by one: accept the question with its right documents, dismiss it, or skip.
    """
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415 - help must not wait for imports

    from rageval.cli.evaluation import print_rows  # noqa: PLC0415
    from rageval.monitoring.store.reviews import open_cases  # noqa: PLC0415
    from rageval.text.terminal import console  # noqa: PLC0415

    database = _database()
    cases = open_cases(database, datetime.now(UTC) - timedelta(days=days), limit)
    if not cases:
        console.print(f"Nothing to review in the last {days:g} days.", highlight=False)
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty() if ask is None else ask):
        print_rows("To be reviewed, worst first", [_row(case) for case in cases])
        console.print(
            "Go on with:\n"
            "  rageval feedback accept CONVERSATION --document ID\n"
            "  rageval feedback dismiss CONVERSATION\n"
            "Without --document, accept shows which documents it may be.",
            highlight=False,
            soft_wrap=True,
        )
        return
    config = _config(documents, ground_truth, output)
    for number, case in enumerate(cases, start=1):
        console.rule(f"{number} of {len(cases)}")
        _show(case)
        choice = typer.prompt("[a]ccept, [d]ismiss, [s]kip or [q]uit", default="s").strip().lower()[:1]
        if choice == "q":
            return
        if choice == "d":
            _dismiss(case.conversation.conversation_id)
        elif choice == "a":
            _accept_by_asking(case.conversation, config, out)


@feedback_app.command()
def accept(
    conversation: ConversationId,
    document: Annotated[
        list[str],
        typer.Option(help="Id of a right document; repeat it for several, best first.", metavar="ID"),
    ] = [],  # noqa: B006
    question: Annotated[
        str | None, typer.Option(help="What is to be asked.  (default: the user's words)", metavar="TEXT")
    ] = None,
    documents: Documents = None,
    ground_truth: GroundTruth = None,
    out: Folder = "",
    output: Output = None,
) -> None:
    """Write a new version of the ground truth, with the question of a conversation and its right documents.

    Without --document nothing is written: the documents that it may be are shown, those that the model was shown and
    those that a search finds. Runs whose ground truth is latest:PATH use the new version.
    """
    from rageval.errors import ConfigError  # noqa: PLC0415 - help must not wait for imports

    config = _config(documents, ground_truth, output)
    if document:
        _accept(conversation, document, config, question, out)
        return
    from rageval.monitoring.review import not_accepted  # noqa: PLC0415

    _show_candidates(not_accepted(_database(), conversation), config)
    raise ConfigError("nothing is accepted yet: name the right document, or several, with --document")


@feedback_app.command()
def dismiss(conversation: ConversationId) -> None:
    """Mark a conversation as reviewed; nothing follows from it, and it is not listed again."""
    _dismiss(conversation)


@feedback_app.command()
def forget(conversation: ConversationId, ground_truth: GroundTruth = None, out: Folder = "") -> None:
    """Delete a conversation, with its votes, verdicts and review, and say where its question still stands.

    It stays deleted: what a chat app has not stored of it yet is dropped. Such a conversation is named by its whole id.
    """
    from rageval.monitoring import review as stage  # noqa: PLC0415
    from rageval.monitoring.store.recorder import DEFAULT_SPOOL  # noqa: PLC0415
    from rageval.text.terminal import console, plain  # noqa: PLC0415 - help must not wait for imports

    left = stage.forget(_database(), conversation, _config(None, ground_truth, None).data.ground_truth, out)
    done = "is deleted" if left.was_stored else "was not in the database; it is not stored any more if it comes"
    console.print(plain(f"Conversation {left.conversation_id} {done}."), highlight=False, soft_wrap=True)
    if left.waiting:
        console.print(f"Records removed from {DEFAULT_SPOOL}: {left.waiting}", highlight=False, soft_wrap=True)
    for file in left.versions:
        console.print(plain(f"Its question still stands in {file}; remove the row there if it has to go."))


def _database() -> "Database":
    from rageval.monitoring.store.database import database_url, open_database  # noqa: PLC0415

    return open_database(database_url())


def _config(documents: str | None, ground_truth: str | None, output: str | None) -> "EvaluationConfig":
    from rageval.config.evaluation import EvaluationConfig  # noqa: PLC0415
    from rageval.config.overrides import put, validate  # noqa: PLC0415

    settings: dict[str, object] = {}
    given = {"data.documents": documents, "data.ground_truth": ground_truth, "run.output": output}
    for path, value in given.items():
        if value is not None:
            put(settings, path, value)
    return validate(EvaluationConfig, settings)


def _row(case: "Case") -> dict[str, str]:
    conversation = case.conversation
    return {
        "conversation": conversation.conversation_id[:8],
        "asked": f"{conversation.asked_at:%m-%d %H:%M}",
        "course": conversation.course or "-",
        "question": _short(conversation.question),
        "thumbs": f"{case.thumbs_down} down, {case.thumbs_up} up",
        "verdicts": ", ".join(label for _, label, _ in case.verdicts) or "-",
        "comment": _short("; ".join(case.comments)) or "-",
    }


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= 80 else f"{words[:79]}…"


def _show(case: "Case") -> None:
    from rageval.text.terminal import console, plain  # noqa: PLC0415

    conversation = case.conversation
    facts = [
        ("Conversation", conversation.conversation_id),
        ("Asked", f"{conversation.asked_at:%Y-%m-%d %H:%M} UTC, {conversation.course or 'all courses'}"),
        ("Question", conversation.question),
        ("Answer", f"{conversation.answer} ({conversation.model})"),
        ("Shown", ", ".join(context.document_id for context in conversation.contexts) or "nothing"),
        ("Thumbs", f"{case.thumbs_down} down, {case.thumbs_up} up"),
        *(("Comment", comment) for comment in case.comments),
        *((metric.capitalize(), f"{label}: {reason}") for metric, label, reason in case.verdicts),
    ]
    for name, value in facts:
        console.print(f"[bold]{name:<13}[/bold]{plain(value)}", highlight=False, soft_wrap=True)


def _show_candidates(conversation: "Conversation", config: "EvaluationConfig") -> "list[Candidate]":
    from rageval.cli.evaluation import print_rows  # noqa: PLC0415
    from rageval.monitoring.review import find_candidates  # noqa: PLC0415
    from rageval.text.terminal import console, plain  # noqa: PLC0415

    with console.status("Searching ..."):
        candidates = find_candidates(conversation, config)
    print_rows(
        plain(f"Documents for: {_short(conversation.question)}"),
        [
            {
                "": str(number),
                "document": candidate.document.document_id,
                "found by": "the chat" if candidate.was_shown else "a search",
                "course": candidate.document.course,
                "question": _short(candidate.document.question),
                "text": _short(candidate.document.text),
            }
            for number, candidate in enumerate(candidates, start=1)
        ],
    )
    return candidates


def _accept_by_asking(conversation: "Conversation", config: "EvaluationConfig", out: str) -> None:
    """Let a person choose documents and words; a choice that cannot be used is said so, and asked for again."""
    from rageval.corpus.versions import one_line  # noqa: PLC0415
    from rageval.errors import InputError  # noqa: PLC0415
    from rageval.text.terminal import console, plain  # noqa: PLC0415

    candidates = _show_candidates(conversation, config)
    while True:
        chosen = typer.prompt("Right documents, by number or id, best first (empty to skip)", default="").split()
        if not chosen:
            return
        question = typer.prompt("Question", default=one_line(conversation.question))
        names = [
            candidates[int(word) - 1].document.document_id
            if word.isdecimal() and 1 <= int(word) <= len(candidates)
            else word
            for word in " ".join(chosen).replace(",", " ").split()
        ]
        try:
            _accept(conversation.conversation_id, names, config, question, out)
        except InputError as error:
            console.print(plain(str(error)), highlight=False, soft_wrap=True)
        else:
            return


def _accept(name: str, documents: list[str], config: "EvaluationConfig", question: str | None, out: str) -> None:
    from rageval.monitoring import review as stage  # noqa: PLC0415
    from rageval.text.terminal import console, plain  # noqa: PLC0415

    done = stage.accept(_database(), name, documents, config.data, question=question, folder=out)
    console.print(
        plain(f"Accepted with {', '.join(done.document_ids)} into version {done.version.version}: {done.file}"),
        highlight=False,
        soft_wrap=True,
    )


def _dismiss(name: str) -> None:
    from rageval.monitoring import review as stage  # noqa: PLC0415
    from rageval.text.terminal import console, plain  # noqa: PLC0415

    stage.dismiss(_database(), name)
    console.print(plain(f"Dismissed: {name}"), highlight=False, soft_wrap=True)
