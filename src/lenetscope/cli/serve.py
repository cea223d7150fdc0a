"""``lenetscope serve``: the predictions of a network over HTTP."""

import logging
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lenetscope.cli import app
from lenetscope.serving import Limits


def serve(
    path: Annotated[Path | None, Parameter(negative="")] = None,
    /,
    *,
    host: str = "127.0.0.1",
    port: app.Whole = 8000,
    threads: app.Whole = 1,
    max_batch: app.Whole = Limits.max_batch,
    max_images: app.Whole = Limits.max_images,
    max_bytes: app.Whole = Limits.max_bytes,
    max_pixels: app.Whole = Limits.max_pixels,
    max_requests: app.Whole = Limits.max_requests,
    timeout: float = Limits.timeout,
    as_json: app.Json = False,
) -> None:
    """Answer HTTP requests with the predictions of a network, until Ctrl-C.

    Parameters
    ----------
    path
        folder of a run (default: the newest in runs), or an exported file or its folder
    host
        address to listen on; 0.0.0.0 is every address of this machine, for other machines too
    port
        to listen on; 0 takes a free one
    threads
        of a forward pass, 0 for one per core; more than one help large networks only
    max_batch
        images per forward pass
    max_images
        images per request
    max_bytes
        bytes per request
    max_pixels
        pixels per picture, before it is resized
    max_requests
        requests at the same time; more are sent away
    timeout
        seconds per request
    """
    from lenetscope.arguments import require_number, require_whole
    from lenetscope.export.predictor import open_predictor
    from lenetscope.serving.app import make_app
    from lenetscope.serving.server import listen
    from lenetscope.serving.server import serve as answer

    # what is wrong with a form is answered
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    require_whole("--port", port, 0, 65535)
    require_whole("--threads", threads, 0)
    limits = Limits(
        max_batch=require_whole("--max-batch", max_batch, 1),
        max_images=require_whole("--max-images", max_images, 1),
        max_bytes=require_whole("--max-bytes", max_bytes, 1),
        max_pixels=require_whole("--max-pixels", max_pixels, 1),
        max_requests=require_whole("--max-requests", max_requests, 1),
        timeout=require_number("--timeout", timeout, above=0, most=3600),
    )
    path = app.newest_run() if path is None else path
    listener, url = listen(host, port)  # first, for it takes no time
    with listener:
        app.prepare_process(threads)
        predictor = open_predictor(path, threads)
        facts = {"url": url, "model": str(path), "classes": list(predictor.classes)}
        app.show(as_json, facts, f"{url} answers with {path}. Ctrl-C ends it.")
        answer(make_app(predictor, path.name, limits), listener, limits)
