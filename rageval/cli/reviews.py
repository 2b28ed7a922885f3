"""Conversations that went badly -> what a person decides of them, in the database and in the ground truth."""

from collections.abc import Sequence

import typer

from rageval.cli.rows import print_rows
from rageval.config.evaluation import EvaluationConfig
from rageval.corpus.versions import one_line
from rageval.errors import InputError
from rageval.monitoring import review as stage
from rageval.monitoring.records import Conversation
from rageval.monitoring.review import Candidate, find_candidates
from rageval.monitoring.store.database import database_url, open_database
from rageval.monitoring.store.reviews import Case
from rageval.text.terminal import console, plain


def ask_about(cases: Sequence[Case], config: EvaluationConfig, folder: str) -> None:
    """Go through cases one by one, and let a person accept, dismiss or skip each.

    Args:
        cases: Worst first.
        config: Where documents and ground truth are, and how documents are searched for.
        folder: Where versions of the ground truth are; empty for the environment's, or beside the ground truth.
    """
    for number, case in enumerate(cases, start=1):
        console.rule(f"{number} of {len(cases)}")
        show_case(case)
        choice = typer.prompt("[a]ccept, [d]ismiss, [s]kip or [q]uit", default="s").strip().lower()[:1]
        if choice == "q":
            return
        if choice == "d":
            dismiss(case.conversation.conversation_id)
        elif choice == "a":
            accept_by_asking(case.conversation, config, folder)


def row_of(case: Case) -> dict[str, str]:
    """Return a case as a row of the list."""
    conversation = case.conversation
    return {
        "conversation": conversation.conversation_id[:8],
        "asked": f"{conversation.asked_at:%m-%d %H:%M}",
        "system": conversation.system,
        "filter value": conversation.filter_value or "-",
        "question": _short(conversation.question),
        "thumbs": f"{case.thumbs_down} down, {case.thumbs_up} up",
        "verdicts": ", ".join(label for _, label, _ in case.verdicts) or "-",
        "comment": _short("; ".join(case.comments)) or "-",
    }


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= 80 else f"{words[:79]}…"


def show_case(case: Case) -> None:
    """Print everything that is known of a case."""
    conversation = case.conversation
    facts = [
        ("Conversation", conversation.conversation_id),
        ("Asked", f"{conversation.asked_at:%Y-%m-%d %H:%M} UTC"),
        *([("Filter value", conversation.filter_value)] if conversation.filter_value else []),
        ("Question", conversation.question),
        ("Answer", f"{conversation.answer} ({conversation.system})"),
        ("Shown", ", ".join(context.document_id for context in conversation.contexts) or "nothing"),
        ("Thumbs", f"{case.thumbs_down} down, {case.thumbs_up} up"),
        *(("Comment", comment) for comment in case.comments),
        *((metric.capitalize(), f"{label}: {reason}") for metric, label, reason in case.verdicts),
    ]
    for name, value in facts:
        console.print(f"[bold]{name:<13}[/bold]{plain(value)}", highlight=False, soft_wrap=True)


def show_candidates(conversation: Conversation, config: EvaluationConfig) -> list[Candidate]:
    """Print and return the documents that the question of a conversation may be about."""
    with console.status("Searching ..."):
        candidates = find_candidates(conversation, config)
    print_rows(
        plain(f"Documents for: {_short(conversation.question)}"),
        [
            {
                "": str(number),
                "document": candidate.document.document_id,
                "found by": "the chat" if candidate.was_shown else "a search",
                "filter value": candidate.document.filter_value(config.data.filter_by) or "-",
                "question": _short(candidate.document.title),
                "text": _short(candidate.document.text),
            }
            for number, candidate in enumerate(candidates, start=1)
        ],
    )
    return candidates


def accept_by_asking(conversation: Conversation, config: EvaluationConfig, folder: str) -> None:
    """Let a person choose documents and words; a choice that cannot be used is said so, and asked for again."""
    candidates = show_candidates(conversation, config)
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
            accept(conversation.conversation_id, names, config, question, folder)
        except InputError as error:
            console.print(plain(str(error)), highlight=False, soft_wrap=True)
        else:
            return


def accept(name: str, documents: list[str], config: EvaluationConfig, question: str | None, folder: str) -> None:
    """Write a version of the ground truth with the question of a conversation, and say which."""
    done = stage.accept(open_database(database_url()), name, documents, config.data, question=question, folder=folder)
    console.print(
        plain(f"Accepted with {', '.join(done.document_ids)} into version {done.version.version}: {done.file}"),
        highlight=False,
        soft_wrap=True,
    )


def dismiss(name: str) -> None:
    """Mark a conversation as reviewed, and say so."""
    stage.dismiss(open_database(database_url()), name)
    console.print(plain(f"Dismissed: {name}"), highlight=False, soft_wrap=True)
