"""What the network says along a line, as text: likelihoods, the best text, and where each digit is.

A. Graves, S. Fernández, F. Gomez and J. Schmidhuber, "Connectionist temporal classification", ICML
2006: a text is read wherever its labels follow each other, repeated or with blanks between them, and
its likelihood is the sum over all such paths.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lenetscope.models.reader import BLANK, OTHER

Labels = tuple[int, ...]
"""Labels of a line: digits, and `OTHER`."""


def best_path(positions: Tensor) -> Labels:
    """Return the labels of the likeliest path.

    >>> sure = torch.eye(12)[[11, 7, 7, 11, 7]].T.add(1e-6).log()
    >>> best_path(sure)
    (7, 7)

    Args:
        positions: (12, T) log-probabilities.
    """
    path = positions.argmax(dim=0)
    new = torch.ones(len(path), dtype=torch.bool)
    new[1:] = path[1:] != path[:-1]
    return tuple(path[new & (path != BLANK)].tolist())


def log_likelihoods(positions: Tensor, texts: Sequence[Labels]) -> Tensor:
    """Return the log-likelihood of each text, (len(texts),) float64; -inf for one that does not fit.

    Args:
        positions: log-probabilities (12, T), or (N, 12, T) of as many lines as there are texts.
        texts: labels of lines.
    """
    count, length = len(texts), positions.shape[-1]
    lengths = torch.tensor([len(text) for text in texts])
    targets = torch.tensor([label for text in texts for label in text], dtype=torch.long)
    each = positions.expand(count, -1, -1).permute(2, 0, 1).double()  # (T, texts, 12)
    return -functional.ctc_loss(
        each, targets, torch.full((count,), length), lengths, blank=BLANK, reduction="none"
    )


def log_digitness(positions: Tensor) -> float:
    """Return the log-probability that something is written, and nothing but digits."""
    p = positions.double()
    other = torch.log1p(-p[OTHER].exp().clamp_max(1 - 1e-12)).sum()
    blank = p[BLANK].sum()
    return float(other + torch.log1p(-(blank - other).exp().clamp_max(1 - 1e-12)))


def align(positions: Tensor, text: Labels) -> list[tuple[int, int]]:
    """Return the first position of each label and the one after its last, on the likeliest path.

    >>> sure = torch.eye(12)[[11, 7, 7, 11, 7]].T.add(1e-6).log()
    >>> align(sure, (7, 7))
    [(1, 3), (4, 5)]

    Args:
        positions: (12, T) log-probabilities.
        text: of at least one label, which fits into T positions.
    """
    states = [BLANK, *(label for each in text for label in (each, BLANK))]
    emitted = positions[states].double().numpy()  # (S, T)
    skips = np.array([k > 1 and s != BLANK and s != states[k - 2] for k, s in enumerate(states)])
    score = np.full(len(states), -np.inf)
    score[:2] = emitted[:2, 0]
    came = np.zeros((len(states), emitted.shape[1]), dtype=np.int64)
    for t in range(1, emitted.shape[1]):
        ways = np.full((3, len(states)), -np.inf)  # stay, next, skip a blank
        ways[0], ways[1, 1:], ways[2, 2:] = (
            score,
            score[:-1],
            np.where(skips, np.roll(score, 2), -np.inf)[2:],
        )
        came[:, t] = ways.argmax(axis=0)
        score = ways.max(axis=0) + emitted[:, t]
    state = len(states) - 1 if score[-1] >= score[-2] else len(states) - 2
    path = [state]
    for t in range(emitted.shape[1] - 1, 0, -1):
        state -= int(came[state, t])
        path.append(state)
    at = np.array(path[::-1])
    found = [np.flatnonzero(at == 2 * k + 1) for k in range(len(text))]
    return [(int(where[0]), int(where[-1]) + 1) for where in found]
