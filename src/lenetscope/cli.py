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
from lenetscope.errors import LenetscopeError, UsageError
from lenetscope.recipe import Recipe

if TYPE_CHECKING:
    from lenetscope.architecture import Architecture
    from lenetscope.evaluation import Scores
    from lenetscope.runs import Run

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
                negative="",
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
        from lenetscope.architecture import Architecture
        from lenetscope.runs import Run, RunWriter, environment

        if wanted is None:
            assert resume is not None
            run = Run.open(resume)
            arch = Architecture.from_recipe(run.recipe(), data_dir=data_dir or run.data_dir())
            assert arch.splits is not None
            run.require_same_data(arch.splits)
            if run.checkpoint_file.exists():
                arch.load_checkpoint(run.checkpoint_file)
        else:
            arch = Architecture.from_recipe(wanted, data_dir=data_dir)
            assert arch.splits is not None
            facts = environment(
                arch.splits, data_dir, arch.device, wanted.precision, arch.fabric.world_size
            )
            path: Path | None = None
            if arch.state.is_main:
                path = Run.create(wanted, arch.splits, facts, run_dir).path
            path = arch.fabric.broadcast(path)
            assert path is not None
            run = Run(path)
        assert arch.recipe is not None
        _say(arch, f"{_describe(arch)}\nrun: {run.path}")
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
            _print_training(run, arch, scores, as_json)


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
    from lenetscope.architecture import Architecture
    from lenetscope.runs import Run

    folder = Run.open(run)
    arch = Architecture.from_run(folder, device=device)
    folder.require_same_data(arch.load_data(data_dir or folder.data_dir()))
    scores = arch.evaluate()
    if not arch.state.is_main:
        return
    if as_json:
        _print_json({"run": str(run), **scores.as_dict()})
    else:
        _print_scores(scores)


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
    image: Annotated[list[Path] | None, Parameter(negative="")] = None,
    layers: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None,
    out: Path | None = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show the layers of a run's network, and draw its filters, feature maps and curves.

    Parameters
    ----------
    run
        Folder of a run.
    image
        Picture whose feature maps to draw; may be given several times (default: four test images).
    layers
        Layers to draw (default: every convolution's filters, and what each layer puts out).
    out
        Folder of the pictures (default: figures in the run's folder).

    """
    from lenetscope.architecture import Architecture
    from lenetscope.inspection import draw, layer_table
    from lenetscope.runs import Run

    folder = Run.open(run)
    arch = Architecture.from_run(folder)
    rows = layer_table(arch)
    pictures = draw(arch, folder, images=image, layers=layers, out=out, data_dir=data_dir)
    if as_json:
        _print_json(
            {
                "run": str(run),
                "layers": [dataclasses.asdict(row) for row in rows],
                "parameters": arch.count_parameters(),
                "pictures": [str(path) for path in pictures],
            }
        )
        return
    for row in rows:
        shape = "x".join(map(str, row.shape))
        print(f"{row.name:12} {row.kind:12} {shape:>12} {row.parameters:>10,}")
    print(f"{'parameters':38} {arch.count_parameters():>10,}")
    for path in pictures:
        print(path)


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
    """Turn the first Ctrl-C into a wish to stop after the step under way; the second interrupts."""
    asked = False

    def ask(_number: int, _frame: Any) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _note("stopping after this step; press Ctrl-C again to stop at once, without saving.")

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)


def _version() -> str:
    from importlib.metadata import version

    return version("lenetscope")


def _describe(arch: "Architecture") -> str:
    recipe, splits = arch.recipe, arch.splits
    assert recipe is not None
    assert splits is not None
    return (
        f"recipe {recipe.name}: {arch.count_parameters():,} parameters, "
        f"{len(splits.train.labels):,} training and {len(splits.valid.labels):,} validation images, "
        f"{recipe.epochs} epochs on {arch.device} in {recipe.precision}"
    )


def _print_training(run: "Run", arch: "Architecture", scores: "Scores", as_json: bool) -> None:
    seconds = sum(row["train_seconds"] for row in arch.history)
    if as_json:
        _print_json(
            {
                "run": str(run.path),
                "epochs": arch.total_epochs,
                "train_seconds": seconds,
                "history": arch.history,
                **scores.as_dict(),
            }
        )
        return
    print(f"run       {run.path}")
    print(f"accuracy  {_accuracy(scores)}")
    print(f"training  {seconds:.0f} s for {arch.total_epochs} epochs")
    print(f"next      lenetscope inspect {run.path}     see its filters and feature maps")
    print(f"          lenetscope evaluate {run.path}    see who is taken for whom")


def _print_scores(scores: "Scores") -> None:
    print(f"images    {scores.n:,}")
    print(f"errors    {scores.errors:,}")
    print(f"accuracy  {_accuracy(scores)}")
    print(f"loss      {scores.loss:.4f}")
    print("\nclass          n  precision  recall      F1")
    for row in scores.per_class():
        shares = "  ".join(f"{_percent(row[key]):>8}" for key in ("precision", "recall", "f1"))
        print(f"{row['class']:9} {row['n']:6,}  {shares}")
    print("\ntrue \\ predicted")
    width = max(5, *(len(name) + 1 for name in scores.classes), len(str(scores.confusion.max())) + 1)
    print(" " * width + "".join(f"{name:>{width}}" for name in scores.classes))
    for name, counts in zip(scores.classes, scores.confusion, strict=True):
        cells = "".join(f"{count or '.':>{width}}" for count in counts.tolist())
        print(f"{name:>{width}}{cells}")


def _accuracy(scores: "Scores") -> str:
    low, high = scores.accuracy_interval
    return (
        f"{100 * scores.accuracy:.2f} %  (95 % interval {100 * low:.2f} to {100 * high:.2f}, "
        f"{scores.errors} errors in {scores.n:,})"
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"


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
