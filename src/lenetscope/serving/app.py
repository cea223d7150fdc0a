"""The answers to HTTP requests: predictions, health, metrics, and what this server is."""

import asyncio
import html
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from lenetscope.data.sources import LIGHT
from lenetscope.errors import listed
from lenetscope.evaluation.outputs import Array
from lenetscope.export.predictor import Predictor
from lenetscope.serving import Limits
from lenetscope.serving.batching import Batcher
from lenetscope.serving.inputs import decode_pictures, form_pictures, json_images, refuse
from lenetscope.serving.metrics import Counted, Metrics
from lenetscope.serving.openapi import describe

DRAINED = 8
"""Times the limit of bytes: so much of a body that is too large is still received, and dropped, so that
its sender gets to read the answer; a larger one is cut off."""

CLOSE = {"Connection": "close"}
LATER = {"Retry-After": "1"}


def make_app(predictor: Predictor, name: str, limits: Limits) -> ASGIApp:
    """Return an ASGI application that predicts.

    Args:
        predictor: that answers.
        name: of what is served, for people.
        limits: of requests.
    """
    service = _Service(predictor, name, limits)
    routes = [
        Route("/predict", service.predict, methods=["POST"]),
        Route("/health", service.health),
        Route("/metrics", service.show_metrics),
        Route("/openapi.json", service.openapi),
        Route("/", service.page),
    ]
    app = Starlette(
        routes=routes,
        exception_handlers={HTTPException: _error, Exception: _fault},
        lifespan=service.lifespan,
    )
    app.router.redirect_slashes = False
    return Counted(app, service.metrics, frozenset(route.path for route in routes))


class _Service:
    """What answers share."""

    def __init__(self, predictor: Predictor, name: str, limits: Limits) -> None:
        self._predictor, self._name, self._limits = predictor, name, limits
        self.metrics = Metrics()
        self.metrics.in_progress.set_function(lambda: self._requests)
        self._batcher = Batcher(predictor.probabilities, limits.max_batch, self.metrics.batches.observe)
        # one thread: decoding changes the filters of warnings, which belong to the process
        self._decoding = ThreadPoolExecutor(1, "decoding")
        self._requests = 0

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        """End the threads with the server."""
        yield
        self._batcher.close()
        self._decoding.shutdown()

    async def predict(self, request: Request) -> Response:
        """Answer with the probabilities of each image."""
        if self._requests >= self._limits.max_requests:
            refuse(503, f"busy with {self._requests} requests, the limit; try again later.", LATER)
        kind = _kind(request)
        body: bytes | None = None
        self._requests += 1
        try:
            async with asyncio.timeout(self._limits.timeout):
                body = await self._body(request)
                images = await self._images(kind, body, request)
                found = await self._batcher.probabilities(images)
        except TimeoutError:
            seconds = f"{self._limits.timeout:g} s"
            if body is None:
                refuse(408, f"the body did not arrive within {seconds}.", CLOSE)
            refuse(503, f"there was no prediction within {seconds}; try again later.", LATER)
        except ClientDisconnect:
            return Response(status_code=499)  # to nobody, but it is counted
        finally:
            self._requests -= 1
        self.metrics.images.inc(len(images))
        return JSONResponse({"predictions": self._predictions(images, found)})

    async def _body(self, request: Request) -> bytes:
        """Receive the body, no more of it than is allowed."""
        most, headers = self._limits.max_bytes, request.headers
        message = f"the body has more than {most:,} bytes, the limit."
        declared = int(headers.get("content-length", 0))  # the server takes only numbers
        if declared > DRAINED * most or (declared > most and "expect" in headers):
            refuse(413, message, CLOSE)
        chunks, size = [], 0
        async for chunk in request.stream():
            size += len(chunk)
            if size <= most:
                chunks.append(chunk)
            elif size > DRAINED * most:
                break
        if size > most:
            refuse(413, message, CLOSE)
        if not size:
            refuse(400, "the body is empty: send a picture, a form or JSON.")
        return b"".join(chunks)

    async def _images(self, kind: str, body: bytes, request: Request) -> Array:
        """Make images of a body, in a thread."""
        if kind == "multipart/form-data":
            files = await form_pictures(request.headers, body, self._limits)
            read = partial(decode_pictures, files)
        elif kind == "application/json":
            read = partial(json_images, body)
        else:
            read = partial(decode_pictures, [body])
        loop = asyncio.get_running_loop()
        shape = self._predictor.image_shape
        return await loop.run_in_executor(self._decoding, read, shape, self._limits)

    def _predictions(self, images: Array, found: Array) -> list[dict[str, Any]]:
        classes = self._predictor.classes
        light = (images > 127).mean(axis=(1, 2, 3)) > 0.5
        light &= self._predictor.light_on_dark
        return [
            {
                "label": classes[best],
                "probability": row[best],
                "probabilities": dict(zip(classes, row, strict=True)),
            }
            | ({"warning": LIGHT} if warn else {})
            for best, row, warn in zip(
                found.argmax(1).tolist(), found.tolist(), light.tolist(), strict=True
            )
        ]

    async def health(self, _request: Request) -> Response:
        """Answer that the network is ready; nothing is answered before it is."""
        shape, classes = list(self._predictor.image_shape), list(self._predictor.classes)
        return JSONResponse({"status": "ready", "image_shape": shape, "classes": classes})

    async def show_metrics(self, _request: Request) -> Response:
        """Answer with what was counted."""
        return Response(self.metrics.text(), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    async def openapi(self, _request: Request) -> Response:
        """Answer with the description of these answers."""
        return JSONResponse(describe(self._predictor, self._limits))

    async def page(self, request: Request) -> Response:
        """Answer with a page for people."""
        host = request.headers.get("host", "localhost")
        values = {"name": self._name, "host": host, "classes": ", ".join(self._predictor.classes)}
        return HTMLResponse(PAGE.format(**{key: html.escape(text) for key, text in values.items()}))


PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{name}</title>
<body style="font: 16px/1.5 sans-serif; max-width: 45em; margin: 2em auto; padding: 0 1em">
<h1>{name}</h1>
<p>A network that tells apart: {classes}.</p>
<form action="/predict" method="post" enctype="multipart/form-data">
<label>Pictures: <input type="file" name="image" accept="image/*" multiple required></label>
<button>Predict</button></form>
<pre>curl -H 'Content-Type: image/png' --data-binary @digit.png http://{host}/predict</pre>
<p><a href="/openapi.json">openapi.json</a> describes all requests and answers.
<a href="/health">health</a>, <a href="/metrics">metrics</a></p>
"""


def _kind(request: Request) -> str:
    """Return what the body is, by its content type."""
    if (coding := request.headers.get("content-encoding", "identity")) != "identity":
        refuse(415, f"the body must not be compressed, and its Content-Encoding is '{coding[:40]}'.")
    given = request.headers.get("content-type", "")
    kind = given.partition(";")[0].strip().lower()
    known = ("multipart/form-data", "application/json", "application/octet-stream")
    if kind not in known and not kind.startswith("image/"):
        refuse(
            415,
            f"the Content-Type must be that of a picture, such as image/png, or {listed(known)}, not "
            f"'{given[:40]}'.",
        )
    return kind


async def _error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _fault(_request: Request, _error: Exception) -> Response:
    """Answer after a fault of the program; what it was is written to standard error."""
    return JSONResponse({"error": "the server made a mistake, and has logged it."}, 500)
