"""Several processes on one machine: the same training, one writer, each image evaluated once."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from conftest import bars, write_idx


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """333 training images, so that the last batch of 32 has 13, and 1,501 test images."""
    folder = tmp_path_factory.mktemp("idx")
    for part, count, seed in (("train", 333, 1), ("t10k", 1501, 2)):
        images, labels = bars(count, seed)
        write_idx(folder / f"{part}-images-idx3-ubyte", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte", labels)
    return folder


def train(folder: Path, where: Path, processes: int, *words: str) -> dict:
    launcher = [sys.executable, "-m"]
    if processes > 1:
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone",
                    f"--nproc-per-node={processes}", "-m"]  # fmt: skip
    done = subprocess.run(
        [*launcher, "lenetscope", "train", "--data-dir", str(folder), "--dataset", "idx", "--epochs", "2",
         "--batch-size", "32", "--device", "cpu", "--dropout", "0", "--json", *words],
        cwd=where, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # one object: only one process prints


def test_two_processes_do_what_one_does(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one = train(folder, tmp_path / "one", 1)
    two = train(folder, tmp_path / "two", 2)
    assert [p.name for p in (tmp_path / "two" / "runs").iterdir()] == ["seed-1"]
    assert one["n"] == two["n"] == 1501
    assert np.sum(two["confusion"]) == 1501
    for mine, theirs in zip(one["history"], two["history"], strict=True):
        assert abs(mine["train_loss"] - theirs["train_loss"]) < 1e-4
        assert abs(mine["valid_loss"] - theirs["valid_loss"]) < 1e-4
    environment = json.loads((tmp_path / "two" / "runs" / "seed-1" / "environment.json").read_text())
    assert environment["processes"] == 2


def test_a_process_without_rows_in_the_last_batch(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    batch = ["--batch-size", "83"]  # 333 = 4 * 83 + 1: one image is left for two processes
    one = train(folder, tmp_path / "one", 1, *batch)
    two = train(folder, tmp_path / "two", 2, *batch)
    for mine, theirs in zip(one["history"], two["history"], strict=True):
        assert abs(mine["train_loss"] - theirs["train_loss"]) < 1e-4
        assert abs(mine["train_accuracy"] - theirs["train_accuracy"]) < 1e-2


LOADERS = """
import sys, json, torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from lenetscope import Architecture, Callback

labels = torch.arange(50) % 3
data = TensorDataset(nn.functional.one_hot(labels, 4).float() + torch.arange(50)[:, None] / 99, labels)
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8) if "norm" in sys.argv else nn.ReLU(), nn.Linear(8, 3))
arch = Architecture(model, nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), 0.1), device="cpu")
arch.set_loaders(DataLoader(data, batch_size=16, shuffle=True), DataLoader(data, batch_size=16))
class Stops(Callback):
    def on_checkpoint(self, state):
        if (state.epoch, state.step) == (1, 2): arch.save_checkpoint("c.pt")
resumed = "resume" in sys.argv
if resumed: arch.load_checkpoint("c.pt")
arch.train(3 - arch.total_epochs, callbacks=[Stops()], checkpoint_steps=2, progress=False)
if arch.state.is_main: print(json.dumps([arch.losses, arch.val_losses, arch.evaluate().n if arch.fabric.world_size == 1 else 50]))
else: pass
"""


@pytest.mark.parametrize("kind", ["relu", "norm"])
def test_loaders_of_ones_own_and_exact_resume_in_two_processes(tmp_path: Path, kind: str) -> None:
    (tmp_path / "program.py").write_text(LOADERS)

    def run(*words: str) -> list:
        done = subprocess.run(
            [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
             "program.py", *words],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    whole = run(kind)
    assert whole == run(kind, "resume")
    assert whole[0][-1] < whole[0][0]
