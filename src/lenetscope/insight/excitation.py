"""Which images excite each unit of a layer most, and where in them.

In: a model, images and a layer. Out: for each unit (a channel of a convolution, or an element of a
vector) the images with its highest outputs, the place of the peak in its map, and the part of the image
that this place sees. After M. Zeiler, R. Fergus, "Visualizing and Understanding Convolutional
Networks", arXiv:1311.2901, 2013.

What a place sees, its receptive field, is measured, not derived from kernels and strides, so that it
holds for any model: gradients of the layer's outputs there are taken with respect to `PROBES` images of
noise, and the field is the smallest box around all pixels that have one. A single image would not do,
because of each pooling window only the largest pixel has a gradient.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lenetscope.errors import DataError, LayerError, UsageError
from lenetscope.insight.stream import check, check_units, find_layer, stream_one, watched
from lenetscope.tracking import Track, untracked
from lenetscope.untouched import device_of

PROBES = 64
"""Images of noise by which a receptive field is measured."""


@dataclass(frozen=True)
class Excitation:
    """The images that excite each unit most, the strongest first.

    Attributes:
        layer: name of the layer, and call.
        values: (units, k) float32, the unit's highest output in the image.
        images: (units, k) int64, which image.
        places: (units, k, 2) int64, row and column of the peak in the unit's map; 0, 0 for a vector.
        boxes: (units, k, 4) int64, the part of the image that the place sees, as top, left, bottom and
            right, the latter two exclusive; cut off at the image's edge.
    """

    layer: str
    values: Tensor
    images: Tensor
    places: Tensor
    boxes: Tensor

    def patches(self, pixels: Tensor) -> Tensor:
        """Cut out what each unit saw.

        Args:
            pixels: (N, C, H, W), the same images in the same order, preprocessed or not.

        Returns:
            (units, k, C, h, w) float32, all as large as the largest box; NaN beyond the image's edge.
        """
        height, width = (self.boxes[..., 2:] - self.boxes[..., :2]).flatten(0, 1).amax(0).tolist()
        shape = (*self.images.shape, pixels.shape[1], height, width)
        cut = torch.full(shape, torch.nan)
        for unit, rank in torch.cartesian_prod(*map(torch.arange, self.images.shape)).tolist():
            top, left, bottom, right = self.boxes[unit, rank].tolist()
            patch = pixels[int(self.images[unit, rank]), :, top:bottom, left:right].float().cpu()
            high, wide = patch.shape[1:]
            # what was cut off at the image's top or left is missing at the patch's top or left
            row, col = (height - high if top == 0 else 0), (width - wide if left == 0 else 0)
            cut[unit, rank, :, row : row + high, col : col + wide] = patch
        return cut


def most_exciting(
    model: nn.Module,
    images: Tensor,
    layer: str,
    k: int = 8,
    *,
    batch_size: int = 250,
    seed: int = 0,
    track: Track = untracked,
) -> Excitation:
    """Find the ``k`` images with the highest output of each unit of a layer.

    Of equal outputs the first image counts, and in it the first place in reading order. Only the best
    ``k`` are kept while the images go through, so that their number does not matter for memory.

    Args:
        model: of one input; it is as before when this returns or raises.
        images: (N, C, H, W), as the model takes them, on any device.
        layer: exact name, or ``name:1`` for the second call of a layer that runs several times.
        k: how many images a unit; N if there are fewer.
        batch_size: how many images go through at once.
        seed: of the noise that measures receptive fields.
        track: is handed the batches and shows how far one has come.

    Raises:
        LayerError: if there is no such layer, or its outputs are not (N, units), (N, units, L) or
            (N, units, H, W).
        DataError: if the images are not (N, C, H, W), or an output is not a number.
        UsageError: if ``k`` is less than 1, or the model takes several inputs.
    """
    check(model, images)
    if images.ndim != 4:
        raise DataError(
            f"images must be (N, C, H, W) to cut patches out of, not {tuple(images.shape)}."
        )
    if k < 1:
        raise UsageError(f"k must be at least 1, not {k}.")
    found, best = find_layer(model, layer), _Best(layer, k)
    stream_one(model, images, layer, best.see, batch_size=batch_size, track=track)
    assert best.values is not None
    width = best.shape[-1] if best.shape else 1
    flat = best.places.T  # (units, k)
    places = torch.stack([flat // width, flat % width], dim=-1)  # (units, k, 2)
    fields = receptive_fields(model, images, layer, sorted(set(flat.flatten().tolist())), seed=seed)
    boxes = torch.tensor([[fields[place] for place in row] for row in flat.tolist()])
    return Excitation(found.key, best.values.T.contiguous(), best.images.T.contiguous(), places, boxes)


class _Best:
    """The best ``k`` of what has come so far, (k, units) each."""

    def __init__(self, layer: str, k: int) -> None:
        self.layer, self.k = layer, k
        self.values: Tensor | None = None
        self.images = self.places = torch.empty(0)
        self.shape: tuple[int, ...] = ()
        self.count = 0

    def see(self, outputs: Tensor) -> None:
        check_units(self.layer, outputs)
        if outputs.ndim > 4:
            raise LayerError(
                f"layer '{self.layer}' puts out maps of {outputs.ndim - 2} dimensions: ask for one "
                "whose outputs are (N, units), (N, units, L) or (N, units, H, W)."
            )
        self.shape = tuple(outputs.shape[2:])
        maps = outputs.float().flatten(2) if outputs.ndim > 2 else outputs.float()[..., None]
        values, places = (part.cpu() for part in maps.max(dim=2))  # (n, units)
        if values.isnan().any():
            raise DataError(f"layer '{self.layer}' puts out values that are not numbers (NaN).")
        images = torch.arange(self.count, self.count + len(values))[:, None].expand(values.shape)
        self.count += len(values)
        if self.values is not None:
            values = torch.cat([self.values, values])
            images, places = torch.cat([self.images, images]), torch.cat([self.places, places])
        self.values, order = values.sort(dim=0, descending=True, stable=True)
        self.values, order = self.values[: self.k].clone(), order[: self.k]
        self.images, self.places = images.gather(0, order), places.gather(0, order)


def receptive_fields(
    model: nn.Module, images: Tensor, layer: str, places: list[int], *, seed: int = 0
) -> dict[int, tuple[int, int, int, int]]:
    """Measure which part of an image some places of a layer see.

    Args:
        model: of one input; it is as before when this returns or raises.
        images: (N, C, H, W); noise is drawn evenly between their lowest and highest value.
        layer: exact name, or name and call.
        places: numbers of places in a map, in reading order.
        seed: of the noise.

    Returns:
        (top, left, bottom, right) for each place, the latter two exclusive: the smallest box around the
        pixels that any unit answers to. The whole image where none has a gradient.
    """
    found, device = find_layer(model, layer), device_of(model)
    generator = torch.Generator().manual_seed(seed)
    low, high = images.min().item(), images.max().item()
    noise = torch.rand(PROBES, *images.shape[1:], generator=generator) * (high - low) + low
    seen: list[Tensor] = []

    def see(key: str, values: Tensor) -> None:
        if key == found.key:
            # a layer that works in place may follow; its changes belong to another node of the graph
            seen.append(values.flatten(2).clone() if values.ndim > 2 else values[..., None].clone())

    whole = (0, 0, *images.shape[2:])
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        watched(model, {found.name: found.layer}, see),
    ):
        # not a leaf, because the first layer may work in place
        probe = noise.to(device, images.dtype).requires_grad_()
        model(probe.clone())
        outputs = seen[0]
        if not outputs.requires_grad:
            return dict.fromkeys(places, whole)
        # units that weigh a pixel alike with opposite signs must not hide it from each other
        mixture = torch.rand(outputs.shape[:2], generator=generator).to(outputs)
        fields = {}
        for place in places:
            (slopes,) = torch.autograd.grad(
                (outputs[:, :, place] * mixture).sum(), probe, retain_graph=True, allow_unused=True
            )
            fields[place] = whole if slopes is None else _box(slopes) or whole
    return fields


def _box(slopes: Tensor) -> tuple[int, int, int, int] | None:
    """Return the smallest box around all pixels of (n, C, H, W) that are not zero."""
    touched = (slopes != 0).any(dim=1).any(dim=0)  # (H, W)
    rows, columns = (touched.any(dim=d).nonzero().flatten().tolist() for d in (1, 0))
    return (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1) if rows else None
