"""A recipe: every choice that decides what is trained and how, in one frozen value.

In: the name of a recipe that ships with the package or a TOML file, and overrides. Out: a `Recipe`
whose every field has been checked. A file states only what it changes; the rest is as in ``seed``.
This module does not import torch, so that the command line can answer for help at once.
"""

import dataclasses
import math
import tomllib
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self, get_args, get_origin

from lenetscope.errors import RecipeError, StorageError, listed, unknown
from lenetscope.files import write_text

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "32-true", "bf16-mixed", "16-mixed", "64-true"]
MemoryFormat = Literal["auto", "channels_last", "contiguous"]
PRECISION_SHORT_FORMS = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed", "64": "64-true"}


def _field(
    help: str, *, least: float | None = None, most: float | None = None, above: float | None = None
) -> Any:
    """Declare a field with its line of help and its range (``above`` excludes its bound)."""
    return field(metadata={"help": help, "least": least, "most": most, "above": above})


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Every choice of a training; see ``recipes/seed.toml`` for the reference values.

    Raises:
        RecipeError: if a value has the wrong type or lies out of its range.
    """

    name: str = _field("what the run is called")
    summary: str = _field("what the recipe is for, in one line")
    dataset: str = _field("name of a registered dataset")
    holdout: int = _field(
        "training images held out for validation; 0: the test images are the validation", least=0
    )
    mean: tuple[float, ...] = _field("subtracted from pixels in [0, 1], one number a channel")
    std: tuple[float, ...] = _field("what the result is divided by, one number a channel")
    augmentation: str = _field("name of a registered augmentation of the training images")
    model: str = _field("name of a registered network")
    dropout: float = _field("probability of dropping a unit of the last hidden layer", least=0, most=1)
    loss: str = _field("name of a registered loss")
    label_smoothing: float = _field(
        "share of the target spread evenly over all classes while training", least=0, most=0.5
    )
    optimizer: str = _field("name of a registered optimizer")
    lr: float = _field("learning rate", above=0)
    momentum: float = _field("momentum; the first beta of Adam", least=0, most=1)
    beta2: float = _field("second beta of Adam; SGD has none", least=0, most=0.999999)
    weight_decay: float = _field("weight decay", least=0)
    schedule: str = _field("name of a registered schedule of the learning rate")
    batch_size: int = _field("images a step, over all processes together", least=1)
    epochs: int = _field("passes over the training images", least=1)
    seed: int = _field("seed of initial weights, order and dropout", least=0, most=2**32 - 1)
    device: Device = _field("where to compute")
    precision: Precision = _field("number format of the arithmetic, as Lightning Fabric names it")
    memory_format: MemoryFormat = _field("order of a batch's numbers in memory, as torch names it")
    threads: int = _field("threads that compute; 0: one a core", least=0, most=1024)
    compile: bool = _field("train the network compiled by TorchInductor")

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            value = _checked(item, getattr(self, item.name))
            object.__setattr__(self, item.name, value)
        if len(self.mean) != len(self.std):
            raise RecipeError("'mean' and 'std' must have as many numbers as each other.")
        if any(value <= 0 for value in self.std):
            raise RecipeError(f"'std' must be above 0, not {list(self.std)}.")

    @classmethod
    def load(cls, name_or_path: str | Path, **overrides: Any) -> Self:
        """Read the recipe of that name, or the TOML file at that path.

        >>> Recipe.load("seed", epochs=3).epochs
        3

        Args:
            name_or_path: a name that `names` lists, or a path that ends in ``.toml``.
            overrides: fields that replace what the recipe says.

        Raises:
            RecipeError: if there is no such recipe, it is no TOML, or a key or value is wrong.
        """
        settings = _read_builtin("seed")
        if str(name_or_path).endswith(".toml"):
            path = Path(name_or_path)
            settings |= {"name": path.stem, "summary": ""} | _read_file(path)
        else:
            settings |= _read_builtin(str(name_or_path))
        settings |= overrides
        known = [item.name for item in dataclasses.fields(cls)]
        for key in settings:
            if key not in known:
                raise RecipeError(unknown("recipe key", key, known))
        return cls(**settings)

    def replace(self, **overrides: Any) -> Self:
        """Return a copy with some fields replaced, checked like a new one."""
        return type(self).load("seed", **(self.as_dict() | overrides))

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, tuples as lists."""
        values = dataclasses.asdict(self)
        return {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}

    def to_toml(self) -> str:
        """Return the recipe as TOML that `load` reads back to an equal recipe."""
        return "".join(f"{key} = {_toml(value)}\n" for key, value in self.as_dict().items())

    def save(self, path: Path) -> None:
        """Write the recipe to ``path`` as TOML."""
        write_text(path, self.to_toml())


