"""What came of one question to one system -> the sections that a terminal shows of it."""

from collections.abc import Iterator

from rich.table import Table

from rageval.pipeline.system_trial import SystemTrial
from rageval.records import Usage
from rageval.text.terminal import console, plain

_MOST_CHARS = 4000
_MOST_TEXT = 200
_NOTHING = "[dim]none[/dim]"


def show_trial(trial: SystemTrial) -> None:
    """Print what was sent, what came, and what was read of it."""
    if trial.note:
        console.print(f"Without documents and questions: {plain(trial.note)}", highlight=False, soft_wrap=True)
    if trial.kind in ("pipeline", "closed_book", "oracle"):
        _show_contexts(trial)
        _show("Its model would be sent", trial.sent)
        return
    known = "which the configuration knows" if trial.is_known else "of which nothing more is known"
    console.print(f"[bold]Question[/bold], {known}: {plain(trial.question.question)}", highlight=False)
    _show("Sent" if trial.kind != "recorded" else "Looked up in", trial.sent)
    if trial.kind != "recorded":
        _show(f"Received after {trial.latency_s or 0:.2f} s", trial.received or "(nothing)")
    console.print("\n[bold]Read[/bold]")
    for name, value in _read(trial):
        console.print(f"  {name:10} {value}", highlight=False, soft_wrap=True)
    _show_contexts(trial)


def _show(title: str, text: str) -> None:
    rest = f"\n... and {len(text) - _MOST_CHARS:,} characters more" if len(text) > _MOST_CHARS else ""
    console.print(f"\n[bold]{title}[/bold]")
    console.print(plain(text[:_MOST_CHARS] + rest), highlight=False, soft_wrap=True)


def _read(trial: SystemTrial) -> Iterator[tuple[str, str]]:
    """Yield what was read, by name."""
    read = trial.read
    if trial.error:
        yield "error", f"[red]{plain(trial.error)}[/red]"
    yield "answer", _NOTHING if read is None or read.text is None else plain(read.text)
    usage = read.usage if read else Usage()
    counted = [(usage.prompt_tokens, "prompt"), (usage.completion_tokens, "completion")]
    yield "tokens", ", ".join(f"{n:,} {what}" for n, what in counted if n is not None) or _NOTHING
    yield "cost", _NOTHING if trial.cost_usd is None else f"${trial.cost_usd:,.6f}"
    if read and read.first_token_s is not None:
        yield "first token", f"after {read.first_token_s:.3f} s"
    cited = read.citations if read else None
    yield "citations", _NOTHING if not cited else plain(", ".join(cited))
    if trial.shown.ids is None:
        yield "contexts", f"{_NOTHING}: the reply does not say what it was shown"
    elif not trial.shown.ids:
        yield "contexts", "an empty list: it found nothing"


def _show_contexts(trial: SystemTrial) -> None:
    ids = trial.shown.ids
    if not ids:
        return
    table = Table(title="Contexts", title_justify="left", padding=0)
    for heading in ("", "id", "document", "score", "text"):
        table.add_column(heading, overflow="fold")
    texts, scores = trial.shown.texts or (None,) * len(ids), trial.shown.scores or (None,) * len(ids)
    for number, (id_, text, score) in enumerate(zip(ids, texts, scores, strict=True), 1):
        document = trial.documents.get(id_)
        said = text or (document.text if document else "")
        matched = plain(document.title or "yes") if document else "[yellow]none of the documents[/yellow]"
        shown = "" if score is None else f"{score:g}"
        table.add_row(str(number), plain(id_), matched, shown, plain(said[:_MOST_TEXT]))
    console.print()
    console.print(table)
