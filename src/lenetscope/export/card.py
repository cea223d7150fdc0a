"""The card of an exported file: what it is, how good it is, and how that is known, in Markdown."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from lenetscope.data.splits import Splits
from lenetscope.export import Format
from lenetscope.export.exportable import Exportable
from lenetscope.export.proof import Agreement, Proof
from lenetscope.table import counted, percent

VALIDATED = (
    "The same images served as validation during training, so the accuracy is too high if anything was "
    "chosen by it."
)
LIMITS = """\
- It answers with one of its classes whatever it is shown, and may be sure of it.
- Its accuracy holds for images like the test images: the same size, polarity, margins and kind.
- Nobody has examined it for decisions that concern people."""


def facts(
    exportable: Exportable, splits: Splits, name: str, file: Path, proof: Proof
) -> dict[str, Any]:
    """Return all that is known about an exported file as plain values, for JSON.

    Args:
        exportable: what was exported.
        splits: its data.
        name: of the format.
        file: that was written.
        proof: of it.
    """
    sizes = {part.name: part.stat().st_size for part in sorted(file.parent.iterdir())}
    data = {"name": splits.name, "train": len(splits.train.labels), "test": len(splits.test.labels)}
    return exportable.metadata() | {
        "format": name,
        "file": file.name,
        "bytes": sizes,
        "exported": datetime.now(UTC).isoformat(timespec="seconds"),
        "torch": torch.__version__,
        "images": data,
        "training": dict(exportable.facts),
        "recipe": exportable.recipe.as_dict(),
        "proof": proof.as_dict(),
    }


def card(exportable: Exportable, form: Format, known: dict[str, Any], proof: Proof, more: str) -> str:
    """Return the card.

    Args:
        exportable: what was exported.
        form: the format.
        known: see `facts`.
        proof: of the file.
        more: a paragraph of the format's own, or "".
    """
    recipe, images, training = exportable.recipe, known["images"], known["training"]
    (channels, height, width), names = exportable.image_shape, exportable.classes
    parameters = sum(p.numel() for p in exportable.model.parameters())
    same = "as many" if proof.torch_correct == proof.correct else f"{proof.torch_correct:,}"
    trained = f", trained {training['trained']}" if training.get("trained") else ""
    epochs = f", {counted(training['epoch'], 'epoch')}" if training.get("epoch") else ""
    parts = [
        f"# {recipe.model}: {images['name']}",
        f"{form.summary}. Exported {known['exported']} by lenetscope {known['lenetscope']} with torch "
        f"{known['torch']}.",
        "| file | bytes |\n|---|---|\n"
        + "\n".join(f"| `{file}` | {size:,} |" for file, size in known["bytes"].items()),
        "## What it takes and gives",
        f"- takes: uint8 images (N, {channels}, {height}, {width}), pixels from 0 to 255, N any.\n"
        "  The preprocessing is inside: do not scale or normalise them.\n"
        f"- gives: float32 probabilities (N, {len(names)}), in the order of the classes below.",
        _code("json", json.dumps(list(names), ensure_ascii=False)),
        "## How good it is",
        f"This file: {proof.accuracy} on all {proof.n:,} test images. The network in PyTorch (float32) "
        f"gets {same} of them right, which is {percent(proof.torch_correct / proof.n)}."
        + ("" if recipe.holdout else f" {VALIDATED}"),
        "## How it was proved",
        "The file was opened again, and its probabilities were compared with those of the network in "
        "PyTorch, whose preprocessing is other code than the file's.",
        _table(proof),
        f"It is kept because no difference is above {form.limits.largest:g}, and their mean not above "
        f"{form.limits.mean:g}.",
        *([more] if more else []),
        "## How it was trained",
        f"Network `{recipe.model}`, {parameters:,} parameters{epochs}, on {images['train']:,} training "
        f"images of {images['name']}{trained}. The recipe:",
        _code("toml", recipe.to_toml().strip()),
        "## Limits",
        LIMITS,
        *(["## How to use it", form.usage] if form.usage else []),
    ]
    return "\n\n".join(parts) + "\n"


def _table(proof: Proof) -> str:
    def row(each: Agreement) -> str:
        differences = f"{each.largest:.1e} | {each.mean:.1e} | {each.labels:,}"
        return f"| {each.batch} | {each.images:,} | {differences} |"

    head = "| images per batch | images | largest difference | mean difference | labels that differ |"
    return "\n".join([head, "|---|---|---|---|---|", *map(row, proof.agreements)])


def _code(language: str, text: str) -> str:
    """Return a block of code with a fence that is longer than any in the text."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text}\n{fence}"
