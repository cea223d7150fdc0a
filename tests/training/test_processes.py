"""Several processes on one machine: the same training, one writer, each image evaluated once."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from conftest import write_bars


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """333 training and 1,501 test images."""
    return write_bars(tmp_path_factory.mktemp("idx"), 333, 1501)


def train(folder: Path, where: Path, processes: int, batch_size: int) -> dict:
    """Train two epochs in a folder of their own, and return what the command printed."""
    where.mkdir()
    launcher = [sys.executable, "-m"]
    if processes > 1:
        launcher += ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
    words = ["train", "--data-dir", str(folder), "--dataset", "idx", "--epochs", "2", "--device", "cpu",
             "--dropout", "0", "--batch-size", str(batch_size), "--json"]  # fmt: skip
    done = subprocess.run(
        [*launcher, "lenetscope", *words], cwd=where, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # one object: only one process prints


def test_two_processes_do_what_one_does(folder: Path, tmp_path: Path) -> None:
    # 333 = 4 * 83 + 1: of the last batch one process has the only image and the other none
    one = train(folder, tmp_path / "one", 1, batch_size=83)
    two = train(folder, tmp_path / "two", 2, batch_size=83)
    assert [p.name for p in (tmp_path / "two" / "runs").iterdir()] == ["seed-1"]
    assert one["n"] == two["n"] == 1501
    assert np.sum(two["confusion"]) == 1501
    for mine, theirs in zip(one["history"], two["history"], strict=True):
        assert abs(mine["train_loss"] - theirs["train_loss"]) < 1e-4
        assert abs(mine["valid_loss"] - theirs["valid_loss"]) < 1e-4
        assert abs(mine["train_accuracy"] - theirs["train_accuracy"]) < 1e-2
    environment = json.loads((tmp_path / "two" / "runs" / "seed-1" / "environment.json").read_text())
    assert environment["processes"] == 2


PROGRAM = """
import json, sys
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from lenetscope import Architecture, Callback

labels = torch.arange(52) % 3  # the last of four batches has 4, two a process
images = nn.functional.one_hot(labels, 4).float() + torch.arange(52)[:, None] / 99
data = TensorDataset(images, labels)
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 3))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
arch = Architecture(model, nn.CrossEntropyLoss(), optimizer, device="cpu")
# the validation loader has five batches: one process evaluates three, the other two
arch.set_loaders(DataLoader(data, batch_size=16, shuffle=True), DataLoader(data, batch_size=11))

class Saves(Callback):
    def on_checkpoint(self, state):
        if (state.epoch, state.step) == (1, 2):
            arch.save_checkpoint("middle.pt")

if "resume" in sys.argv:
    arch.load_checkpoint("middle.pt")
arch.train(3 - arch.total_epochs, callbacks=[Saves()], checkpoint_steps=2, progress=False)
scores = arch.evaluate()
if arch.state.is_main:
    print(json.dumps([arch.losses, arch.val_losses, scores.n]))
"""


def test_loaders_of_ones_own_and_exact_resume_in_two_processes(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)

    def run(*words: str) -> list:
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
        done = subprocess.run(
            [*launcher, "program.py", *words], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    whole = run()
    assert whole == run("resume")
    assert whole[0][-1] < whole[0][0]
    assert whole[2] == 52
