"""How good a model is: counts first, then the figures that follow from them."""

from lenetscope.evaluation.evaluate import evaluate
from lenetscope.evaluation.outputs import predicted_classes, probabilities
from lenetscope.evaluation.scores import Scores, wilson_interval
from lenetscope.evaluation.tally import Tally

__all__ = ["Scores", "Tally", "evaluate", "predicted_classes", "probabilities", "wilson_interval"]
