"""`rageval chat`: a page and an API that answer questions with what the evaluation evaluates."""

from typing import Annotated

import typer

from rageval.cli.options import MODELS, RUN, ApiKeyEnv, BaseUrl, ConfigFile, Documents, MaxConcurrency, Output

SERVER = "Server"


def chat(
    config: ConfigFile = None,
    documents: Documents = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Answering model; `local` is the embedded one.  (default: the first of the file)",
            metavar="NAME",
            rich_help_panel=MODELS,
        ),
    ] = None,
    base_url: BaseUrl = None,
    api_key_env: ApiKeyEnv = None,
    max_concurrency: MaxConcurrency = None,
    max_cost_usd: Annotated[
        float | None,
        typer.Option(help="Answer nothing more once so many dollars are spent.", metavar="USD", rich_help_panel=RUN),
    ] = None,
    output: Output = None,
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0 for everybody.", rich_help_panel=SERVER)
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port to listen at; 0 for any.", min=0, max=65535, rich_help_panel=SERVER)
    ] = 8300,
    per_minute: Annotated[
        float, typer.Option(help="Questions a minute of one client.", min=0.1, max=100_000, rich_help_panel=SERVER)
    ] = 20.0,
    timeout_s: Annotated[
        float, typer.Option(help="Seconds after which a question is given up.", min=1, max=3600, rich_help_panel=SERVER)
    ] = 120.0,
    proxy: Annotated[
        list[str],
        typer.Option(
            help="Address of a proxy in front, whose X-Forwarded-For is believed; repeat it for more.",
            metavar="IP",
            rich_help_panel=SERVER,
        ),
    ] = [],  # noqa: B006
    allowed_host: Annotated[
        list[str],
        typer.Option(
            help="Name that the app may be called by, besides this machine's own; repeat it for more, * for any.",
            metavar="NAME",
            rich_help_panel=SERVER,
        ),
    ] = [],  # noqa: B006
) -> None:
    """Answer questions on a page and by an API, with the search, the prompt and the model of the evaluation.

    Conversations and votes go to the database of MONITORING_DATABASE_URL. With RAGEVAL_CHAT_API_KEY set, clients have
    to send that key. Ctrl-C ends it, once the questions under way are answered.
    """
    from rageval.config.evaluation import EvaluationConfig  # noqa: PLC0415
    from rageval.config.file import read_settings  # noqa: PLC0415 - help must not wait for imports
    from rageval.config.overrides import choose_models, put, set_for_remote_models, validate  # noqa: PLC0415
    from rageval.text.printable import printable  # noqa: PLC0415

    settings = read_settings(config) if config else {}
    given = {"data.documents": documents, "run.output": output, "run.max_cost_usd": max_cost_usd}
    for path, value in given.items():
        if value is not None:
            put(settings, path, value)
    choose_models(settings, [model] if model else [])
    set_for_remote_models(
        settings, {"base_url": base_url, "api_key_env": api_key_env, "max_concurrency": max_concurrency}
    )
    configuration = validate(EvaluationConfig, settings)
    from serving.serve import serve_chat  # noqa: PLC0415 - slow import
    from serving.settings import ChatSettings, api_key  # noqa: PLC0415

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
