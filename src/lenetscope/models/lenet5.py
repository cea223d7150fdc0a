"""LeNet-5 as it was published in 1998.

After Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied to document
recognition", Proc. IEEE 86(11), 1998, section II.B, figures 2 and 3, table I and appendix A. The
reference network, `lenet`, is its descendant.
"""

import torch
from torch import Tensor, nn

from lenetscope.models import MODELS

SIDE = 32
"""Rows and columns of the images of the paper; smaller images are padded to as many."""

TABLE = (
    *((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5)),
    *((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
    (0, 1, 2, 3, 4, 5),
)
"""The maps of S2 that each map of C3 is connected to: table I of the paper."""

BITMAPS = """
.#####. ...##.. .#####. ####### .#####. .#####. ..####. ####### .#####. .#####.
....... ..###.. ....... .....## ....... ....... .##.... .....## ##...## ##..###
..###.. .####.. .#####. ....##. ....... ####### ##..... .....## ##...## ##...##
.##.##. ...##.. ##...## ...##.. .##..## ##..... ##..... ....##. ##...## ##...##
##...## ...##.. #....## ..####. .##..## ##..... #####.. ...##.. .#####. ##..###
##...## ...##.. ....##. .....## ###..## .####.. ###..## ...##.. ##...## .######
##...## ...##.. ..###.. .....## ##...## ..####. ##...## ..##... ##...## .....##
##...## ...##.. .##.... .....## ##...## .....## ##...## ..##... ##...## .....##
.##.##. ...##.. ##..... ##...## ##..### ##...## ###..## ..##... ##...## ....##.
..###.. .###### ####### .#####. .###### .#####. .#####. ..##... .#####. .####..
....... ....... ....... ....... .....## ....... ....... ....... ....... .......
....... ....... ....... ....... .....## ....... ....... ....... ....... .......
"""
"""The digits 0 to 9 in 12 rows of 7, as figure 3 of the paper has them; the bar over some of them tells
them from letters of the same form."""


def bitmaps() -> Tensor:
    """Return what F6 should return for each digit, (10, 84): 1 for black, -1 for white.

    >>> one = bitmaps().reshape(10, 12, 7)[1]
    >>> one[2].tolist()
    [-1.0, 1.0, 1.0, 1.0, 1.0, -1.0, -1.0]
    """
    rows = [line.split() for line in BITMAPS.split("\n") if line]
    digits = ["".join(parts) for parts in zip(*rows, strict=True)]
    return torch.tensor([[1.0 if dot == "#" else -1.0 for dot in digit] for digit in digits])


class Squash(nn.Module):
    """1.7159 tanh(2x/3), which leaves 1 and -1 as they are (appendix A of the paper)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return values between -1.7159 and 1.7159."""
        return 1.7159 * torch.tanh(x * (2 / 3))


class Scale(nn.Module):
    """A coefficient and a bias per map, both learned."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(maps))
        self.bias = nn.Parameter(torch.empty(maps))

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps (N, C, H, W) of the same shape."""
        return maps * self.weight[:, None, None] + self.bias[:, None, None]


class Subsampling(nn.Module):
    """The sum of each 2x2 values, times the map's coefficient, plus its bias."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.mean = nn.AvgPool2d(2)
        self.scale = Scale(maps)

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps (N, C, H/2, W/2) for maps (N, C, H, W)."""
        summed: Tensor = self.scale(4 * self.mean(maps))  # ONNX's pooling cannot add
        return summed


class TableConvolution(nn.Module):
    """A convolution of 5x5 from 6 maps to 16, each of which is connected to some of the 6 only.

    Maps with equally many inputs are groups of one convolution, which is given copies of its inputs.
    """

    inputs3: Tensor
    inputs4: Tensor
    inputs6: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.of3 = self._connected(3)
        self.of4 = self._connected(4)
        self.of6 = self._connected(6)

    def _connected(self, size: int) -> nn.Conv2d:
        inputs = [maps for maps in TABLE if len(maps) == size]
        self.register_buffer(f"inputs{size}", torch.tensor(inputs).flatten(), persistent=False)
        return nn.Conv2d(size * len(inputs), len(inputs), 5, groups=len(inputs))

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps (N, 16, 10, 10) for maps (N, 6, 14, 14)."""
        parts = [
            conv(maps[:, inputs])
            for conv, inputs in (
                (self.of3, self.inputs3),  # (N, 18, 14, 14) to (N, 6, 10, 10)
                (self.of4, self.inputs4),  # (N, 36, 14, 14) to (N, 9, 10, 10)
                (self.of6, self.inputs6),  # (N, 6, 14, 14) to (N, 1, 10, 10)
            )
        ]
        return torch.cat(parts, dim=1)


class RBF(nn.Module):
    """Half the squared distance from a centre per class, with a minus sign (equation 7 of the paper).

    That is, up to a constant, the log-likelihood of a normal distribution around the centre, of
    variance 1.

    Args:
        centres: (K, D), which are not learned.
    """

    centres: Tensor

    def __init__(self, centres: Tensor) -> None:
        super().__init__()
        self.register_buffer("centres", centres)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, K) for (N, D)."""
        return (x[:, None] - self.centres).square().sum(2) * -0.5


@MODELS.register("lenet5")
class LeNet5(nn.Module):
    """Three convolutions with learned subsampling between them, a linear layer and distances.

    60,000 parameters for images of one channel and up to 32x32, in the layers of the paper: C1 156,
    S2 12, C3 1,516, S4 32, C5 48,120, F6 10,164. The shapes below are for these.

    As in the paper: all layers and their connections, the function that follows each of them, the
    distribution of the initial weights, and, for ten classes, the fixed centres of the output, which
    are drawings of the digits. Not as in the paper:

    - The output is half the squared distances with a minus sign. Their cross entropy is the paper's
      equation 9 without its constant; the half lets it learn at the learning rate of `lenet`.
    - Smaller images are padded with their own edge instead of a constant; in MNIST that is background.
    - For another number of classes the centres are random, each of their values 1 or -1.
    - Images larger than 32x32 have filters in C5 that cover all of S4, and more of them than 5x5.
    - Pixels are scaled as the recipe says, not to -0.1 for white and 1.175 for black.

    >>> sum(p.numel() for p in LeNet5().parameters())
    60000

    Args:
        image_shape: (C, H, W) of the images.
        classes: K, the number of logits.
    """

    def __init__(self, image_shape: tuple[int, int, int] = (1, 28, 28), classes: int = 10) -> None:
        super().__init__()
        channels, *sides = image_shape
        rows, columns = (max(side, SIDE) for side in sides)
        above, left = (rows - sides[0]) // 2, (columns - sides[1]) // 2
        below, right = rows - sides[0] - above, columns - sides[1] - left
        self.pad = nn.ReplicationPad2d((left, right, above, below))
        self.c1 = nn.Conv2d(channels, 6, 5)
        self.squash1 = Squash()
        self.s2 = Subsampling(6)
        self.squash2 = Squash()
        self.c3 = TableConvolution()
        self.squash3 = Squash()
        self.s4 = Subsampling(16)
        self.squash4 = Squash()
        kernel = ((rows - 4) // 2 - 4) // 2, ((columns - 4) // 2 - 4) // 2
        self.c5 = nn.Conv2d(16, 120, kernel)
        self.squash5 = Squash()
        self.flatten = nn.Flatten()
        self.f6 = nn.Linear(120, 84)
        self.squash6 = Squash()
        self.rbf = RBF(bitmaps() if classes == 10 else torch.randint(2, (classes, 84)) * 2.0 - 1)
        for module in self.modules():
            if weights := list(module.parameters(recurse=False)):
                inputs = 4 if isinstance(module, Scale) else weights[0][0].numel()
                for each in weights:  # appendix A: by the number of inputs of a unit
                    nn.init.uniform_(each, -2.4 / inputs, 2.4 / inputs)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K) for images (N, C, H, W)."""
        x = self.squash1(self.c1(self.pad(images)))  # (N, 6, 28, 28)
        x = self.squash2(self.s2(x))  # (N, 6, 14, 14)
        x = self.squash3(self.c3(x))  # (N, 16, 10, 10)
        x = self.squash4(self.s4(x))  # (N, 16, 5, 5)
        x = self.flatten(self.squash5(self.c5(x)))  # (N, 120)
        x = self.squash6(self.f6(x))  # (N, 84)
        logits: Tensor = self.rbf(x)  # (N, 10)
        return logits
