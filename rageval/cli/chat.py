"""`rageval chat`: a page and an API that answer questions with what the evaluation evaluates."""

from typing import Annotated

import typer

from rageval.cli.arguments import Assignments, EvaluationFile, evaluation_settings
from rageval.cli.options import DATA, ENDPOINT, MODELS, RUN, Given, offers
from rageval.config.evaluation import EvaluationConfig
from rageval.config.overrides import choose_models, override, validate
from rageval.text.printable import printable
from serving.settings import ChatSettings, api_key

SETTINGS = {
    DATA: {"--documents PATH|URL": "data.documents", "--filter-by COLUMN": "data.filter_by"},
    MODELS: {"--model NAME": "models", **ENDPOINT, "--max-concurrency N": "*.max_concurrency"},
    RUN: {"--output DIR|URL": "run.output", "--max-cost-usd USD": "run.max_cost_usd"},
}
_SERVER = "Server"


@offers(EvaluationConfig, SETTINGS)
def chat(
    given: Given,
    config: EvaluationFile = None,
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0 for everybody.", rich_help_panel=_SERVER)
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port to listen at; 0 for any.", min=0, max=65535, rich_help_panel=_SERVER)
    ] = 8300,
    per_minute: Annotated[
        float, typer.Option(help="Questions a minute of one client.", min=0.1, max=100_000, rich_help_panel=_SERVER)
    ] = 20.0,
    timeout_s: Annotated[
        float,
        typer.Option(help="Seconds after which a question is given up.", min=1, max=3600, rich_help_panel=_SERVER),
    ] = 120.0,
    proxy: Annotated[
        list[str],
        typer.Option(
            help="Address of a proxy in front, whose X-Forwarded-For is believed; repeat the option for more.",
            metavar="IP",
            rich_help_panel=_SERVER,
        ),
    ] = [],  # noqa: B006
    allowed_host: Annotated[
        list[str],
        typer.Option(
            help="Name that the app may be called by, besides this machine's own, * for any; repeat the option.",
            metavar="NAME",
            rich_help_panel=_SERVER,
        ),
    ] = [],  # noqa: B006
    assignments: Assignments = [],  # noqa: B006
) -> None:
    """Answer questions on a page and by an API, with the search, the prompt and the model of the evaluation.

    The first system of the configuration that is a pipeline answers. Conversations and votes go to the database of
    MONITORING_DATABASE_URL. With RAGEVAL_CHAT_API_KEY set, clients have to send that key. Ctrl-C ends it, once the
    questions under way are answered.

    Example:

    rageval chat examples/configs/openai.yaml --host 0.0.0.0 --max-cost-usd 20
    """
    settings = evaluation_settings(config)
    choose_models(settings, given.pop("models", []))
    override(settings, given, assignments)
    configuration = validate(EvaluationConfig, settings)
    from serving.serve import serve_chat

    serve_chat(
        configuration,
        ChatSettings(
            questions_per_minute=per_minute,
            requests_per_minute=6 * per_minute,
            api_key=api_key(),
        ),
        host=host,
        port=port,
        timeout_s=timeout_s,
        proxies=proxy,
        names=allowed_host,
        say=lambda words: typer.secho(printable(words), err=True),
    )
