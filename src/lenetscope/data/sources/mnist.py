"""The whole of MNIST: 60,000 training and 10,000 test images, from files that ship with the package.

The package holds the four files compressed. The first use unpacks them into ``<data dir>/MNIST/raw``,
where ``torchvision.datasets.MNIST(root, download=False)`` finds them, and every use compares their
checksums. No network is needed.

Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied to document
recognition", Proc. IEEE 86(11), 1998.
"""

import lzma
import os
from importlib import resources
from pathlib import Path

import platformdirs

from lenetscope.data.dataset import RawDataset, md5
from lenetscope.data.sources import DATASETS
from lenetscope.data.sources.idx import read_pair
from lenetscope.errors import DataError, StorageError
from lenetscope.files import write_bytes

CHECKSUMS = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
"""MD5 of each uncompressed file, as in torchvision."""


@DATASETS.register("mnist")
def read_mnist(data_dir: Path | None = None) -> RawDataset:
    """Read MNIST; see `unpack_mnist` for arguments and errors."""
    folder = unpack_mnist(data_dir) / "MNIST" / "raw"
    train, test = (read_pair(folder, part) for part in ("train", "t10k"))
    return RawDataset(train, test, tuple("0123456789"), dict(CHECKSUMS))


def default_data_dir() -> Path:
    """Return ``LENETSCOPE_DATA_DIR`` if it is set, else a folder in the user's cache."""
    chosen = os.environ.get("LENETSCOPE_DATA_DIR")
    return Path(chosen) if chosen else platformdirs.user_cache_path("lenetscope") / "data"


def unpack_mnist(data_dir: Path | None = None) -> Path:
    """Make sure that MNIST's four files are under ``data_dir``, and verify them.

    Several processes may do so at once: each file appears complete or not at all.

    Args:
        data_dir: the root for torchvision; `default_data_dir` if None.

    Returns:
        The root for ``torchvision.datasets.MNIST(root, download=False)``.

    Raises:
        DataError: if a file there is not MNIST's.
        StorageError: if the disk is full, or the folder is not writable.
    """
    root = data_dir or default_data_dir()
    for name, expected in CHECKSUMS.items():
        path = root / "MNIST" / "raw" / name
        if not path.exists():
            _unpack(name, path)
        elif md5(path) != expected:
            raise DataError(
                f"{path} is corrupt: its MD5 is not that of MNIST's file. Delete it, and it will be "
                "unpacked again; for IDX files of your own use --dataset idx."
            )
    return root


def _unpack(name: str, path: Path) -> None:
    packed = resources.files("lenetscope.data") / "mnist" / f"{name}.xz"
    try:
        content = lzma.decompress(packed.read_bytes())
    except (OSError, lzma.LZMAError) as error:
        raise DataError(f"the package is damaged ({packed}: {error}); reinstall it.") from error
    try:
        write_bytes(path, content)
    except StorageError as error:
        raise StorageError(
            f"{str(error).rstrip('.')}. MNIST takes 55 MB there; name another folder with "
            "--data-dir or LENETSCOPE_DATA_DIR."
        ) from error
