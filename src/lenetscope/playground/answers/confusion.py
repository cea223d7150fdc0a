"""The confusion matrix of a run on its test images."""

from typing import Any

from lenetscope.playground.answers import RUN, Answer
from lenetscope.playground.lab import Lab
from lenetscope.questions.confusion import error_shares


def confusion(lab: Lab, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the counts (K, K), rows true and columns predicted, and the fractions of errors."""
    scores = lab.run(asked.get("run")).inspection.scores
    return {
        "n": scores.n,
        "errors": scores.errors,
        "counts": scores.confusion.tolist(),
        "shares": error_shares(scores.confusion).tolist(),
    }


Answer(
    name="confusion",
    summary="the confusion matrix of a run on its test images",
    fields={"run": RUN["run"]},
    compute=confusion,
).register()
