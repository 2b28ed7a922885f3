"""What goes wrong with a request -> a status and one sentence; nothing of the request is repeated."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

SENTENCES = {
    404: "There is no such page. /openapi.json describes what there is.",
    405: "This method is not allowed here. /openapi.json describes what is.",
}


class HttpError(HTTPException):
    """An error that the client is told: the status and a sentence with the remedy."""

    def __init__(self, status: int, sentence: str, *, retry_after_s: int | None = None, allow: str = "") -> None:
        headers = {"Retry-After": str(retry_after_s) if retry_after_s else "", "Allow": allow}
        super().__init__(status, sentence, {name: value for name, value in headers.items() if value} or None)


def problem(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return the response for an error."""
    return JSONResponse({"error": sentence}, status, headers)


def say_problems(app: FastAPI) -> None:
    """Let every error of the app be a sentence."""

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        sentence = error.detail if isinstance(error, HttpError) else SENTENCES.get(error.status_code, error.detail)
        return problem(error.status_code, sentence, error.headers)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        details = error.errors()
        if any(detail["type"] == "json_invalid" for detail in details):
            return problem(400, "The body is not valid JSON.")
        return problem(422, _sentence(details))

    @app.exception_handler(Exception)
    async def _unexpected(_: Request, error: Exception) -> JSONResponse:
        return problem(500, "Something went wrong here. It is logged; try again.")


def _sentence(details: Sequence[Mapping[str, Any]]) -> str:
    """Return what is wrong, without the values; unknown keys are the client's words too, so they are not named."""
    said = []
    for detail in details[:5]:
        message = str(detail["msg"]).removeprefix("Value error, ")
        place = ".".join(str(part) for part in detail["loc"][1:])
        if detail["type"] == "extra_forbidden":
            place, message = "", "the body holds a field that is not known"
        elif not place:
            place, message = "", "a JSON object with the content type application/json is needed"
        said.append(f"{place}: {message}" if place else message)
    return "; ".join(dict.fromkeys(said))
