"""Labels that may be wrong, found by confident learning.

C. G. Northcutt, L. Jiang and I. L. Chuang, "Confident learning: estimating uncertainty in dataset
labels", JAIR 70, 2021, arXiv:1911.00068. A person has to look at the images: a network can be certain
and wrong, and the method cannot tell.
"""

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from lenetscope.evaluation.outputs import Array, Values, require_probabilities
from lenetscope.observe import require_one_of
from lenetscope.table import Table, column, html_table

RankedBy = Literal["margin", "self_confidence"]

SLACK = 1e-6
"""By how much rounding may keep a probability below a threshold that it reaches."""


@dataclass(frozen=True)
class LabelIssue:
    """An image whose label may be wrong.

    Attributes:
        index: of the image.
        label: the one that it was given.
        suggested: the class that is more likely.
        self_confidence: probability of the label.
        probability: of the suggested class.
        margin: probability of the label minus the largest of any other class, from -1 to 1.
    """

    index: int = column("d", "image")
    label: int = column("d")
    suggested: int = column("d")
    self_confidence: float = column(".2%", "p(label)")
    probability: float = column(".2%", "p(suggested)")
    margin: float = column(".3f")


@dataclass(frozen=True)
class LabelIssues:
    """Labels that may be wrong, and the counts behind them.

    Attributes:
        issues: most doubtful first.
        joint: (K, K) int64, the confident joint: images with the label of the row that are confidently
            of the class of the column; at least 1 on the diagonal.
        thresholds: (K,) mean probability of a class over the images labelled as it; infinite for a
            class without images.
    """

    issues: Table[LabelIssue]
    joint: Array = field(repr=False, compare=False)
    thresholds: Array = field(repr=False, compare=False)

    def __str__(self) -> str:
        return str(self.issues)

    def _repr_html_(self) -> str:
        classes = [str(k) for k in range(len(self.joint))]
        rows = [[f"label {k}", *map(str, row)] for k, row in zip(classes, self.joint, strict=True)]
        joint = html_table(["confidently", *classes], rows, [False] + [True] * len(classes))
        return f"<p>labels that may be wrong</p>{self.issues._repr_html_()}{joint}"


def find_label_issues(
    probabilities: Values, labels: Values, *, ranked_by: RankedBy = "margin"
) -> LabelIssues:
    """Find labels that may be wrong.

    A class is confident for an image if its probability reaches the class's threshold: its mean
    probability over the images labelled as it. An image counts as the one class that is confident, or
    as the most likely of all if several are. Its label may be wrong if that is another class, and the
    label is not the most likely class itself.

    Two details follow the authors' own program, cleanlab, rather than the paper: where several classes
    are confident, the most likely of all classes counts, not of the confident ones; and the diagonal of
    the joint is at least 1.

    Args:
        probabilities: (N, K), of images that the network was not trained on: it may have learned the
            wrong labels of those.
        labels: (N,), from 0 to K - 1.
        ranked_by: ``"margin"``, or ``"self_confidence"``: see `LabelIssue`.

    Raises:
        DataError: see `require_probabilities`.
        UsageError: if ``ranked_by`` is neither of the two.
    """
    require_one_of("ranked_by", ranked_by, get_args(RankedBy))
    values, given = require_probabilities(probabilities, labels)
    everyone, classes = np.arange(len(given)), values.shape[1]
    thresholds = np.array(
        [values[given == k, k].mean() if (given == k).any() else np.inf for k in range(classes)]
    )
    confident = values >= thresholds - SLACK  # (N, K)
    several = confident.sum(axis=1) > 1
    likely = np.where(several, values.argmax(axis=1), confident.argmax(axis=1))  # (N,)
    counted = confident.any(axis=1)
    joint = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(joint, (given[counted], likely[counted]), 1)
    np.fill_diagonal(joint, joint.diagonal().clip(min=1))

    own, suggested = values[everyone, given], values[everyone, likely]
    others = values.copy()
    others[everyone, given] = -1
    margin = own - others.max(axis=1)
    # a tie within the slack counts in favour of the label
    doubtful = np.flatnonzero(counted & (likely != given) & (margin < -SLACK))
    score = margin if ranked_by == "margin" else own
    worst_first = doubtful[np.argsort(score[doubtful], kind="stable")]
    columns = (
        values[worst_first].tolist() for values in (everyone, given, likely, own, suggested, margin)
    )
    return LabelIssues(Table(map(LabelIssue, *columns)), joint, thresholds)
