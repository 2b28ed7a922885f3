"""The files and batches of the fake model server: states that move on with every look, lines that fail, expiry."""

import json
from collections.abc import Callable
from typing import Any

from aiohttp import web

Body = dict[str, Any]
_ENDS = {"completed", "expired", "cancelled", "failed"}


class FakeBatches:
    """Attributes may be changed while it runs.

    Args:
        answer: Status and body of the reply to one line's body, or None for a line that gets lost.
    """

    def __init__(self, answer: Callable[[Body], tuple[int, Body] | None]) -> None:
        self.uploads: list[list[Body]] = []
        """The lines of each file."""
        self.created: dict[str, Body] = {}
        self.looks = 0
        """How often any batch was looked at."""
        self.looks_to_end = 3
        """The look at which a batch ends: the first one finds it validating, the others in progress."""
        self.ends_as = "completed"
        self.lines_before_end: int | None = None
        """How many lines of a batch are worked on before it ends; None for all."""
        self.problem = ""
        self.status = 200
        """What looking at a batch answers with."""
        self.faults = 0
        """How many looks from now on answer with 503."""
        self.lose_creation = False
        """Create a batch, and then drop the connection instead of telling its id."""
        self._answer = answer
        self._files: dict[str, bytes] = {}

    @property
    def lines(self) -> list[Body]:
        """All lines of all batches."""
        return [line for batch in self.created.values() for line in self._lines_of(batch)]

    def forget_files(self) -> None:
        """Delete every file, as a provider does after some weeks."""
        self._files.clear()

    def add_routes(self, app: web.Application) -> None:
        """Serve files and batches."""
        app.router.add_post("/v1/files", self._upload)
        app.router.add_get("/v1/files/{id}/content", self._content)
        app.router.add_post("/v1/batches", self._create)
        app.router.add_get("/v1/batches", self._list)
        app.router.add_get("/v1/batches/{id}", self._retrieve)

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        assert form["purpose"] == "batch"
        content = form["file"].file.read()  # type: ignore[union-attr]  # it is a file, not a text
        self.uploads.append([json.loads(line) for line in content.splitlines()])
        return web.json_response({"id": self._store("input", content), "object": "file", "purpose": "batch"})

    async def _content(self, request: web.Request) -> web.Response:
        content = self._files.get(request.match_info["id"])
        return web.Response(status=404) if content is None else web.Response(body=content)

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        assert (body["endpoint"], body["completion_window"]) == ("/v1/chat/completions", "24h")
        batch = {
            "id": f"batch_{len(self.created) + 1}",
            "object": "batch",
            "created_at": 1_700_000_000,
            "status": "validating",
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
            **body,
        }
        self.created[batch["id"]] = batch
        if self.lose_creation:
            assert request.transport is not None
            request.transport.abort()
        return web.json_response(batch)

    async def _list(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [*self.created.values()][::-1], "has_more": False})

    async def _retrieve(self, request: web.Request) -> web.Response:
        self.looks += 1
        if self.faults:
            self.faults -= 1
            return web.json_response({"error": {"message": "overloaded"}}, status=503)
        if self.status != 200:
            return web.json_response({"error": {"message": "no"}}, status=self.status)
        batch = self.created[request.match_info["id"]]
        batch["looks"] = batch.get("looks", 0) + 1
        if batch["status"] not in _ENDS:
            if batch["looks"] >= self.looks_to_end:
                self._end(batch)
            elif batch["looks"] > 1:
                batch["status"] = "in_progress"
                batch["request_counts"] = {"total": len(self._lines_of(batch)), "completed": 0, "failed": 0}
        return web.json_response(batch)

    def _end(self, batch: Body) -> None:
        batch["status"] = self.ends_as
        if self.ends_as == "failed":
            batch["errors"] = {"object": "list", "data": [{"code": "invalid", "message": self.problem}]}
            return
        lines = self._lines_of(batch)
        worked_on = len(lines) if self.lines_before_end is None else self.lines_before_end
        good, bad = [], []
        for line in lines[:worked_on]:
            answer = self._answer(line["body"])
            if answer:
                response = {"status_code": answer[0], "request_id": "r", "body": answer[1]}
                result = {"id": "x", "custom_id": line["custom_id"], "response": response, "error": None}
                (good if answer[0] == 200 else bad).append(result)
        for line in lines[worked_on:]:
            error = {"code": f"batch_{self.ends_as}", "message": "This request could not be executed in time."}
            bad.append({"id": "x", "custom_id": line["custom_id"], "response": None, "error": error})
        good.reverse()  # the order of results is not the order of requests
        batch["request_counts"] = {"total": len(lines), "completed": len(good), "failed": len(bad)}
        for name, results in (("output", good), ("error", bad)):
            if results:
                content = "".join(json.dumps(result) + "\n" for result in results)
                batch[f"{name}_file_id"] = self._store(name, content.encode())

    def _lines_of(self, batch: Body) -> list[Body]:
        return [json.loads(line) for line in self._files[batch["input_file_id"]].splitlines()]

    def _store(self, kind: str, content: bytes) -> str:
        file_id = f"file_{kind}_{len(self._files)}"
        self._files[file_id] = content
        return file_id
