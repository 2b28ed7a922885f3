"""A run's folder -> its summary, its failures, and one question from its contexts to its verdicts, printed."""

from collections import Counter
from typing import Any

from rich.panel import Panel
from rich.table import Table

from rageval.cli.run_summary import show_run
from rageval.config.depth import first_documents, retrieval_depth
from rageval.errors import DataError
from rageval.metrics.catalogue import headline
from rageval.metrics.metric import ScoreMetric
from rageval.records import Document
from rageval.runs.found_documents import all_documents, document_of
from rageval.runs.manifest import read_manifest
from rageval.runs.run import Run
from rageval.tables import relevant_ids
from rageval.text.terminal import console, plain

_Row = dict[str, Any]
_SHOWN = 80


def show_details(run: Run, question: str | None) -> None:
    """Print the summary, the failures and one question of a run.

    Raises:
        DataError: If no question of it fits.
    """
    show_run(run)
    answers, scores = run.read("answers").to_pylist(), run.read("scores").to_pylist()
    _show_failures(run, answers, scores)
    questions = run.read("questions").to_pylist()
    _show_question(run, _choose(questions, scores, question), answers, scores)


def _show_failures(run: Run, answers: list[_Row], scores: list[_Row]) -> None:
    reasons = Counter(("answer", row["system"], row["error"]) for row in answers if row["status"] != "ok")
    reasons.update((row["metric"], row["system"], row["error"]) for row in scores if row["status"] != "ok")
    searches = run.read("retrieval").select(["retriever", "error"]).to_pylist()
    reasons.update(("search", row["retriever"], row["error"]) for row in searches if row["error"])
    if not reasons:
        console.print("\nNo failures: every answer and every score has a value.")
        return
    table = Table(title="Without a value", title_justify="left")
    for heading in ("what", "of", "count", "reason"):
        table.add_column(heading, overflow="fold")
    for (what, system, reason), count in reasons.most_common(20):
        table.add_row(what, plain(system), str(count), plain(reason or ""))
    console.print(table)


def _choose(questions: list[_Row], scores: list[_Row], wanted: str | None) -> _Row:
    if wanted:
        fits = [q for q in questions if q["question_id"] == wanted or wanted.lower() in q["question"].lower()]
        if not fits:
            raise DataError(f"no question of this run has the id or the text {wanted!r}")
        return fits[0]
    for metric in headline(ScoreMetric):  # other scores, such as the length of the answer, are lowest for no reason
        valued = [row for row in scores if row["metric"] == metric and row["value"] is not None]
        if valued:
            worst = min((row["value"], row["question_id"]) for row in valued)[1]
            break
    else:
        worst = questions[0]["question_id"]
    return next(q for q in questions if q["question_id"] == worst)


def _title(document: Document | None) -> str:
    if document is None:
        return "(a retriever brought its id alone)"
    return document.title or " ".join(document.text.split())[:_SHOWN]


def _show_question(run: Run, question: _Row, answers: list[_Row], scores: list[_Row]) -> None:
    documents = {row["document_id"]: document_of(row) for row in all_documents(run).to_pylist()}
    depth = retrieval_depth(read_manifest(run).config.retrieval)
    right = relevant_ids(question)
    console.print(Panel(plain(question["question"]), title=f"Question {question['question_id']}", title_align="left"))
    for reference in question["references"]:
        console.print(Panel(plain(reference), title="Reference", title_align="left"))
    for row in first_documents(run.read("retrieval"), depth.top_k).to_pylist():
        if row["question_id"] == question["question_id"]:
            console.print(f"Found by {plain(row['retriever'])} (the right one is marked *):")
            hits = zip(row["document_ids"], row["scores"], row["shown_ids"] or row["document_ids"], strict=True)
            for rank, (document_id, score, shown) in enumerate(hits, 1):
                mark = "*" if document_id in right or rank == row["first_relevant_rank"] else " "
                title = _title(documents.get(shown))
                line = f" {mark} {rank}. {score:8.4f}  {document_id}  {title}"
                console.print(plain(line), highlight=False)
            rank = row["first_relevant_rank"]
            if rank is not None and rank > len(row["document_ids"]):
                console.print(f"   The right one is at rank {rank}, which the model was not shown.", highlight=False)
    several = any(answer["repeat"] > 1 for answer in answers)
    for answer in answers:
        if answer["question_id"] == question["question_id"]:
            _show_answer(answer, scores, several=several)


def _show_answer(answer: _Row, scores: list[_Row], *, several: bool) -> None:
    repeat = f", repeat {answer['repeat']}" if several else ""
    title = f"{answer['system']}{repeat}: {answer['status']}"
    why = answer["error"] or "the system retrieves only"
    console.print(Panel(plain(answer["answer"] or f"(no answer: {why})"), title=plain(title), title_align="left"))
    same = ("question_id", "system", "repeat")
    for score in scores:
        if all(score[column] == answer[column] for column in same):
            value = "no value" if score["value"] is None else f"{score['value']:.3f}"
            words = " ".join(filter(None, (score["label"], score["reason"], score["error"])))
            console.print(plain(f"  {score['metric']:<24} {value}  {words}"), highlight=False)
