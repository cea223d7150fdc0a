"""The report: one HTML page about a run, with its figures, data, weights and scripts in it.

A policy in the page forbids it to load or to send anything. The same run gives the same bytes. Each
question of `QUESTIONS` that has a part is asked, in the order of its chapter and place; where it cannot
be answered for this network, the page gives the reason instead.
"""

import base64
import hashlib
import json
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

from markupsafe import Markup

from lenetscope.errors import LayerError, LenetscopeError
from lenetscope.evaluation.scores import Scores
from lenetscope.files import require_writable, write_text
from lenetscope.inspection import Inspection
from lenetscope.plots import html, style
from lenetscope.progress import Show, show_nothing, weighted
from lenetscope.questions import QUESTIONS, Chapter, Part
from lenetscope.report import facts, familiar, network

CHAPTERS: dict[Chapter, str] = {
    "scores": "How good it is",
    "errors": "Where it fails",
    "inside": "What it looks at",
    "training": "How it learned",
}
SCRIPTS = (
    *(
        "operations",
        "network",
        "numbers",
        "dom",
        "colours",
        "theme",
        "prepare",
        "marks",
        "familiar",
        "arithmetic",
    ),
    *("tables", "terms", "maps", "replay", "explain", "pad", "draw", "confusion", "epochs", "main"),
)
"""Files of ``static/``, each after those that it needs."""
SCALES = {"signed": style.SIGNED, "positive": style.POSITIVE}
CENTRED = ("mnist",)
"""Data sets whose images were scaled into a box and centred by their mass."""
STEPS = ("box", "centre", "smooth", "normalise")
"""How a drawing becomes an input, see ``static/prepare.js``."""
MOST_WEIGHTS = 1_250_000
"""Weights that the page can hold: 5 MB, and a third more as text."""


def write_report(
    inspection: Inspection, path: Path, *, quick: bool = False, show: Show = show_nothing
) -> Path:
    """Write the report of a run.

    Args:
        inspection: of a run with weights.
        path: of the HTML file; its folder is created if need be.
        quick: leave out what takes longest, see `Costs` and `Inspection`.
        show: is told how much is done.

    Returns:
        The path.

    Raises:
        DataError: if the data of the run is missing.
        RunError: if it has changed since.
        StorageError: if the file cannot be written.
    """
    require_writable(path)
    try:
        page = render(inspection, quick=quick, show=show)
    except KeyboardInterrupt as stop:
        stop.add_note(f"{path} was not written.")
        raise
    write_text(path, page)
    return path


def render(inspection: Inspection, *, quick: bool = False, show: Show = show_nothing) -> str:
    """Return the page as text; see `write_report`."""
    inspection.quick = quick
    drawing = _attempt(_drawing, inspection)
    questions = [QUESTIONS.get(name) for name in QUESTIONS.names()]
    parts = {q: q.part for q in sorted(questions, key=lambda q: q.place) if q.part}
    if quick:
        parts |= {question: _left_out for question in parts if not question.costs.quick}
    costs = {q.name: q.costs.quick if quick else q.costs.part for q in parts}
    chapters: dict[Chapter, list[tuple[str, str]]] = {chapter: [] for chapter in CHAPTERS}
    answers = {}
    for (question, answer), (name, progress) in zip(parts.items(), weighted(costs, show), strict=True):
        inspection.progress = progress
        part = _attempt(answer, inspection)
        chapters[question.chapter].append((question.heading, Markup(part.html)))
        answers[name] = part.data
    data = {
        "images": _embedded_images(inspection),
        "questions": {name: data for name, data in answers.items() if data},
    }
    found = [(name, heading, chapters[name]) for name, heading in CHAPTERS.items()]
    return _page(inspection, drawing, data, scores=inspection.scores, chapters=found)


@dataclass(frozen=True)
class Start:
    """With what a page for drawing begins.

    Attributes:
        run: its name in the playground.
        epoch: whose weights it holds; None for the last.
        edited: whether the weights were changed in the page.
        pixels: base64 of the drawing, (C, H, W) uint8; None for an empty pad.
        steps: whether each of `STEPS` is done.
    """

    run: str
    epoch: int | None
    edited: bool
    pixels: str | None
    steps: dict[str, bool]


