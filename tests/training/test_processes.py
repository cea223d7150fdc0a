"""Several processes on one machine: the same training, one writer, each image evaluated once."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from conftest import write_bars
from lenetscope import Architecture, Recipe

pytestmark = pytest.mark.slow

LAUNCHER = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


def in_two_processes(where: Path, *words: str) -> object:
    """Run a program in two processes, of which one prints a JSON value, and return that."""
    done = subprocess.run([*LAUNCHER, *words], cwd=where, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_two_processes_do_what_one_does(tmp_path: Path) -> None:
    # 333 = 4 * 83 + 1: of the last batch one process has the only image and the other none
    folder = write_bars(tmp_path, 393, 1501)
    words = ["train", "--data", str(folder), "--epochs", "2", "--device", "cpu",
             "--dropout", "0", "--batch-size", "83", "--holdout", "60", "--keep", "best",
             "--patience", "1", "--warmup", "0.5", "--clip-grad-norm", "1", "--json"]  # fmt: skip
    two = in_two_processes(tmp_path, "-m", "lenetscope", *words)
    settings = {
        "data": str(folder), "epochs": 2, "device": "cpu", "dropout": 0, "batch_size": 83,
        "holdout": 60, "keep": "best", "patience": 1, "warmup": 0.5, "clip_grad_norm": 1,
    }  # fmt: skip
    one = Architecture.from_recipe(Recipe.load("reference", **settings))
    one.train(progress=False)
    assert one.evaluate().n == two["n"] == 1501
    assert np.sum(two["confusion"]) == 1501
    for mine, theirs in zip(one.history, two["history"], strict=True):
        assert abs(mine["train_loss"] - theirs["train_loss"]) < 1e-4
        assert abs(mine["valid_loss"] - theirs["valid_loss"]) < 1e-4
        assert abs(mine["train_accuracy"] - theirs["train_accuracy"]) < 1e-2
    (run,) = (tmp_path / "runs").iterdir()
    assert run.name == "reference-1"
    assert json.loads((run / "environment.json").read_text())["processes"] == 2


PROGRAM = """
import json
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from lenetscope import Architecture, Callback

labels = torch.arange(52) % 3  # the last of four batches has 4, two per process
images = nn.functional.one_hot(labels, 4).float() + torch.arange(52)[:, None] / 99
data = TensorDataset(images, labels)

class Saves(Callback):
    def on_checkpoint(self, state):
        if (state.epoch, state.step) == (1, 2):
            arch.save_checkpoint("middle.pt")

def make():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    arch = Architecture(model, nn.CrossEntropyLoss(), optimizer, device="cpu")
    # the validation loader has five batches: one process evaluates three, the other two
    arch.set_loaders(DataLoader(data, batch_size=16, shuffle=True), DataLoader(data, batch_size=11))
    return arch

found = []
arch = make()
arch.train(3, callbacks=[Saves()], checkpoint_steps=2, progress=False)
found.append([arch.losses, arch.val_losses, arch.evaluate().n])
arch.fabric.barrier()
arch = make()
arch.load_checkpoint("middle.pt")
assert (arch.total_epochs, arch.state.step) == (1, 2)
torch.manual_seed(arch.fabric.global_rank)  # what the caller draws does not matter
arch.train(2, progress=False)
found.append([arch.losses, arch.val_losses, arch.evaluate().n])
if arch.state.is_main:
    print(json.dumps(found))
"""


def test_loaders_of_ones_own_and_exact_resume_in_two_processes(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    whole, resumed = in_two_processes(tmp_path, "program.py")
    assert resumed == whole
    assert whole[0][-1] < whole[0][0]
    assert whole[2] == 52
