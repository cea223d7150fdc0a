"""The command line: one function a command, which parses, calls and prints.

In: words. Out: results on standard output (``--json`` for machines), progress and messages on
standard error, and an exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted. Nothing that
needs torch is imported before a command runs.
"""

import dataclasses
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, get_args, get_origin

from cyclopts import App, CycloptsError, Group, Parameter

from lenetscope import recipe as recipes_room
from lenetscope.errors import ImageError, LenetscopeError, UsageError
from lenetscope.recipe import Recipe

if TYPE_CHECKING:
    from lenetscope.architecture import Architecture

INTERRUPTED = 130

app = App(
    name="lenetscope",
    help="Train a small convolutional network on handwritten digits, and see inside it.",
    help_epilogue="Start with: lenetscope train",
    version=lambda: _version(),
    help_format="plaintext",
)
_recipe_flags = Group("Fields of the recipe", sort_key=10)


def _overrides_class() -> Any:
    """Return a dataclass with the recipe's fields, each of which may be left out."""
    fields = []
    for item in dataclasses.fields(Recipe):
        if item.name in ("name", "summary"):
            continue
        kind: Any = item.type
        text = item.metadata["help"]
        if get_origin(kind) is Literal:  # the recipe checks the value, and knows its short forms
            text = f"{text}: {', '.join(get_args(kind))}"
            kind = str
        note = Annotated[
            kind | None,
            Parameter(
                help=text,
                group=_recipe_flags,
                show_default=False,
                negative=None if kind is bool else "",
                consume_multiple=True,
            ),
        ]
        fields.append((item.name, note, dataclasses.field(default=None)))
    # cyclopts takes classes of the module "types", where this one would be, for plain values
    return dataclasses.make_dataclass(
        "Overrides", fields, frozen=True, namespace={"__module__": __name__}
    )


Overrides: Any = _overrides_class()
Json = Annotated[bool, Parameter(name="--json", negative="", help="print one JSON object")]
DataDir = Annotated[
    Path | None,
    Parameter(help="folder of the data; also LENETSCOPE_DATA_DIR (default: the user's cache)"),
]


@app.command
def train(
    *,
    recipe: str = "seed",
    run_dir: Path | None = None,
    resume: Path | None = None,
    data_dir: DataDir = None,
    checkpoint_steps: int = 0,
    overrides: Annotated[Overrides | None, Parameter(name="*")] = None,
    as_json: Json = False,
) -> None:
    """Train a recipe and keep the run in a folder.

    Parameters
    ----------
    recipe
        Name of a recipe (see: lenetscope recipes) or path of a TOML file.
    run_dir
        Folder of the run, which must not exist (default: runs/<recipe>-<n>).
    resume
        Folder of a run to go on with, bit for bit as if it had not been interrupted.
    checkpoint_steps
        Also save after each so many steps, besides each epoch.
    """
    given = {k: v for k, v in vars(overrides).items() if v is not None} if overrides else {}
    if resume is not None and (given or recipe != "seed" or run_dir is not None):
        raise UsageError(
            "a run goes on with the recipe and folder it began with: with --resume "
            "give no --recipe, --run-dir or field of a recipe."
        )
    if checkpoint_steps < 0:
        raise UsageError(f"--checkpoint-steps must be at least 0, not {checkpoint_steps}.")
    wanted = None if resume else Recipe.load(recipe, **given)
    with _save_on_interrupt() as interrupted:
        from lenetscope import output
        from lenetscope.architecture import Architecture
        from lenetscope.runs import Run, RunWriter

        if wanted is None:
            assert resume is not None
            run = Run.open(resume)
            arch = Architecture.resume_run(run, data_dir=data_dir)
        else:
            arch = Architecture.from_recipe(wanted, data_dir=data_dir)
            run = arch.start_run(run_dir, data_dir=data_dir)
        assert arch.recipe is not None
        _say(arch, output.beginning(arch, run))
        arch.train(
            arch.recipe.epochs - arch.total_epochs,
            callbacks=[RunWriter(run)],
            checkpoint_steps=checkpoint_steps,
            stop=interrupted,
        )
        if arch.total_epochs < arch.recipe.epochs:
            _say(arch, f"Interrupted; saved. Go on with: lenetscope train --resume {run.path}")
            sys.exit(INTERRUPTED)
        scores = arch.evaluate()
        if arch.state.is_main:
            run.save_scores(scores)
            if as_json:
                facts = {"run": str(run.path), "epochs": arch.total_epochs, "history": arch.history}
                _print_json(facts | scores.as_dict())
            else:
                print(output.ending(arch, run, scores))