def render_drawing(
    inspection: Inspection, graph: network.Graph, known: dict[str, Any], start: Start
) -> str:
    """Return a page to draw on as text, without the chapters about the run.

    Args:
        inspection: of the run.
        graph: its network; the weights may be others.
        known: what is familiar to it, see `familiar.Familiar.as_dict`.
        start: with what it begins.

    Raises:
        LayerError: if the network is too large for a page.
    """
    drawing = _drawing_of(inspection, graph, known)
    data = {"start": {"pixels": start.pixels, "steps": start.steps}}
    return _page(inspection, drawing, data, start=start)


def _page(
    inspection: Inspection,
    drawing: Part,
    data: dict[str, Any],
    *,
    scores: Scores | None = None,
    chapters: Sequence[tuple[str, str, list[tuple[str, str]]]] = (),
    start: Start | None = None,
) -> str:
    """Return a page; without chapters it is one to draw on alone."""
    data |= {
        "classes": inspection.classes,
        "imageShape": inspection.image_shape,
        "network": drawing.data or None,
        "colours": {name: html.base64_of(html.colours(scale)) for name, scale in SCALES.items()},
    }
    script = _script()
    page = html.render(
        _read("template.html"),
        inspection=inspection,
        run=inspection.run,
        recipe=inspection.run.recipe(),
        facts=facts,
        version=version("lenetscope"),
        drawing=drawing,
        centred=inspection.run.recipe().data in CENTRED,
        css=Markup(_read("static/report.css")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=Markup(json_in_html(data)),
        scores=scores,
        chapters=chapters,
        start=start,
    )
    return f"{page}\n"


def _left_out(inspection: Inspection) -> Part:
    text = '<p class="refusal">Left out of this quick report. To add it: <code>{{ command }}</code></p>'
    return Part.of(text, command=shlex.join(["lenetscope", "report", str(inspection.run.path)]))


def _attempt(part: Callable[[Inspection], Part], inspection: Inspection) -> Part:
    """Return a part of the page, or one that says why there is none."""
    try:
        return part(inspection)
    except LenetscopeError as error:
        text = '<p class="refusal"><strong>Not shown for this run:</strong> {{ reason }}</p>'
        return Part.of(text, reason=" ".join(str(error).split()))


def json_in_html(value: Any) -> str:
    r"""Return JSON that no text in it can end: ``<`` is written as an escape.

    >>> json_in_html({"name": "</script>"})
    '{"name":"\\u003c/script>"}'
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _drawing(inspection: Inspection) -> Part:
    """Return what the drawing panel needs: the network, and what is familiar to it."""
    graph = network.describe(inspection.model, inspection.image_shape)
    _require_small(graph)
    return _drawing_of(inspection, graph, familiar.fit(inspection, graph).as_dict())


def _require_small(graph: network.Graph) -> None:
    if len(graph.weights) > MOST_WEIGHTS:
        raise LayerError(
            f"this network has {len(graph.weights):,} weights, and a page holds {MOST_WEIGHTS:,}."
        )


def _drawing_of(inspection: Inspection, graph: network.Graph, known: dict[str, Any]) -> Part:
    _require_small(graph)
    recipe = inspection.run.recipe()
    facts_of_data = {"mean": recipe.mean, "std": recipe.std, "classes": inspection.classes}
    return Part("", graph.as_dict() | facts_of_data | {"familiar": known})


def _embedded_images(inspection: Inspection) -> dict[str, Any]:
    """Return pixels and predictions of the test images that the page embeds."""
    found = inspection.embedded
    rows = list(found.indices)
    predicted = inspection.predicted[rows]
    own = inspection.probabilities[rows, predicted]
    return {
        "pixels": html.base64_of(inspection.pixels[rows].numpy()),  # (n, C, H, W) uint8
        "index": rows,
        "label": inspection.labels[rows].tolist(),
        "predicted": predicted.tolist(),
        "probability": [round(value, 6) for value in own.tolist()],
        "examples": found.examples,
        "cells": [
            {"true": true, "predicted": predicted, "images": places}
            for (true, predicted), places in sorted(found.cells.items())
        ],
    }


def _script() -> str:
    """Join the scripts into one module, in which imports and exports are not needed."""
    text = "\n".join(_read(f"static/{name}.js") for name in SCRIPTS)
    text = re.sub(r"^import [^;]*;\n", "", text, flags=re.M)
    return re.sub(r"^export ", "", text, flags=re.M)


def _read(name: str) -> str:
    return (package_files("lenetscope.report") / name).read_text("utf-8")
