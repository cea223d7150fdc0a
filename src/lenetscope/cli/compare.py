"""``lenetscope compare``: whether one run's network is better than another's, or it may be luck."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from lenetscope.cli import app
from lenetscope.errors import RunError, UsageError
from lenetscope.progress import weighted

if TYPE_CHECKING:
    from lenetscope.inspection import Inspection

_CHOSEN = "Their accuracy is too high if settings, such as the number of epochs, were chosen by it."
_WEIGHTS = "The test compares these weights, not the recipes: another seed gives other weights."


def compare(
    runs: Annotated[list[Path], Parameter(negative="")],
    /,
    *,
    out: Path = Path("comparison.png"),
    data_dir: app.DataOfRun = None,
    device: app.Device = None,
    as_json: app.Json = False,
) -> None:
    """Compare runs on the same test images, and say whether a difference may be luck.

    Parameters
    ----------
    runs
        folders of two runs or more, which were trained on the same data
    out
        picture of the images to which they give different answers
    """
    if len({run.resolve() for run in runs}) < max(2, len(runs)):
        raise UsageError("give two runs or more, each once: lenetscope compare RUN RUN")
    from lenetscope.evaluation import comparison
    from lenetscope.files import require_writable
    from lenetscope.inspection import Inspection
    from lenetscope.plots import style

    require_writable(out)
    opened = {
        str(run): Inspection.open(app.open_run(run), device=device, data_dir=data_dir) for run in runs
    }
    first, *others = opened.values()
    for other in others:
        require_same_images(first, other)
    for each in opened.values():
        app.note_unfinished(each.run)
    probabilities = {}
    with app.progress_bar() as show:
        for run, progress in weighted(dict.fromkeys(opened, 1.0), show):
            opened[run].progress = progress
            probabilities[run] = opened[run].probabilities
    found = comparison.compare(probabilities, first.labels, first.classes)
    figure = None
    if found.disagreements:
        figure = style.save(comparison.plot_comparison(found, first.pixels.numpy()), out)
    validated = [run for run, each in opened.items() if not each.run.recipe().holdout]
    lines = [f"test images  {found.n:,}\n", f"{found}\n", *[f"figure  {figure}\n"][: bool(figure)]]
    if validated:
        lines.append(f"Validated on these test images: {', '.join(validated)}. {_CHOSEN}")
    facts = {"validated_on_test_images": validated, "figure": figure and str(figure)}
    app.show(as_json, found.as_dict() | facts, "\n".join([*lines, _WEIGHTS]))


def require_same_images(first: "Inspection", other: "Inspection") -> None:
    """Refuse a run that was trained on other data, or is tested on other images, than the first."""
    import torch

    same_data = first.run.environment().get("data") == other.run.environment().get("data")
    if not same_data or first.classes != other.classes:
        raise RunError(
            f"{first.run.path} and {other.run.path} were trained on different data, so that their "
            "accuracies cannot be compared."
        )
    if not (torch.equal(first.labels, other.labels) and torch.equal(first.pixels, other.pixels)):
        raise RunError(f"{first.run.path} and {other.run.path} have different test images.")
