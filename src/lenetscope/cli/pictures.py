"""The commands that take pictures: ``predict``, ``read``."""

import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from lenetscope.cli.app import Json, app, complain, note, print_json
from lenetscope.errors import ImageError, LenetscopeError


@app.command
def predict(
    run: Path,
    images: Annotated[list[Path], Parameter(negative="")],
    /,
    *,
    device: str | None = None,
    as_json: Json = False,
) -> None:
    """Say which digit each picture shows, through the run's own preprocessing.

    Pictures are made grey and resized to the size the network was trained on, no more: as in MNIST,
    the digit should be light on dark, centred, with a margin.

    Parameters
    ----------
    run
        Folder of a run.
    images
        Picture files: PNG, JPEG and whatever else Pillow reads.
    device
        Where to compute: auto, cpu, cuda or mps (default: as the recipe says).
    """
    import torch

    from lenetscope.architecture import Architecture
    from lenetscope.reading import decode, fit_to

    arch = Architecture.from_run(run, device=device)
    assert arch.image_shape is not None
    assert arch.classes is not None
    channels, height, width = arch.image_shape
    failed = False
    results: list[dict[str, Any]] = []
    for path in images:
        try:
            pixels = fit_to(decode(path, channels), (height, width))
        except LenetscopeError as error:
            complain(error)
            failed = True
            continue
        if float(pixels.float().median()) > 127:
            note(
                f"{path}: the background is light; the network was trained on light digits on "
                "dark, so do not trust the answer."
            )
        shares = arch.predict_proba(torch.stack([pixels]))[0]
        best = int(shares.argmax())
        results.append(
            {
                "path": str(path),
                "label": arch.classes[best],
                "probability": float(shares[best]),
                "probabilities": {n: float(p) for n, p in zip(arch.classes, shares, strict=True)},
            }
        )
    if as_json:
        print_json({"run": str(run), "predictions": results})
    else:
        width = max((len(r["path"]) for r in results), default=0)
        for r in results:
            print(f"{r['path']:{width}}  {r['label']}  {100 * r['probability']:.1f} %")
    if failed:
        sys.exit(1)


@app.command
def read(
    images: Annotated[list[Path], Parameter(negative="", allow_leading_hyphen=True)],
    /,
    *,
    run: Path | None = None,
    threshold: float | None = None,
    explain: Path | None = None,
    as_json: Annotated[
        bool, Parameter(name="--json", negative="", help="print one JSON object a picture, a line each")
    ] = False,
) -> None:
    """Read the number that is written in each picture, or say that it cannot be read.

    Photos, scans and drawings of any size, dark on light or light on dark.

    Parameters
    ----------
    images
        Picture files, folders of them, or - for a picture on standard input.
    run
        Folder of a run whose network to ask (default: the one of recipe reader, which is installed).
    threshold
        How sure it must be that each sign is a digit, from 0 to 1 (default: the network's own).
    explain
        Folder for a picture of all steps of each reading.
    """
    from lenetscope.reading import NetworkJudge, files
    from lenetscope.reading import read as read_picture

    judge = None
    if run is not None:
        from lenetscope.runs import Run

        folder = Run.open(run)
        recipe = folder.recipe()
        judge = NetworkJudge(folder.load_model(), recipe.mean, recipe.std)
    paths: list[Path] = []
    failed = False
    for path in images:
        try:
            paths += files.find_pictures(path)
        except LenetscopeError as error:
            complain(error)
            failed = True
    width = max((len(str(path)) for path in paths), default=0)
    for path, name in zip(paths, files.names_for(paths, ".png"), strict=True):
        try:
            found = read_picture(
                sys.stdin.buffer.read() if str(path) == "-" else path,
                judge=judge,
                threshold=threshold,
                explain=explain is not None,
                name="standard input" if str(path) == "-" else str(path),
            )
        except ImageError as error:
            complain(error)
            failed = True
            continue
        if explain is not None:
            from lenetscope import plots

            title = f"{path.name}: {found}" if str(path) != "-" else str(found)
            plots.save(plots.reading_steps(found.steps, found.text, title), explain / name)
        if as_json:
            print_json({"path": str(path), **found.as_dict()})
        else:
            print(f"{path!s:{width}}  {found}", flush=True)
    if failed:
        sys.exit(1)
