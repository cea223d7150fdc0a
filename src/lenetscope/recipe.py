"""A recipe: every choice that determines a training run, in one frozen, validated value.

A recipe file states only what it changes; the rest is as in ``reference``. This module does not import
torch, so that ``lenetscope --help`` answers at once.
"""

import dataclasses
import sys
import tomllib
from dataclasses import dataclass, field
from importlib import import_module, resources
from operator import ge, gt, le
from pathlib import Path
from typing import Any, Literal, Self, get_args, get_origin

from lenetscope.errors import RecipeError, StorageError, listed, unknown
from lenetscope.files import write_text

Group = Literal["data", "network", "training", "machine"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "32-true", "bf16-mixed", "16-mixed", "64-true"]
MemoryFormat = Literal["auto", "channels_last", "contiguous"]
Strategy = Literal["auto", "ddp", "ddp_find_unused_parameters_true"]
Keep = Literal["last", "best"]
Logger = Literal["none", "tensorboard", "wandb", "mlflow"]
PRECISION_SHORT_FORMS = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed", "64": "64-true"}
_FOLDER = resources.files("lenetscope") / "recipes"
_BOUNDS = {"least": ("at least", ge), "above": ("above", gt), "most": ("at most", le)}


def _field(group: Group | None, help: str, registry: str | None = None, **bounds: float) -> Any:
    """Declare a field.

    Args:
        group: under which the report lists it; None for what is not a setting.
        help: one line for the command line.
        registry: ``"module:NAME"`` of the registry whose names it takes, below ``lenetscope``.
        bounds: its range, with keys of ``_BOUNDS``.
    """
    return field(metadata={"group": group, "help": help, "registry": registry, "bounds": bounds})


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Every choice of a training run; see ``recipes/reference.toml`` for the reference values.

    Raises:
        RecipeError: if a value has the wrong type or is out of range.
    """

    name: str = _field(None, "name of the run's folder, to which a number is added")
    summary: str = _field(None, "what the recipe is for, in one line")
    data: str = _field(
        "data",
        "folder of images or of IDX files, .csv, .parquet or .npz file, or one of",
        "data.sources:DATASETS",
    )
    image_size: int = _field(
        "data", "height and width that images are resized to; 0: as they are", least=0, most=4096
    )
    channels: int = _field("data", "1: images in grey, 3: in colour; 0: as they are", least=0, most=3)
    holdout: int = _field(
        "data", "training images held out for validation; 0: validate on the test images", least=0
    )
    mean: tuple[float, ...] = _field(
        "data", "subtracted from pixels in [0, 1], one number per channel, or one for all"
    )
    std: tuple[float, ...] = _field(
        "data", "then divides the pixels, one number per channel, or one for all"
    )
    augmentation: str = _field(
        "data", "augmentation of the training images", "data.augmentations:AUGMENTATIONS"
    )
    model: str = _field("network", "network", "models:MODELS")
    dropout: float = _field(
        "network", "probability of dropping a unit of the last hidden layer", least=0, most=1
    )
    loss: str = _field("training", "loss", "training.choices:LOSSES")
    label_smoothing: float = _field(
        "training", "fraction of the target spread evenly over all classes", least=0, most=0.5
    )
    optimizer: str = _field("training", "optimizer", "training.choices:OPTIMIZERS")
    lr: float = _field("training", "learning rate", above=0)
    momentum: float = _field("training", "momentum of SGD; the first beta of Adam", least=0, most=1)
    beta2: float = _field("training", "second beta of Adam; not used by SGD", least=0, most=0.999999)
    weight_decay: float = _field("training", "weight decay", least=0)
    schedule: str = _field("training", "learning rate schedule", "training.choices:SCHEDULES")
    warmup: float = _field(
        "training", "epochs in front of the schedule, in which the rate rises from near 0", least=0
    )
    clip_grad_norm: float = _field(
        "training", "largest norm of all gradients together; 0: no limit", least=0
    )
    batch_size: int = _field("training", "images per step, over all processes together", least=1)
    epochs: int = _field("training", "passes over the training images", least=1)
    patience: int = _field(
        "training", "epochs to wait for a lower validation loss before stopping; 0: for ever", least=0
    )
    keep: Keep = _field("training", "epoch whose weights are kept; best: lowest validation loss")
    seed: int = _field(
        "training", "seed of initial weights, shuffling and dropout", least=0, most=2**32 - 1
    )
    device: Device = _field("machine", "device to compute on")
    precision: Precision = _field("machine", "number format, as Lightning Fabric names it")
    memory_format: MemoryFormat = _field("machine", "memory layout of images, as torch names it")
    threads: int = _field(
        "machine", "CPU threads; 0: as many as are worth it, at most one per core", least=0, most=1024
    )
    workers: int = _field(
        "machine", "processes that augment training images; 0: the training does", least=0, most=1024
    )
    compile: bool = _field("machine", "compile the network with TorchInductor for training")
    strategy: Strategy = _field("machine", "how processes train together, as Lightning Fabric names it")
    logger: Logger = _field("machine", "where else to log each epoch")

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            object.__setattr__(self, item.name, _checked(item, getattr(self, item.name)))
        if len(self.mean) != len(self.std):
            raise RecipeError("'mean' and 'std' must have the same number of values.")
        if self.channels == 2:
            raise RecipeError("'channels' must be 0, 1 or 3, not 2.")
        if any(value <= 0 for value in self.std):
            raise RecipeError(f"'std' must be above 0, not {list(self.std)}.")
        if (self.patience or self.keep == "best") and not self.holdout:
            raise RecipeError(
                f"{'patience' if self.patience else 'keep'} would choose by the test images: hold some "
                "training images out for validation, with --holdout 5000."
            )

    @classmethod
    def load(cls, recipe: "str | Path | Recipe", **overrides: Any) -> Self:
        """Read the recipe of that name, or the TOML file at that path.

        >>> Recipe.load("reference", epochs=3).epochs
        3

        Args:
            recipe: a name that `names` lists, a path that ends in ``.toml``, or a recipe to change.
            overrides: fields that replace those of the recipe.

        Raises:
            RecipeError: if there is no such recipe, it is not TOML, or a key or value is wrong.
            StorageError: if the file cannot be read.
        """
        settings = {"name": "reference"} | tomllib.loads(source("reference"))
        if isinstance(recipe, Recipe):
            settings = recipe.as_dict()
        elif str(recipe).endswith(".toml"):
            path = Path(recipe)
            settings |= {"name": path.stem, "summary": ""} | _read_file(path)
        else:
            settings |= {"name": str(recipe)} | tomllib.loads(source(str(recipe)))
        settings |= overrides
        known = [item.name for item in dataclasses.fields(cls)]
        if strange := [key for key in settings if key not in known]:
            raise RecipeError(unknown("recipe key", strange[0], known))
        return cls(**settings)

    def replace(self, **overrides: Any) -> Self:
        """Return a copy with some fields replaced; see `load` for what it raises."""
        return self.load(self, **overrides)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, tuples as lists."""
        values = dataclasses.asdict(self)
        return {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}

    def to_toml(self) -> str:
        """Return the recipe as TOML, from which `load` makes an equal recipe."""
        import tomli_w

        return tomli_w.dumps(self.as_dict())

    def save(self, path: Path) -> None:
        """Write the recipe to ``path`` as TOML."""
        write_text(path, self.to_toml())