def names() -> list[str]:
    """Return the names of the recipes that ship with the package.

    >>> names()
    ['fast', 'reader', 'seed']
    """
    return sorted(p.name.removesuffix(".toml") for p in _folder().iterdir() if p.name.endswith(".toml"))


def source(name: str) -> str:
    """Return the text of a shipped recipe, with the comments that say how it was measured.

    Raises:
        RecipeError: if there is none of that name.
    """
    if name not in names():
        raise RecipeError(f"{unknown('recipe', name, names())} Or give a path that ends in .toml.")
    text: str = _folder().joinpath(f"{name}.toml").read_text("utf-8")
    return text


def _folder() -> Any:
    return resources.files("lenetscope") / "recipes"


def _read_builtin(name: str) -> dict[str, Any]:
    return {"name": name} | tomllib.loads(source(name))


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise RecipeError(f"there is no recipe file {path}. Shipped: {listed(names())}.") from None
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is not UTF-8 text, so it is no TOML file.") from error
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path} is not valid TOML: {error}.") from error


def _checked(item: "dataclasses.Field[Any]", value: Any) -> Any:
    """Return ``value`` in the type of its field, or say what is allowed."""
    key, wanted = item.name, item.type
    if get_origin(wanted) is Literal:
        allowed = get_args(wanted)
        value = PRECISION_SHORT_FORMS.get(str(value), value) if key == "precision" else value
        if value not in allowed:
            raise RecipeError(unknown(key, str(value), allowed))
        return value
    if wanted is bool:
        if not isinstance(value, bool):
            raise RecipeError(f"'{key}' must be true or false, not {value!r}.")
        return value
    if wanted is str:
        if not isinstance(value, str):
            raise RecipeError(f"'{key}' must be text, not {value!r}.")
        if key == "name" and (not value or set(value) & set('/\\:"\n\0') or value[0] in ". "):
            raise RecipeError(f"'name' names a folder, which {value!r} cannot.")
        return value
    if get_origin(wanted) is tuple:
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        if not values:
            raise RecipeError(f"'{key}' must have a number for each channel, not none.")
        return tuple(_number(item, float, v) for v in values)
    return _number(item, wanted, value)


def _number(item: "dataclasses.Field[Any]", kind: Any, value: Any) -> Any:
    key, least, most, above = item.name, *(item.metadata[k] for k in ("least", "most", "above"))
    whole = isinstance(value, int) and not isinstance(value, bool)
    if kind is int and not whole:
        raise RecipeError(f"'{key}' must be a whole number, not {value!r}.")
    if kind is float and not (whole or isinstance(value, float)):
        raise RecipeError(f"'{key}' must be a number, not {value!r}.")
    try:
        number = kind(value)
    except OverflowError:
        number = math.inf
    if kind is float and not math.isfinite(number):
        raise RecipeError(f"'{key}' must be a finite number, not {value!r}.")
    bounds = (
        (least is not None, f"at least {least}"),
        (above is not None, f"above {above}"),
        (most is not None, f"at most {most}"),
    )
    if (
        (least is not None and number < least)
        or (most is not None and number > most)
        or (above is not None and number <= above)
    ):
        allowed = " and ".join(text for given, text in bounds if given)
        raise RecipeError(f"'{key}' must be {allowed}, not {value!r}.")
    return number


def _toml(value: Any) -> str:
    """Write one value as TOML; a basic string escapes what JSON escapes, and DEL besides."""
    if isinstance(value, str):
        escapes = {'"': '\\"', "\\": "\\\\"}
        return (
            '"'
            + "".join(
                escapes.get(c, c if c.isprintable() and c.isascii() else f"\\U{ord(c):08X}")
                for c in value
            )
            + '"'
        )
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(_toml(v) for v in value)}]"
    return repr(value)
