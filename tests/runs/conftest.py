"""A run that is trained once, and copied for each test."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from lenetscope import Architecture, Callback, Recipe, Run
from lenetscope.runs import RunWriter
from lenetscope.training.state import TrainState

Start = Callable[[Path], tuple[Architecture, Run]]
EPOCHS = 3


class Keeps(Callback):
    """Keeps a copy of the weights before training and after each epoch."""

    def __init__(self) -> None:
        self.seen: list[dict[str, torch.Tensor]] = []

    def on_train_begin(self, state: TrainState, epochs: int, steps: int) -> None:
        self.on_epoch_end(state)

    def on_epoch_end(self, state: TrainState) -> None:
        self.seen.append({k: v.clone() for k, v in state.model.state_dict().items()})


@dataclass(frozen=True)
class Trained:
    """A run, and what was seen while it was trained."""

    path: Path
    weights: list[dict[str, torch.Tensor]]
    parameters: list[str]


@pytest.fixture(scope="session")
def recipe(idx_folder: Path) -> Recipe:
    return Recipe.load(
        "reference", data=idx_folder, epochs=EPOCHS, batch_size=16, device="cpu", threads=1
    )


@pytest.fixture(scope="session")
def start(recipe: Recipe, idx_folder: Path) -> Start:
    """Return a function that starts the same run of three epochs of four steps in any folder."""

    def make(path: Path) -> tuple[Architecture, Run]:
        arch = Architecture.from_recipe(recipe)
        return arch, arch.start_run(path)

    return make


@pytest.fixture(scope="session")
def trained(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    arch, run = start(tmp_path_factory.mktemp("trained") / "run")
    keeps = Keeps()
    arch.train(callbacks=[RunWriter(run), keeps], progress=False)
    return Trained(run.path, keeps.seen, [name for name, _ in arch.model.named_parameters()])


@pytest.fixture
def run(trained: Trained, tmp_path: Path) -> Run:
    """A copy of the trained run."""
    return Run(shutil.copytree(trained.path, tmp_path / "run"))
