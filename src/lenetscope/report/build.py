"""The report: one page that tells the whole story of a run, and needs nothing but a browser.

In: a `Study`. Out: an HTML file with everything in it: pictures, data, the network's weights and the
scripts that run it. A policy in the page forbids it to load or to send anything. The same run gives the
same bytes. A part that cannot be made for this network says why in its place.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from importlib.metadata import version
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any, Generic, TypeVar

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from lenetscope import plots
from lenetscope.errors import LayerError, LenetscopeError
from lenetscope.files import write_text
from lenetscope.inspection import Study
from lenetscope.plots import style, svg
from lenetscope.report import answers, epochs, facts, insides, learned, network, shown
from lenetscope.report.pictures import base64_of
from lenetscope.tracking import Track, untracked

T = TypeVar("T")

Tracker = Callable[[str], Track]

SCRIPTS = ("network", "colours", "prepare", "theme", "maps", "draw", "confusion", "epochs", "main")
"""Files of ``static/``, each after those that it needs."""
MOST_WEIGHTS = 1_250_000
"""Weights that the page can hold: 5 MB, and a third more as text."""
CENTRED = ("mnist",)
"""Datasets whose images were scaled into a box and centred by their mass."""


class Part(Generic[T]):
    """A part of the page, or the reason why it is not there.

    Args:
        make: makes it.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self.value: T | None = None
        self.refusal = ""
        try:
            self.value = make()
        except LenetscopeError as error:
            self.refusal = " ".join(str(error).split())


def write_report(study: Study, path: Path, *, tracker: Tracker = lambda _label: untracked) -> Path:
    """Write the report of a run.

    Args:
        study: of a run with weights.
        path: of the HTML file; its folder is made if need be.
        tracker: of a label, returns what shows how far a long part has come.

    Returns:
        The path.

    Raises:
        DataError: if the data of the run is missing.
        RunError: if it has changed since.
        StorageError: if the file cannot be written.
    """
    write_text(path, render(study, tracker))
    return path


def render(study: Study, tracker: Tracker = lambda _label: untracked) -> str:
    """Return the page as text; see `write_report`."""
    chosen = shown.choose(study)
    samples = shown.examples(study)
    chain = Part(lambda: _chain(study))
    slider = Part(lambda: epochs.describe(study, samples, tracker("epochs")))
    data = {
        "classes": list(study.classes),
        "imageShape": list(study.image_shape),
        "images": shown.as_dict(study, chosen),
        "network": chain.value,
        "centred": study.run.recipe().dataset in CENTRED,
        "epochs": slider.value,
        "samples": [chosen.indices.index(i) for i in samples if i in chosen.indices],
        "colours": {
            "signed": base64_of(svg.colours(style.SIGNED)),
            "positive": base64_of(svg.colours(style.POSITIVE)),
        },
    }
    script = _script()
    page = (
        _environment()
        .from_string(_static("template.html", ""))
        .render(
            study=study,
            run=study.run,
            recipe=study.run.recipe(),
            scores=study.scores,
            facts=facts,
            version=version("lenetscope"),
            shown=chosen,
            cells=answers.cells(study),
            chain=chain,
            slider=slider,
            curves=_curves(study),
            gallery=Part(lambda: answers.gallery(study)),
            open_cards=answers.OPEN,
            trust=Part(lambda: answers.trust(study)),
            filters=Part(lambda: insides.filters(study)),
            attributions=Part(lambda: insides.attributions(study)),
            wanted=Part(lambda: insides.wanted(study, tracker("preferences"))),
            favourites=Part(lambda: insides.favourites(study, tracker("excitation"))),
            embedding=Part(lambda: insides.embedding(study, tracker("embedding"))),
            missed=Part(lambda: insides.missed(study, tracker("ablation"))),
            learned=Part(lambda: learned.learned(study, tracker("learning"))),
            over_time=Part(lambda: learned.health(study, tracker("health"))),
            health=Part(lambda: insides.health(study, tracker("layers"))),
            css=Markup(_static("report.css")),
            script=Markup(script),
            script_hash=_hash(script),
            data=Markup(json_in_html(data)),
            measured_on=min(insides.MEASURED_ON, len(study.labels)),
            excited_by=min(insides.EXCITED_BY, len(study.labels)),
        )
    )
    return page + "\n"


def json_in_html(value: Any) -> str:
    r"""Return JSON that no text in it can end: ``<`` is written as an escape.

    >>> json_in_html({"name": "</script>"})
    '{"name":"\\u003c/script>"}'
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _chain(study: Study) -> dict[str, Any]:
    chain = network.describe(study.model, study.image_shape)
    if len(chain.weights) > MOST_WEIGHTS:
        raise LayerError(
            f"this network has {len(chain.weights):,} weights, and a page holds {MOST_WEIGHTS:,}."
        )
    recipe = study.run.recipe()
    facts_of_data = {"mean": list(recipe.mean), "std": list(recipe.std)}
    return chain.as_dict() | facts_of_data | {"classes": list(study.classes)}


def _curves(study: Study) -> list[Markup]:
    """Draw loss and accuracy in a figure each, small enough for a telephone."""
    history = study.run.history()
    drawn = []
    for key, title in (("loss", "mean loss by epoch"), ("accuracy", "accuracy by epoch, in percent")):
        names = ("epoch", f"train_{key}", f"valid_{key}")
        rows = [{name: row.get(name) for name in names} for row in history]
        if any(row[name] is not None for row in rows for name in names[1:]):
            figure = plots.curves(rows, figsize=(4.2, 2.9))
            drawn.append(Markup(svg.inline(figure, f"curve-{key}", title)))
    return drawn


def _environment() -> Environment:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["percent"] = lambda share, digits=2: (
        "–" if share is None else f"{100 * share:.{digits}f} %"
    )
    environment.filters["number"] = lambda value: f"{value:,}"
    environment.filters["signed"] = lambda value: f"{value:+.2f}".replace("-", "−")
    return environment


def _script() -> str:
    """Join the scripts into one module: what they import from each other is simply there."""
    parts = []
    for name in SCRIPTS:
        text = _static(f"{name}.js")
        text = re.sub(r"^import [^;]*;\n", "", text, flags=re.M)
        parts.append(re.sub(r"^export ", "", text, flags=re.M))
    return "\n".join(parts)


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")


def _static(name: str, folder: str = "static") -> str:
    place = (
        package_files("lenetscope.report") / folder / name
        if folder
        else (package_files("lenetscope.report") / name)
    )
    return place.read_text("utf-8")
