"""``lenetscope serve``: the predictions of a network over HTTP."""

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
    limits: Annotated[Limits, Parameter(name="*")] = Limits(),  # noqa: B008  # frozen
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
        of a forward pass, 0 for one per core; more help large networks only
    """
    from lenetscope.arguments import require_number, require_whole
    from lenetscope.export.predictor import open_predictor
    from lenetscope.serving.app import make_app
    from lenetscope.serving.server import listen
    from lenetscope.serving.server import serve as answer

    require_whole("--port", port, 0, 65535)
    require_whole("--threads", threads, 0)
    for name in ("max_batch", "max_images", "max_bytes", "max_pixels", "max_requests"):
        require_whole(f"--{name.replace('_', '-')}", getattr(limits, name), 1)
    require_number("--timeout", limits.timeout, above=0, most=3600)
    listener, url = listen(host, port)
    path = app.newest_run() if path is None else path
    app.prepare_process(threads)
    predictor = open_predictor(path, threads)
    facts = {"url": url, "model": str(path), "classes": list(predictor.classes)}
    app.show(as_json, facts, f"{url} answers with {path}. Ctrl-C ends it.")
    answer(make_app(predictor, path.name, limits), listener, limits)
