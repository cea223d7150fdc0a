"""Which labels may be wrong, rather than the answers of the network.

In: probabilities (N, K) that a network gives to images that it has not learned from, and the labels
(N,) that they were given. Out: images whose label is in doubt, those most in doubt first. People have
to look at them: a network can be sure and wrong, and the method cannot tell.

Confident learning: C. G. Northcutt, L. Jiang and I. L. Chuang, "Confident learning: estimating
uncertainty in dataset labels", JAIR 70, 2021, arXiv:1911.00068.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lenetscope.errors import UsageError, listed
from lenetscope.evaluation.reliability import Values, checked_probabilities
from lenetscope.tables import Table, column, html_table

RankedBy = Literal["margin", "self_confidence"]
Array = npt.NDArray[Any]

SLACK = 1e-6
"""By which a probability may stay below a threshold that rounding alone kept it from."""


@dataclass(frozen=True)
class Doubt:
    """An image whose label may be wrong.

    Attributes:
        index: of the image.
        given: its label.
        likely: the class that the network finds likelier.
        self_confidence: probability of the given label.
        probability: of the likelier class.
        margin: the first less the largest of any other class, from -1 (most in doubt) to 1.
    """

    index: int = column("d", "image")
    given: int = column("d", "label")
    likely: int = column("d", "may be")
    self_confidence: float = column(".2%", "p(label)")
    probability: float = column(".2%", "p(may be)")
    margin: float = column(".3f")


@dataclass(frozen=True)
class LabelDoubts:
    """Labels that may be wrong, and what was counted to find them.

    Attributes:
        candidates: images whose label may be wrong, most in doubt first.
        joint: (K, K) int64, the confident joint: of the images with the label of the row, those that
            are confidently of the class of the column; at least 1 on the diagonal.
        thresholds: (K,) the mean probability of a class over the images labelled as it; infinite for
            a class that no image is labelled as.
    """

    candidates: Table[Doubt]
    joint: Array = field(repr=False, compare=False)
    thresholds: Array = field(repr=False, compare=False)

    def __str__(self) -> str:
        return str(self.candidates)

    def _repr_html_(self) -> str:
        kinds = [str(k) for k in range(len(self.joint))]
        cells = [[f"label {k}", *map(str, row)] for k, row in zip(kinds, self.joint, strict=True)]
        counts = html_table(["confidently", *kinds], cells, [False] + [True] * len(kinds))
        return f"<p>labels that may be wrong</p>{self.candidates._repr_html_()}{counts}"


def doubtful_labels(
    probabilities: Values, labels: Values, *, ranked_by: RankedBy = "margin"
) -> LabelDoubts:
    """Find labels that may be wrong by confident learning.

    A class is confident for an image if its probability reaches the class's threshold: the mean
    probability of the class over the images labelled as it. An image counts as the one class that is
    confident, or the likeliest of all if several are. A label is in doubt if that is another class
    than the label, and the label is not the likeliest class itself.

    As in the authors' own program (cleanlab), and not in the paper: where several classes are
    confident the likeliest of all classes counts, not the likeliest of the confident ones, and
    the diagonal of the joint is at least 1.

    Args:
        probabilities: (N, K), rows that add up to 1, of images that the network has not learned from:
            of those that it has, it may have learned the wrong labels, too.
        labels: (N,) whole numbers from 0 to K - 1.
        ranked_by: ``"margin"``: probability of the label less the largest of another class;
            ``"self_confidence"``: probability of the label.

    Raises:
        DataError: if these are no probabilities, or no labels for them.
        UsageError: if ``ranked_by`` is none of the two.
    """
    if ranked_by not in RankedBy.__args__:  # type: ignore[attr-defined]
        raise UsageError(f"'{ranked_by}' is none of {listed(RankedBy.__args__)}.")  # type: ignore[attr-defined]
    shares, given = checked_probabilities(probabilities, labels)
    everyone, classes = np.arange(len(given)), shares.shape[1]
    thresholds = np.array(
        [shares[given == k, k].mean() if (given == k).any() else np.inf for k in range(classes)]
    )
    confident = shares >= thresholds - SLACK  # (N, K)
    several = confident.sum(axis=1) > 1
    likely = np.where(several, shares.argmax(axis=1), confident.argmax(axis=1))  # (N,)
    counted = confident.any(axis=1)
    joint = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(joint, (given[counted], likely[counted]), 1)
    np.fill_diagonal(joint, joint.diagonal().clip(min=1))

    own = shares[everyone, given]
    others = shares.copy()
    others[everyone, given] = -1
    margin = own - others.max(axis=1)
    # a tie within the slack speaks for the label
    doubted = np.flatnonzero(counted & (likely != given) & (margin < -SLACK))
    score = margin if ranked_by == "margin" else own
    worst_first = doubted[np.argsort(score[doubted], kind="stable")]
    candidates = Table(
        Doubt(
            index=int(i),
            given=int(given[i]),
            likely=int(likely[i]),
            self_confidence=float(own[i]),
            probability=float(shares[i, likely[i]]),
            margin=float(margin[i]),
        )
        for i in worst_first
    )
    return LabelDoubts(candidates, joint, thresholds)
