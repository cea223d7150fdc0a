"""A study gives what the run's own network computes, from the run's own data."""

import shutil
from pathlib import Path

import pytest
import torch

from conftest import write_bars
from lenetscope import Architecture, Study
from lenetscope.errors import RunError
from lenetscope.runs import RunWriter


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A run of the small data, two epochs."""
    folder = tmp_path_factory.mktemp("study")
    data = write_bars(folder, 40, 21)
    arch = Architecture.from_recipe(
        "seed", data_dir=data, dataset="idx", epochs=2, lr=0.05, batch_size=8, device="cpu"
    )
    run = arch.start_run(folder / "run", data_dir=data)
    arch.train(callbacks=[RunWriter(run)], progress=False)
    run.save_scores(arch.evaluate())
    return Study.open(run)


def test_what_the_network_says_is_what_it_says(study: Study) -> None:
    model, images = study.model, study.images
    model.train()
    logits = study.logits
    assert model.training
    model.eval()
    with torch.no_grad():
        wanted = model(images)
    assert torch.allclose(logits, wanted, atol=1e-5)
    assert torch.equal(study.predicted, wanted.argmax(dim=1))
    assert torch.allclose(study.probabilities, wanted.softmax(dim=1), atol=1e-5)
    errors = int((study.predicted != study.labels).sum())
    assert errors == study.scores.errors == study.run.scores()["errors"]


def test_features_are_what_the_last_layer_is_given(study: Study) -> None:
    assert study.last_layer == "fc2"
    assert study.convolutions == ["conv1", "conv2"]
    assert study.features.shape == (21, 128)
    assert study.train_features.shape == (40, 128)
    with torch.no_grad():
        assert torch.allclose(study.model.fc2(study.features), study.logits, atol=1e-5)


def test_data_that_changed_are_refused(study: Study, tmp_path: Path) -> None:
    other = write_bars(tmp_path, 30, 12)
    with pytest.raises(RunError, match="the data are not those that"):
        Study.open(study.run, data_dir=other).splits  # noqa: B018
    with pytest.raises(RunError, match="there is no run"):
        Study.open(tmp_path / "none")
    shutil.copytree(study.run.path, tmp_path / "unfinished")
    (tmp_path / "unfinished" / "weights.safetensors").unlink()
    with pytest.raises(RunError, match="has no weights yet"):
        Study.open(tmp_path / "unfinished")
