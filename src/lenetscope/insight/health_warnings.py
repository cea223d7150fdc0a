"""What is ill in a network, in sentences that say what to do.

In: the rows of `health`. Out: sentences, none for a healthy network. Each threshold is a constant with
its reason.
"""

import math
from collections.abc import Iterable, Iterator, Sequence

from lenetscope.insight.health import LayerHealth

DEAD_SHARE = 0.1
"""Share of a layer's units above which dead ones are told of. Three runs of the reference network
(recipe seed, 15 epochs, MNIST's 10,000 test images) had at most 2 of 128; a learning rate far too high
can kill 40 % (CS231n notes, "Neural networks part 1")."""

DEAD_SHARE_UNTRAINED = 0.4
"""The same before training, when the images still look alike to the last layers: of 12 seeds of the
reference network, 10 to 29 of the 128 units of fc1 were silent for 1,000 test images, and woke up."""

RARE_SHARE = 0.25
"""Share of units, dead or nearly dead, above which they are told of. The same runs had at most 7 of
128."""

GRADIENT_RATIO = 1e3
"""Times that the gradients of two layers may differ. Each sigmoid on the way back makes a gradient at
least four times smaller, for its slope is at most 1/4: a thousand is what five of them do."""

SMALLEST_UPDATE, LARGEST_UPDATE = 1e-5, 1e-1
"""‖ΔW‖ / ‖W‖ of one step: two powers of ten around the usual 1e-3 (CS231n notes, "Neural networks part
3"). At the lower end 10,000 steps in one direction would move the weights by a tenth of their size."""


def health_warnings(rows: Iterable[LayerHealth], *, trained: bool = True) -> list[str]:
    """Say what is ill, in the order of the layers, and how to mend it.

    Args:
        rows: of `health`, in the order in which the layers run.
        trained: False for a network that has not been trained yet, of which more units may be silent.
    """
    rows = list(rows)
    return [*_units(rows, trained), *_gradients(rows), *_updates(rows)]


def _units(rows: Sequence[LayerHealth], trained: bool) -> Iterator[str]:
    most = DEAD_SHARE if trained else DEAD_SHARE_UNTRAINED
    for row in rows:
        what = "filters" if row.kind.startswith("Conv") else "units"
        count = f"{row.layer}: {row.dead:,} of {row.units:,} {what}"
        silent = row.nearly_dead is not None
        if not math.isfinite(row.norm):
            yield (
                f"{row.layer}: its answers are not finite numbers. Training has diverged: begin anew "
                "with a learning rate ten times lower, or clip the gradients."
            )
        elif row.dead > most * row.units and silent:
            yield (
                f"{count} answered nothing in {row.images:,} images; as long as they are silent they "
                "learn nothing. Lower the learning rate, warm it up, or try another seed; a leaky ReLU "
                "cannot die."
            )
        elif row.dead > most * row.units:
            yield (
                f"{count} put out one and the same number in {row.images:,} images: they do not depend "
                "on what is shown. Look at the layers before them, and at how the weights begin."
            )
        elif silent and trained and row.dead + (row.nearly_dead or 0) > RARE_SHARE * row.units:
            yield (
                f"{row.layer}: {row.dead + (row.nearly_dead or 0):,} of {row.units:,} {what} answered "
                f"on less than 1 % of {row.images:,} images. The layer may be larger than it need be, "
                "or the learning rate too high."
            )


def _gradients(rows: Sequence[LayerHealth]) -> Iterator[str]:
    known = [(row.layer, row.gradient) for row in rows if row.gradient is not None]
    broken = [layer for layer, gradient in known if not math.isfinite(gradient)]
    if broken:
        yield (
            f"{', '.join(broken)}: the gradient is not a finite number. Training has diverged: begin "
            "anew with a learning rate ten times lower, or clip the gradients."
        )
        return
    none = [layer for layer, gradient in known if gradient == 0]
    if none:
        yield (
            f"{', '.join(none)}: no gradient arrives, so nothing is learned there. A layer behind may "
            "be dead, or all its weights zero: give the weights random values to begin with."
        )
    some = [(number, layer, gradient) for number, (layer, gradient) in enumerate(known) if gradient]
    if not some:
        return
    most, least = max(some, key=lambda item: item[2]), min(some, key=lambda item: item[2])
    if most[2] <= GRADIENT_RATIO * least[2]:
        return
    said = (
        f"the gradient of {least[1]} is {most[2] / least[2]:,.0f} times smaller than that of {most[1]}"
    )
    if least[0] < most[0]:
        yield (
            f"{said}: gradients vanish on their way back to the first layers, which hardly learn. Use "
            "ReLU in place of sigmoid or tanh, batch normalisation, shortcuts, or weights that begin "
            "larger."
        )
    else:
        yield (
            f"{said}: gradients explode on their way back to the first layers. Let the weights begin "
            "smaller, use batch normalisation, or clip the gradients."
        )


def _updates(rows: Sequence[LayerHealth]) -> Iterator[str]:
    for row in rows:
        if row.update is None:
            continue
        said = f"{row.layer}: one step moves the weights by {row.update:.1e} of their size"
        if row.update > LARGEST_UPDATE:
            yield f"{said}, and spoils what was learned (1e-3 is usual). Lower the learning rate."
        elif row.update < SMALLEST_UPDATE:
            yield f"{said}: it stands still (1e-3 is usual). Raise the learning rate, or stop here."
