"""`rageval score`: answers that were given before -> a run with their scores and a report; nobody is asked for any."""

from pathlib import Path
from typing import Annotated, Any

import typer

from rageval.cli.options import DATA, ENDPOINT, LIMITS, MODELS, RUN, Given, offers
from rageval.config.evaluation import EvaluationConfig
from rageval.config.file import read_settings
from rageval.config.overrides import choose_judge, override
from rageval.errors import ConfigError
from rageval.text.terminal import plain

SETTINGS = {
    DATA: {
        "--questions PATH|URL": "data.ground_truth",
        "--documents PATH|URL": "data.documents",
        "--filter-by COLUMN": "data.filter_by",
        "--only VALUE": "data.only",
        "--sample N": "data.sample",
        "--seed N": "data.seed",
    },
    MODELS: {"--metric NAME": "metrics", "--judge NAME": "judge.model", **ENDPOINT, **LIMITS},
    RUN: {
        "--output DIR|URL": "run.output",
        "--run-id NAME": "run.run_id",
        "--max-cost-usd USD": "run.max_cost_usd",
    },
}


@offers(EvaluationConfig, SETTINGS)
def score(
    given: Given,
    answers: Annotated[
        str, typer.Argument(help="Path or URL of the answers: CSV, JSON, JSONL, Parquet, Excel, or a run of TREC.")
    ],
    config: Annotated[str, typer.Option(help="YAML file of settings; options override it.")] = "",
    qrels: Annotated[str, typer.Option(help="Relevant documents in the form of TREC, for a run of TREC.")] = "",
    column: Annotated[
        list[str], typer.Option(help="A column that is not recognised: WHAT=COLUMN, such as answer=reply.")
    ] = [],  # noqa: B006 - typer copies it
) -> None:
    """Score answers that are there already, whoever gave them, and write tables and a report.

    The columns of ragas, DeepEval, Azure, RAGChecker, open-rag-eval, Langfuse, Giskard and AutoRAG are recognised. One
    file may hold several systems (a column system) and several answers to a question. Without --judge only metrics are
    computed that ask nobody.

    Examples:

    rageval score answers.jsonl --questions questions.csv

    rageval score answers.jsonl --judge gpt-5-mini --metric correctness --metric faithfulness

    rageval score run.trec --qrels qrels.txt
    """
    settings = read_settings(Path(config)) if config else {}
    judge = given.pop("judge.model", None)
    override(settings, given, [])
    choose_judge(settings, judge, disabled=judge is None and not settings.get("judge"))
    from rageval.cli.recorded import score_recorded, score_trec

    if qrels:
        score_trec(answers, qrels, settings)
        return
    data = settings.setdefault("data", {})
    columns = [_column(text) for text in column]
    if "ground_truth" not in data:
        data |= {"ground_truth": answers, "columns": columns}
    score_recorded(answers, columns, settings)


def _column(text: str) -> dict[str, Any]:
    name, equals, column = text.partition("=")
    if not equals:
        raise ConfigError(f"--column {plain(text)}: expected WHAT=COLUMN, such as answer=reply")
    return {"name": name.strip(), "column": column.strip()}
