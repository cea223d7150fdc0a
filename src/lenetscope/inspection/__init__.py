"""A run under the eyes: what several questions need of it, and the pictures that answer them."""

# those that follow register their questions, in the order in which they are answered
from lenetscope.inspection import answers, layers, progress
from lenetscope.inspection.choice import Choice
from lenetscope.inspection.pictures import draw
from lenetscope.inspection.questions import DEFAULT_QUESTIONS, QUESTIONS
from lenetscope.inspection.study import Study

__all__ = ["DEFAULT_QUESTIONS", "QUESTIONS", "Choice", "Study", "answers", "draw", "layers", "progress"]
