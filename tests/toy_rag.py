"""A small RAG service: FastAPI on localhost, which finds documents by their words and answers with the best one.

    with ToyRag(documents) as rag:
        ... POST rag.url + "/ask" {"question": "..."} -> {"answer": ..., "contexts": [{"id", "text", "score"}], "usage"}
        ... POST rag.url + "/stream" -> the same as server-sent events, "/lines" as JSON lines, "/text" as plain text

Version 1 knows the first half of the documents, version 2 all of them.

    python -m tests.toy_rag DOCUMENTS.json PORT [--rpm N] [--faults SHARE] [--log FILE]
"""

import argparse
import asyncio
import json
import random
import re
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from tests.fake_llm import Bucket

Body = dict[str, Any]


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def found(documents: Sequence[Mapping[str, str]], question: str, version: int = 2, k: int = 3) -> list[Body]:
    """Return the best documents by the words of their titles."""
    asked = words(question)

    def score(document: Mapping[str, str]) -> float:
        title = words(document["question"])
        return len(asked & title) / (1 + len(title))

    known = documents[: len(documents) // 2] if version == 1 else documents
    best = sorted(known, key=score, reverse=True)[:k]
    return [{"id": one["id"], "text": one["text"], "score": round(score(one), 4)} for one in best]


def answer(documents: Sequence[Mapping[str, str]], question: str, version: int = 2) -> Body:
    """Return what the service replies."""
    contexts = found(documents, question, version)
    text = contexts[0]["text"]
    usage = {"input_tokens": len(question) // 4 + 1, "output_tokens": len(text) // 4 + 1}
    return {"answer": text, "contexts": contexts, "citations": [contexts[0]["id"]], "usage": usage}


class ToyRag:
    """The service, in a thread of its own; attributes may be changed while it runs."""

    def __init__(self, documents: Sequence[Mapping[str, str]], *, port: int = 0, delay_s: float = 0.0) -> None:
        self.documents = documents
        self.delay_s = delay_s
        self.requests: list[Body] = []
        """The body of every question, or the query of a GET."""
        self.headers: list[Mapping[str, str]] = []
        self.answered: list[str] = []
        self.refused = 0
        self.faults = 0.0
        """The share of questions that get a 500, a page of HTML, or a reply that breaks off."""
        self.key = ""
        """What `x-key` has to be; empty for whatever it is."""
        self.limit: Bucket | None = None
        self.reply: Any = None
        """A reply in place of the service's own: a function of the body that returns a `Response` or None."""
        self._random = random.Random(7)
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._app(),
                host="127.0.0.1",
                port=port,
                log_level="critical",
                lifespan="off",
                timeout_graceful_shutdown=1,
            )
        )
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self.url = ""

    def __enter__(self) -> "ToyRag":
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.01)
            assert self._thread.is_alive()
        self.url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()

    def _app(self) -> FastAPI:
        app = FastAPI()
        for path, shape in (("/ask", _json), ("/stream", _sse), ("/lines", _ndjson), ("/text", _plain)):
            app.add_api_route(path, self._endpoint(shape), methods=["POST", "GET"])
        return app

    def _endpoint(self, shape: Any) -> Any:
        async def endpoint(request: Request) -> Response:
            body = await request.json() if request.method == "POST" else dict(request.query_params)
            self.requests.append(body)
            self.headers.append(request.headers)
            if self.key and request.headers.get("x-key") != self.key:
                return JSONResponse({"detail": f"no such key: {request.headers.get('x-key')}"}, 401)
            if self.limit and (wait_s := self.limit.take(1)):
                self.refused += 1
                return JSONResponse({"detail": "slow down"}, 429, {"retry-after": str(int(wait_s) + 1)})
            await asyncio.sleep(self.delay_s)
            if fault := self._fault():
                return fault
            scripted = self.reply(body) if self.reply else None
            if scripted is None:
                self.answered.append(body["question"])
                return shape(answer(self.documents, body["question"], int(body.get("version", 2))))
            return scripted

        return endpoint

    def _fault(self) -> Response | None:
        if self._random.random() >= self.faults:
            return None
        faults = (
            JSONResponse({"detail": "out of memory"}, 500),
            PlainTextResponse("<html><title>Bad gateway</title></html>", 502),
            Response(b'{"answer": "It is', media_type="application/json"),
        )
        return self._random.choice(faults)


def _json(reply: Body) -> Response:
    return JSONResponse(reply)


def _sse(reply: Body) -> Response:
    async def parts() -> AsyncIterator[str]:
        yield ": a comment\n\n"
        for piece in re.findall(r"\s*\S+", reply["answer"]):
            yield f"event: token\ndata: {json.dumps({'delta': piece})}\n\n"
        rest = {key: reply[key] for key in ("contexts", "citations", "usage")}
        yield f"event: end\ndata: {json.dumps(rest)}\n\ndata: [DONE]\n\n"

    return StreamingResponse(parts(), media_type="text/event-stream")


def _ndjson(reply: Body) -> Response:
    lines = [{"delta": piece} for piece in re.findall(r"\s*\S+", reply["answer"])]
    rest = {key: reply[key] for key in ("contexts", "citations", "usage")}
    return Response("\n".join(map(json.dumps, [*lines, rest])), media_type="application/x-ndjson")


def _plain(reply: Body) -> Response:
    return PlainTextResponse(reply["answer"])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("documents", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("--rpm", type=float, default=0)
    parser.add_argument("--faults", type=float, default=0)
    parser.add_argument("--log", type=Path)
    options = parser.parse_args()
    rag = ToyRag(json.loads(options.documents.read_text("utf-8")), port=options.port, delay_s=0.2)
    rag.faults = options.faults
    rag.limit = Bucket(per_minute=options.rpm) if options.rpm else None
    with rag:
        while True:
            threading.Event().wait(1)
            if options.log:
                seen = {"requests": len(rag.requests), "answered": len(rag.answered), "refused": rag.refused}
                options.log.write_text(json.dumps(seen | {"distinct": len(set(rag.answered))}))


if __name__ == "__main__":
    main()
