"""Questions about the training: how it went, whether the network stayed healthy, what it learned when.

In: a `Study` and a `Choice`. Out: figures.
"""

from lenetscope import plots
from lenetscope.inspection.choice import Choice
from lenetscope.inspection.questions import QUESTIONS, Answer
from lenetscope.inspection.study import Study


@QUESTIONS.register("curves")
def curves(study: Study, _choice: Choice) -> Answer:
    """How loss and accuracy went, epoch by epoch."""
    if history := study.run.history():
        yield "curves", plots.curves(history)