@app.command
def evaluate(
    run: Path, *, data_dir: DataDir = None, device: str | None = None, as_json: Json = False
) -> None:
    """Count right and wrong on the test images.

    Parameters
    ----------
    run
        Folder of a run.
    device
        Where to compute: auto, cpu, cuda or mps (default: as the recipe says).
    """
    from lenetscope import output
    from lenetscope.architecture import Architecture
    from lenetscope.runs import Run

    folder = Run.open(run)
    arch = Architecture.from_run(folder, device=device)
    folder.require_same_data(arch.load_data(data_dir or folder.data_dir()))
    done, planned = len(folder.history()), folder.recipe().epochs
    if done < planned:
        _say(arch, f"{run} is unfinished: these are its weights after epoch {done} of {planned}.")
    scores = arch.evaluate()
    if not arch.state.is_main:
        return
    if as_json:
        _print_json({"run": str(run), **scores.as_dict()})
    else:
        print(output.scores_table(scores))


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
            _complain(error)
            failed = True
            continue
        if float(pixels.float().median()) > 127:
            _note(
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
        _print_json({"run": str(run), "predictions": results})
    else:
        width = max((len(r["path"]) for r in results), default=0)
        for r in results:
            print(f"{r['path']:{width}}  {r['label']}  {100 * r['probability']:.1f} %")
    if failed:
        sys.exit(1)


@app.command
def inspect(
    run: Path,
    *,
    what: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None,
    image: Annotated[list[Path] | None, Parameter(negative="")] = None,
    layers: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None,
    form: Annotated[Literal["png", "svg"], Parameter(name="--format")] = "png",
    out: Path | None = None,
    data_dir: DataDir = None,
    device: str | None = None,
    as_json: Json = False,
) -> None:
    """Show the layers of a run's network, and draw what you ask about it.

    Parameters
    ----------
    run
        Folder of a run.
    what
        Questions, such as filters,maps; "all" for every one; "list" to see them
        (default: curves,confusion,filters,maps).
    image
        Picture to look at; may be given several times (default: four test images).
    layers
        Layers to look at, names or patterns such as "conv*" (default: what suits the question).
    form
        Format of the pictures.
    out
        Folder of the pictures (default: figures in the run's folder).
    device
        Where to compute: auto, cpu, cuda or mps (default: as the recipe says).
    """
    from lenetscope import output
    from lenetscope.inspection import QUESTIONS, Choice, Study, draw

    asked = [name for each in what or [] for name in each.split(",") if name]
    if "list" in asked:
        answers = {name: QUESTIONS.get(name).__doc__ or "" for name in QUESTIONS.names()}
        if as_json:
            _print_json({"questions": answers})
        else:
            print("\n".join(f"{name:12} {text.splitlines()[0]}" for name, text in answers.items()))
        return
    study = Study.open(run, device=device, data_dir=data_dir)
    choice = Choice.of(study, image or [], layers)
    pictures = draw(study, choice, what=asked or None, out=out, form=form, tracker=output.tracker)
    if as_json:
        _print_json(
            {
                "run": str(run),
                "layers": study.layers.as_dicts(),
                "parameters": study.arch.count_parameters(),
                "pictures": [str(path) for path in pictures],
            }
        )
        return
    print(study.layers)
    print(f"parameters  {study.arch.count_parameters():,}")
    for path in pictures:
        print(path)
    if any(path.stem == "health" for path in pictures):
        print("\n".join(study.health_warnings) or "health: nothing looks ill.")


@app.command
def report(
    run: Path,
    *,
    out: Path | None = None,
    data_dir: DataDir = None,
    device: str | None = None,
    as_json: Json = False,
) -> None:
    """Write one page that tells the whole story of a run; it opens in any browser, offline.

    Parameters
    ----------
    run
        Folder of a run.
    out
        The page (default: report.html in the run's folder).
    device
        Where to compute: auto, cpu, cuda or mps (default: as the recipe says).
    """
    from lenetscope import output
    from lenetscope.inspection import Study
    from lenetscope.report import write_report

    study = Study.open(run, device=device, data_dir=data_dir)
    page = write_report(study, out or study.run.report_file, tracker=output.tracker)
    if as_json:
        _print_json({"run": str(run), "report": str(page), "bytes": page.stat().st_size})
    else:
        print(f"{page}  ({page.stat().st_size / 1e6:.1f} MB)")


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
            _complain(error)
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
            _complain(error)
            failed = True
            continue
        if explain is not None:
            from lenetscope import plots

            title = f"{path.name}: {found}" if str(path) != "-" else str(found)
            plots.save(plots.reading_steps(found.steps, found.text, title), explain / name)
        if as_json:
            _print_json({"path": str(path), **found.as_dict()})
        else:
            print(f"{path!s:{width}}  {found}", flush=True)
    if failed:
        sys.exit(1)


@app.command
def recipes(name: str | None = None, /, *, as_json: Json = False) -> None:
    """List the recipes that ship with the package, or print one.

    Parameters
    ----------
    name
        Recipe to print, with the comments that say how it was measured.
    """
    if name is not None:
        text = recipes_room.source(name)
        if as_json:
            _print_json(Recipe.load(name).as_dict())
        else:
            print(text, end="")
        return
    found = [Recipe.load(each) for each in recipes_room.names()]
    if as_json:
        _print_json({"recipes": [each.as_dict() for each in found]})
        return
    for each in found:
        print(f"{each.name:10} {each.summary}")


def main(words: list[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    try:
        app(words, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
        status = 0
    except CycloptsError as error:
        command = " ".join(("lenetscope", *(error.command_chain or ())))
        _note(f"lenetscope: {_one_line(error)} See: {command} --help")
        status = 2
    except LenetscopeError as error:
        _complain(error)
        status = error.exit_status
    except KeyboardInterrupt:
        _note("lenetscope: interrupted.")
        status = INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)


@contextmanager
def _save_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Turn SIGTERM and the first Ctrl-C into a wish to stop after the step under way.

    A second Ctrl-C interrupts at once.
    """
    asked = False

    def ask(number: int, _frame: Any) -> None:
        nonlocal asked
        asked = True
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if os.environ.get("RANK", "0") == "0":  # of several processes one speaks
                _note("stopping after this step; Ctrl-C again stops at once, without saving.")

    before = {each: signal.signal(each, ask) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _version() -> str:
    from importlib.metadata import version

    return version("lenetscope")


def _print_json(value: dict[str, Any]) -> None:
    print(json.dumps(value))


def _say(arch: "Architecture", text: str) -> None:
    if arch.state.is_main:
        _note(text)


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _complain(error: Exception) -> None:
    _note(f"lenetscope: {_one_line(error)}")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
