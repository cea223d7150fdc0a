"""``lenetscope predict``: the predictions of a run's network for pictures."""

import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from lenetscope.cli import app
from lenetscope.errors import LenetscopeError, UsageError
from lenetscope.table import percent


def predict(
    paths: Annotated[list[Path], Parameter(negative="")],
    /,
    *,
    device: app.Device = None,
    as_json: app.Json = False,
) -> None:
    """Predict the class of each picture, with the network of a run.

    Parameters
    ----------
    paths
        folder of a run (default: the newest in runs), then pictures like those that it was trained on;
        for MNIST, of a digit that is light on dark, centred, with a margin
    """
    from lenetscope.architecture import Architecture
    from lenetscope.data.pixels import fit_to
    from lenetscope.data.sources import LIGHT, light_on_dark
    from lenetscope.pictures import decode

    named = paths[0].is_dir() or not (paths[0].suffix or paths[0].exists())
    run, images = (paths[0], paths[1:]) if named else (None, paths)
    if not images:
        raise UsageError("there is no picture to predict: name one after the folder of the run.")
    folder = app.open_run(run)
    arch = Architecture.from_run(folder, device=device)
    on_dark = light_on_dark(folder.recipe().data)
    channels, height, width = folder.config()["image_shape"]
    results: list[dict[str, Any]] = []
    for path in images:
        try:
            pixels = fit_to(decode(path, channels), (height, width))
        except LenetscopeError as error:
            app.complain(error)
            continue
        if on_dark and float(pixels.float().median()) > 127:
            app.note(f"{path}: {LIGHT}")
        p = dict(zip(arch.classes or (), arch.predict_proba(pixels[None])[0].tolist(), strict=True))
        label = max(p, key=p.__getitem__)
        results.append({"path": str(path), "label": label, "probability": p[label], "probabilities": p})
    longest = max((len(r["path"]) for r in results), default=0)
    lines = [
        f"{r['path']:{longest}}  {r['label']}  {percent(r['probability'], 1, certain=False)}"
        for r in results
    ]
    if results or as_json:
        app.show(as_json, {"run": str(folder.path), "predictions": results}, "\n".join(lines))
    if len(results) < len(images):
        sys.exit(1)
