"""The whole of MNIST: 60,000 training and 10,000 test images, from files that ship with the package.

The package holds the four files compressed. The first use unpacks them into ``MNIST/raw`` in the user's
cache, where ``torchvision.datasets.MNIST(root, download=False)`` finds them, and every use compares
their checksums. Another folder is only read, unless the user asks to fill it. No network is needed.

Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied to document
recognition", Proc. IEEE 86(11), 1998.
"""

import lzma
from importlib import resources
from pathlib import Path

from lenetscope.data.contents import contents
from lenetscope.data.dataset import RawDataset, md5, own_folder, present
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
def read_mnist(data_dir: Path | None = None, download: bool = False) -> RawDataset:
    """Read MNIST; see `mnist_folder` for arguments and errors."""
    folder = mnist_folder(data_dir, download)
    files = [present(folder / name) or folder / name for name in CHECKSUMS]
    train, test = read_pair(*files[:2]), read_pair(*files[2:])
    # held out of all classes together, as before other data could be read
    return RawDataset(
        train, test, tuple("0123456789"), dict(CHECKSUMS), "mnist", folder, by_class=False
    )


def mnist_folder(data_dir: Path | None = None, download: bool = False) -> Path:
    """Return the folder of MNIST's four files, after verifying them.

    Several processes may do so at once: each file appears complete or not at all.

    Args:
        data_dir: where to look, also in ``MNIST/raw`` below it; None for `own_folder`, to which
            missing files are added. The files may be packed (.gz).
        download: add missing files to ``data_dir``, too, in ``MNIST/raw``, from the package.

    Raises:
        DataError: if the files there are not MNIST's, or missing and not to be added.
        StorageError: if the disk is full, or the folder is not writable.
    """
    own = own_folder()
    root = own if data_dir is None else data_dir
    raw, found = root / "MNIST" / "raw", {}
    for folder in (root, raw):
        files = {name: present(folder / name) for name in CHECKSUMS}
        found = {name: md5(file) for name, file in files.items() if file}
        wrong = [name for name, digest in found.items() if digest != CHECKSUMS[name]]
        if found == CHECKSUMS:
            return folder
        if wrong and len(wrong) < len(CHECKSUMS):
            raise DataError(
                f"{files[wrong[0]]} is corrupt: its MD5 is not that of MNIST's file. Delete it and "
                f"add --download to unpack it again; for files of your own use --data {folder}."
            )
    if wrong:
        raise DataError(contents(raw, tuple(CHECKSUMS)))
    if not download and root != own:
        raise DataError(
            f"{contents(raw if found else root, tuple(CHECKSUMS))} MNIST comes with the package: give "
            f"no --data-dir, or --data-dir {own}, or train with --download to copy it into the folder."
        )
    for name in CHECKSUMS:
        if name not in found:
            _unpack(name, raw / name)
    return raw


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
            "LENETSCOPE_DATA_DIR."
        ) from error
