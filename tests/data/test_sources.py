"""Every registered data set keeps what a `RawDataset` promises."""

from pathlib import Path

import pytest
import torch

from lenetscope.data.pixels import Form
from lenetscope.data.sources import DATASETS, read


@pytest.mark.parametrize("name", ["mnist", "mnist-lines", "four IDX files"])
def test_images_labels_and_classes_agree(name: str, idx_folder: Path) -> None:
    raw = read(name if name in DATASETS.names() else str(idx_folder), Form())
    for images, labels in (raw.train, raw.test):
        assert images.dtype == torch.uint8
        assert labels.dtype == torch.int64
        assert images.ndim == 4
        assert len(images) == len(labels) > 0
        assert 0 <= int(labels.min()) <= int(labels.max()) < len(raw.classes)
    assert raw.train.images.shape[1:] == raw.test.images.shape[1:]
    # "none" is for what lines are composed of beside these images
    assert set(raw.train.labels.tolist()) == {k for k, c in enumerate(raw.classes) if c != "none"}
    assert len(set(raw.classes)) == len(raw.classes)
    assert raw.name == (name if name in DATASETS.names() else idx_folder.name)
    assert all((raw.where / file).is_file() for file in raw.checksums)
    assert all(len(checksum) == 32 for checksum in raw.checksums.values())
