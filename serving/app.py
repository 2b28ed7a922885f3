"""An assistant and a recorder -> the chat app: a JSON API, the page, health and metrics."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from starlette.staticfiles import StaticFiles

from rageval.monitoring.records import Thumbs
from rageval.monitoring.redaction import redactor
from rageval.monitoring.store.database import database_url
from rageval.monitoring.store.recorder import Recorder
from serving.asking import Exchange
from serving.assistant import Assistant
from serving.bodies import Feedback, FilterValues, Health, Problem, QuestionBody, RecordedVote, Reply, reply_of
from serving.desk import PROBLEMS, Desk
from serving.guard import Guard, host_of
from serving.problems import HttpError, say_problems
from serving.settings import ChatSettings
from serving.signals import Signals
from serving.voters import Voters, named_voter

_PAGE = Path(__file__).with_name("page")
_STREAM = "text/event-stream"
_EVENTS = (
    "With `Accept: text/event-stream` the answer comes as server-sent events: `sources` ({sources}), then `answer` "
    "({text}: the next piece), `restart` (forget the pieces so far), and at last `done` "
    "({conversation_id, system, model}) or `error` ({conversation_id, error})."
)


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    words = {
        400: "Not valid JSON", 401: "The key is missing or wrong", 403: "Sent by another site",
        404: "No such conversation", 409: "It does not fit what is known of the conversation", 408: "The body is late",
        413: "The body is too large", 422: "A field is missing or wrong", 429: "Too many requests; see Retry-After",
        502: "The model gave no answer", 503: "Too busy, or a part does not work; see Retry-After",
        504: "It took too long",
    }  # fmt: skip
    return {status: {"model": Problem, "description": words[status]} for status in statuses}


def _also(media_type: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {media_type: {"schema": {"type": "string"}}}}}


def create_app(
    assistant: Assistant, recorder: Recorder, settings: ChatSettings | None = None, *, database: str | None = None
) -> Guard:
    """Return the app; whoever opened assistant and recorder closes them after it.

    Args:
        assistant: Who answers.
        recorder: Who stores conversations and votes.
        settings: Limits; by default those of `ChatSettings`.
        database: URL of the database that the recorder stores in; by default the environment's.
    """
    settings = settings or ChatSettings()
    signals = Signals(assistant, recorder)
    desk = Desk(
        assistant, recorder, signals, settings, database_url=database or database_url(), redact=redactor()
    )  # fmt: skip

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await desk.close()

    app = FastAPI(
        title="rageval chat", version=version("rageval"), summary="Questions to a FAQ, answered with sources",
        docs_url=None, redoc_url=None, lifespan=lifespan,
    )  # fmt: skip
    say_problems(app)
    guard = Guard(app, settings, signals)
    voters = Voters(settings)
    _add_api(app, desk, assistant, settings, guard, voters)
    _add_watching(app, desk, assistant, recorder, signals)
    _add_page(app, voters)
    return guard


def _add_api(
    app: FastAPI, desk: Desk, assistant: Assistant, settings: ChatSettings, guard: Guard, voters: Voters
) -> None:
    @app.post(
        "/api/ask", summary="Ask a question", tags=["chat"], description=_EVENTS,
        response_description="The answer and its sources", response_model=Reply,
        responses=_also(_STREAM) | _problems(400, 401, 403, 408, 409, 413, 422, 429, 502, 503, 504),
    )  # fmt: skip
    async def ask(body: QuestionBody, request: Request) -> Any:
        guard.admit_question(host_of(request.scope))
        streamed = _STREAM in request.headers.get("accept", "")
        conversation_id = str(body.conversation_id) if body.conversation_id else None
        asking = await desk.ask(body.question, body.filter_value, conversation_id, streamed=streamed)
        if streamed:
            return StreamingResponse(_stream(asking), media_type=_STREAM, headers={"X-Accel-Buffering": "no"})
        answered = await asking.followed()
        if answered.failure:
            status, words = PROBLEMS[answered.failure]
            raise HttpError(status, words, retry_after_s=10 if status == 503 else None)
        return reply_of(answered.conversation)

    @app.post(
        "/api/feedback", summary="Vote on an answer", tags=["chat"], response_description="The vote that counts now",
        description="One vote for each person and conversation; the latest one counts. A person is known by a cookie "
        "that the app has given, or by the `user` that a client with the app's key names.",
        responses=_problems(400, 401, 403, 404, 408, 409, 413, 422, 429, 503),
    )  # fmt: skip
    async def feedback(body: Feedback, request: Request, response: Response) -> RecordedVote:
        thumbs, conversation_id = cast("Thumbs", body.thumbs), str(body.conversation_id)
        if body.user and not settings.api_key:
            raise HttpError(
                422, "user: it counts only where the app asks for a key, which this one does not; leave it out"
            )
        voter = named_voter(body.user, settings.api_key) if body.user else voters.of(request, response)
        await desk.vote(conversation_id, voter, thumbs, body.comment, host=host_of(request.scope))
        return RecordedVote(conversation_id=conversation_id, thumbs=thumbs, comment=body.comment or None)

    @app.get(
        "/api/filter-values", summary="List what the search can be restricted to", tags=["chat"],
        responses=_problems(401, 429),
    )  # fmt: skip
    async def filter_values() -> FilterValues:
        return FilterValues(filter_by=assistant.filter_by, filter_values=list(assistant.filter_values))


def _add_watching(app: FastAPI, desk: Desk, assistant: Assistant, recorder: Recorder, signals: Signals) -> None:
    @app.get("/health", summary="Tell how the app is", tags=["watching"])
    async def health() -> Health:
        model, database = desk.state()
        is_ok = (model, database) == ("ok", "ok")
        return Health(
            status="ok" if is_ok else "degraded", model=model, database=database,
            waiting=recorder.state.waiting, in_flight=assistant.in_flight,
        )  # fmt: skip

    @app.get(
        "/metrics", summary="Metrics for Prometheus", tags=["watching"], response_class=Response,
        responses=_also("text/plain") | _problems(401, 429),
    )  # fmt: skip
    async def metrics() -> Response:
        return Response(signals.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_page(app: FastAPI, voters: Voters) -> None:
    app.mount("/static", StaticFiles(directory=_PAGE))

    @app.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        response = FileResponse(_PAGE / "index.html", headers={"Cache-Control": "no-cache"})
        voters.of(request, response)
        return response


async def _stream(asking: Exchange) -> AsyncIterator[str]:
    async for event in asking.events():
        yield f"event: {event.kind}\ndata: {json.dumps(event.data)}\n\n"
