"""Receives the requests of the page: files that ship with the package, answers, and events."""

import asyncio
import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib.resources import files

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from lenetscope.errors import LenetscopeError, listed
from lenetscope.playground import Limits
from lenetscope.playground.answers import ANSWERS, Found
from lenetscope.playground.guard import Guard
from lenetscope.playground.lab import Lab
from lenetscope.schema import SchemaError, record

PLACES = {"play": "lenetscope.playground", "report": "lenetscope.report"}
"""Packages whose ``static`` files are served, by the first part of their address."""

KINDS = {".js": "text/javascript", ".css": "text/css"}


def make_app(lab: Lab, host: str, token: str | None, limits: Limits) -> ASGIApp:
    """Return the playground as an ASGI application.

    Args:
        lab: what is open.
        host: address that is listened on.
        token: that visitors must know, None for none.
        limits: of requests.
    """
    service = _Service(lab, limits)
    app = Starlette(
        routes=[
            Route("/", service.page),
            Route("/api/events", service.events),
            Route("/api/{name}", service.answer, methods=["POST"]),
            Route("/{place}/{name}", service.file),
        ],
        exception_handlers={HTTPException: _error, Exception: _fault},
        lifespan=service.lifespan,
    )
    app.router.redirect_slashes = False
    return Guard(app, host, token)


class _Service:
    """What the requests share."""

    def __init__(self, lab: Lab, limits: Limits) -> None:
        self._lab, self._limits = lab, limits
        self._files = dict(_static_files())
        self._page = (files("lenetscope.playground") / "static" / "index.html").read_bytes()
        # one at a time: each may use all cores
        self._thread = ThreadPoolExecutor(1, "answers")
        self._quick = ThreadPoolExecutor(1, "quick answers")
        self._waiting = 0

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        """Begin with what takes long, and end the thread with the server."""
        yield
        for thread in (self._thread, self._quick):
            thread.shutdown(cancel_futures=True)

    async def page(self, _request: Request) -> Response:
        """Answer with the page."""
        return Response(self._page, media_type="text/html")

    async def file(self, request: Request) -> Response:
        """Answer with a module or a style sheet of the package."""
        name = request.path_params["place"], request.path_params["name"]
        if name not in self._files:
            raise HTTPException(404, "there is no such file.")
        content, kind = self._files[name]
        return Response(content, media_type=kind)

    async def events(self, _request: Request) -> Response:
        """Answer with a stream of what happens."""
        if self._lab.events.listeners >= self._limits.max_listeners:
            raise HTTPException(503, "too many pages are open; close some.")
        return StreamingResponse(self._lab.events.stream(), media_type="text/event-stream")

    async def answer(self, request: Request) -> Response:
        """Answer what a page asks."""
        name = request.path_params["name"]
        if name not in ANSWERS.names():
            raise HTTPException(404, f"no request is called '{name[:40]}'.")
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            raise HTTPException(415, "the Content-Type must be application/json.")
        if self._waiting >= self._limits.max_waiting:
            raise HTTPException(503, "too many requests at the same time; try again later.")
        self._waiting += 1
        try:
            asked = _object(await self._body(request))
            loop = asyncio.get_running_loop()
            thread = self._quick if ANSWERS.get(name).quick else self._thread
            work = loop.run_in_executor(thread, self._compute, name, asked)
            found = await self._unless_gone(work, request)
        except ClientDisconnect:
            return Response(status_code=499)  # to nobody
        except (LenetscopeError, SchemaError) as error:
            raise HTTPException(422, " ".join(str(error).split())) from error
        finally:
            self._waiting -= 1
        if isinstance(found, bytes):
            return Response(found, media_type="application/octet-stream")
        return JSONResponse(found)

    async def _unless_gone(self, work: "asyncio.Future[Found]", request: Request) -> Found:
        """Wait for an answer; it is not begun if the page has given up the request, for a newer one."""
        while not (await asyncio.wait([work], timeout=0.05))[0]:
            if await request.is_disconnected():
                work.cancel()
                raise ClientDisconnect
            if self._lab.closing.is_set():
                raise HTTPException(503, "the playground is ending.")
        return work.result()

    def _compute(self, name: str, asked: dict[str, object]) -> Found:
        answer = ANSWERS.get(name)
        if others := [field for field in asked if field not in answer.fields]:
            known = f"one of {listed(answer.fields)}" if answer.fields else "a field: there are none"
            raise SchemaError(f"'{others[0][:40]}' is not {known}.")
        required = {field: answer.fields[field] for field in answer.required}
        return answer.compute(self._lab, record(required, answer.fields)(asked, ""))

    async def _body(self, request: Request) -> bytes:
        """Receive the body, no more of it than is allowed."""
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > self._limits.max_bytes:
                message = f"the request has more than {self._limits.max_bytes:,} bytes, the limit."
                raise HTTPException(413, message, {"Connection": "close"})
        return body


def _object(body: bytes) -> dict[str, object]:
    """Return what a body of JSON holds."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise HTTPException(400, "the body is not JSON.") from None
    if not isinstance(found, dict):
        raise HTTPException(400, "the body must be a JSON object.")
    return found


def _static_files() -> list[tuple[tuple[str, str], tuple[bytes, str]]]:
    """Return the static files of the package, by place and name, with their media types."""
    folders = [(place, files(package) / "static") for place, package in PLACES.items()]
    return [
        ((place, file.name), (file.read_bytes(), kind))
        for place, folder in folders
        for file in folder.iterdir()
        if (kind := KINDS.get(f".{file.name.rpartition('.')[2]}"))
    ]


async def _error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _fault(_request: Request, _error: Exception) -> Response:
    """Answer after a fault of the program; what it was is written to standard error."""
    return JSONResponse({"error": "the playground made a mistake, and has logged it."}, 500)