def choices(item: "dataclasses.Field[Any]") -> tuple[list[str], bool]:
    """Return the names that a field takes, none if it takes other values.

    >>> choices(Recipe.__dataclass_fields__["keep"])
    (['last', 'best'], False)

    Returns:
        The names, and whether ``module:name`` of the user's own is allowed, too.
    """
    if get_origin(item.type) is Literal:
        return list(get_args(item.type)), False
    if not (registry := item.metadata["registry"]):
        return [], False
    module, _, name = registry.partition(":")
    registered = getattr(import_module(f"lenetscope.{module}"), name)
    return registered.names(), registered.open


def names() -> list[str]:
    """Return the names of the recipes that ship with the package.

    >>> names()
    ['fast', 'reader', 'reference']
    """
    return sorted(p.name.removesuffix(".toml") for p in _FOLDER.iterdir() if p.name.endswith(".toml"))


def source(name: str) -> str:
    """Return the text of a shipped recipe, with the comments that state how it was measured.

    Raises:
        RecipeError: if there is none of that name.
    """
    if name not in names():
        raise RecipeError(f"{unknown('recipe', name, names())} Or give a path that ends in .toml.")
    return _FOLDER.joinpath(f"{name}.toml").read_text("utf-8")


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise RecipeError(f"there is no recipe file {path}. Shipped: {listed(names())}.") from None
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # of TOML, or of UTF-8
        raise RecipeError(f"{path} is not valid TOML: {error}.") from error


def _checked(item: "dataclasses.Field[Any]", value: Any) -> Any:
    """Return ``value`` in the type of its field, or raise a RecipeError that states what is allowed."""
    key, kind = item.name, item.type
    if key == "data" and isinstance(value, Path):
        value = str(value)
    if get_origin(kind) is Literal:
        value = PRECISION_SHORT_FORMS.get(str(value), value) if key == "precision" else value
        if value not in get_args(kind):
            raise RecipeError(unknown(key, str(value), get_args(kind)))
    elif kind in (bool, str) and not isinstance(value, kind):
        allowed = "text" if kind is str else "true or false"
        raise RecipeError(f"'{key}' must be {allowed}, not {value!r}.")
    elif key == "name" and (not value or set(value) & set('/\\:"\n\0') or value[0] in ". "):
        raise RecipeError(f"'name' is the name of a folder, which {value!r} cannot be.")
    elif get_origin(kind) is tuple:
        values = value if isinstance(value, (list, tuple)) else [value]
        if not values:
            raise RecipeError(f"'{key}' must have a number for each channel.")
        return tuple(_number(item, float, v) for v in values)
    elif kind in (int, float):
        return _number(item, kind, value)
    return value


def _number(item: "dataclasses.Field[Any]", kind: Any, value: Any) -> Any:
    key = item.name
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole and (kind is int or not isinstance(value, float)):
        raise RecipeError(f"'{key}' must be a {'whole ' * (kind is int)}number, not {value!r}.")
    if kind is float and not abs(value) <= sys.float_info.max:  # also if it is not a number
        raise RecipeError(f"'{key}' must be a finite number, not {value!r}.")
    number = kind(value)
    bounds = [(*_BOUNDS[bound], limit) for bound, limit in item.metadata["bounds"].items()]
    if not all(holds(number, limit) for _, holds, limit in bounds):
        allowed = " and ".join(f"{text} {limit}" for text, _, limit in bounds)
        raise RecipeError(f"'{key}' must be {allowed}, not {value!r}.")
    return number
