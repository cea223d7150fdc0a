"""Labels that may be wrong, found by confident learning.

C. G. Northcutt, L. Jiang and I. L. Chuang, "Confident learning: estimating uncertainty in dataset
labels", JAIR 70, 2021, arXiv:1911.00068. A person has to look at the images: a network can be certain
and wrong, and the method cannot tell.
"""

from dataclasses import dataclass

import numpy as np

from lenetscope.evaluation.outputs import Values, require_probabilities
from lenetscope.table import Table, column

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
    self_confidence: float = column(".2p", "p(label)")
    probability: float = column(".2p", "p(suggested)")
    margin: float = column(".3f")


def find_label_issues(probabilities: Values, labels: Values) -> Table[LabelIssue]:
    """Return the labels that may be wrong, the smallest margin first.

    A class is confident for an image if its probability reaches the class's threshold: its mean
    probability over the images labelled as it. An image counts as the one class that is confident, or
    as the most likely of all if several are. Its label may be wrong if that is another class, and the
    label is not the most likely class itself.

    Where several classes are confident, the most likely of all classes counts, not of the confident
    ones, as in the authors' own program, cleanlab, and unlike the paper.

    Args:
        probabilities: (N, K), of images that the network was not trained on: it may have learned the
            wrong labels of those.
        labels: (N,), from 0 to K - 1.

    Raises:
        DataError: see `require_probabilities`.
    """
    values, given = require_probabilities(probabilities, labels)
    everyone = np.arange(len(given))
    members = [each[given == k] for k, each in enumerate(values.T)]  # of each class its images
    thresholds = np.array([own.mean() if len(own) else np.inf for own in members])  # (K,)
    confident = values >= thresholds - SLACK  # (N, K)
    several = confident.sum(axis=1) > 1
    likely = np.where(several, values.argmax(axis=1), confident.argmax(axis=1))  # (N,)
    own, suggested = values[everyone, given], values[everyone, likely]
    others = values.copy()
    others[everyone, given] = -1
    margin = own - others.max(axis=1)
    # a tie within the slack counts in favour of the label
    doubtful = np.flatnonzero(confident.any(axis=1) & (likely != given) & (margin < -SLACK))
    worst = doubtful[np.argsort(margin[doubtful], kind="stable")]
    columns = (each[worst].tolist() for each in (everyone, given, likely, own, suggested, margin))
    return Table(map(LabelIssue, *columns))
